"""What ``train`` reads, says and refuses."""

import json

import pytest

from dialog_policy.corpus.write import write_corpus
from tests.cli.commands import run
from tests.cli.test_cli import SETTINGS


@pytest.fixture(scope="module")
def files(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    write_corpus(small[:5], folder / "old.jsonl")
    write_corpus(small[5:6], folder / "new.jsonl")
    return folder / "old.jsonl", folder / "new.jsonl"


def test_several_corpora_are_trained_on_as_one_and_the_run_before_is_named(files, tmp_path):
    options = ("--split", "all", "--dev", "none", "--set", *SETTINGS, "epochs=1")
    said = run("train", files[1], "--out", tmp_path / "run", *options).output
    assert "Trained on 1 dialogue (" in said
    assert "for 1 epoch.\n" in said
    assert "Validation: none (as requested); training runs for its fixed number of epochs.\n" in said
    assert "replaces" not in said
    created = json.loads((tmp_path / "run" / "run.json").read_text())["created"]
    (tmp_path / "run" / "notes.txt").write_text("mine")
    said = run("train", *files, "--out", tmp_path / "run", *options).output
    assert "Trained on 6 dialogues (" in said
    assert f"It replaces the run of {created[:10]} and the other files in its folder: notes.txt." in said
    manifest = json.loads((tmp_path / "run" / "run.json").read_text())
    assert manifest["name"] == "run"
    assert manifest["corpus"]["train"]["dialogues"] == 6


def test_settings_are_checked_before_anything_is_read(tmp_path):
    for setting, reason in (
        ("hidden=100000000000", "recurrent weights"),
        ("epochs=99999999999999999999", "each epoch"),
    ):
        said = run("train", "nowhere.jsonl", "--out", tmp_path / "run", "--set", setting, code=2).output
        assert "expected a whole number from 1 to" in said
        assert reason in said
    assert list(tmp_path.iterdir()) == []


def test_an_old_setting_name_is_still_understood(files, tmp_path):
    options = ("--split", "all", "--dev", "none", "--set", *SETTINGS, "epochs=1", "decisions=bits")
    with pytest.warns(DeprecationWarning, match="decoding='independent'"):
        run("train", files[0], "--out", tmp_path / "run", *options)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["config"]["decoding"] == "independent"


def test_a_blank_column_of_actions_is_one_message_and_leaves_nothing(tmp_path):
    (tmp_path / "blank.csv").write_text("dialogue_id,user,actions\n" + "".join(f"{n},hello,\n" for n in range(30)))
    said = run("train", tmp_path / "blank.csv", "--out", tmp_path / "x", code=2).output
    assert "the set of actions is empty, so there is nothing to learn" in said
    assert [path.name for path in tmp_path.iterdir()] == ["blank.csv"]


def test_help_says_what_happens_to_a_checkpoint():
    said = " ".join(run("train", "--help").output.split())
    assert "--resume / --restart" in said
    assert "discards it and begins anew" in said
