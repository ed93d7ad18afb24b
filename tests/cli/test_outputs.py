"""What cannot be written in the end is refused before the work starts."""

import pytest

from dialog_policy.cli.outputs import Forms
from dialog_policy.errors import OptionError

NOTHING = {"json_": None, "html": None, "markdown": None, "csv_": None, "plots": None, "plot_formats": ("svg",)}


def forms(**paths):
    return Forms(**NOTHING | {name: str(path) for name, path in paths.items()})


@pytest.mark.parametrize("option", ["json_", "html", "markdown"])
def test_a_folder_is_no_file(tmp_path, option):
    with pytest.raises(OptionError, match=str(tmp_path)):
        forms(**{option: tmp_path}).check()


@pytest.mark.parametrize("option", ["csv_", "plots"])
def test_a_file_is_no_folder(tmp_path, option):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(OptionError, match="file"):
        forms(**{option: tmp_path / "file"}).check()
    assert (tmp_path / "file").read_text() == "kept"


def test_no_output_is_named_twice(tmp_path):
    with pytest.raises(OptionError, match="--json and --markdown both name"):
        forms(json_=tmp_path / "x", markdown=tmp_path / "x").check()
    with pytest.raises(OptionError, match="--plots names"):
        forms(json_=tmp_path / "x", plots=tmp_path / "x").check()
    forms(csv_=tmp_path / "both", plots=tmp_path / "both", json_=tmp_path / "x").check()
    assert not any(tmp_path.iterdir())


def test_what_is_read_is_not_overwritten(tmp_path):
    (tmp_path / "corpus.jsonl").write_text("{}")
    with pytest.raises(OptionError, match="would be overwritten"):
        forms(json_=tmp_path / "corpus.jsonl").check(str(tmp_path / "corpus.jsonl"))
