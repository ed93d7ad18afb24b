"""What fuzzers have found: each of these inputs once ended in an exception that nobody documented."""

import subprocess
import sys
import zipfile

import pytest

from dialog_policy.corpus.readers import load_corpus
from dialog_policy.errors import CorpusError, DialogPolicyError, RunError
from dialog_policy.runtime import Policy
from tests.fuzz.targets import TARGETS

FOUND = {
    "a number of thousands of digits": ("settings", b"hidden = " + b"9" * 5_000),
    "deep arrays": ("settings", b"user = " + b"[" * 20_000),
    "a number of thousands of digits for a setting": ("assignments", b"hidden=" + b"9" * 5_000),
    "deep arrays for a setting": ("assignments", b"user=" + b"[" * 20_000),
}


@pytest.mark.parametrize("found", FOUND)
def test_it_is_refused(tmp_path, found):
    name, data = FOUND[found]
    target, _ = TARGETS[name].make(tmp_path)
    with pytest.raises(DialogPolicyError):
        target(data)


def test_names_in_archives_that_are_no_text(tmp_path):
    """In the list of members, and before the content of one."""
    with zipfile.ZipFile(tmp_path / "good.zip", "w") as archive:
        archive.writestr("é.jsonl", b'{"id": "1", "turns": [{"actions": ["a"]}]}\n')
    good, name = (tmp_path / "good.zip").read_bytes(), "é.jsonl".encode()
    before, between, after = good.split(name)
    wrong = name.replace(b"\xa9", b"\xff")
    for number, content in enumerate(
        (before + wrong + between + name + after, before + name + between + wrong + after)
    ):
        path = tmp_path / f"{number}.zip"
        path.write_bytes(content)
        for read, error in ((load_corpus, CorpusError), (Policy.load, RunError)):
            with pytest.raises(error, match=path.name):
                read(path)


def test_a_story_without_steps_has_no_dialogue(tmp_path):
    (tmp_path / "stories.md").write_text("## empty\n## greeting\n* greet: hi\n  - utter_greet\n")
    (dialogue,) = load_corpus(tmp_path, format="rasa_markdown")
    assert dialogue.id == "greeting"


def test_a_domain_may_have_lists_where_names_are_expected(tmp_path):
    (tmp_path / "domain.yml").write_text(
        "intents:\n- [greet, bye]\n- thanks: {use_entities: []}\n- 3\nslots:\n- [area]\n"
    )
    (tmp_path / "stories.md").write_text("## greeting\n* greet: hi\n  - utter_greet\n")
    assert len(load_corpus(tmp_path, format="rasa_markdown")) == 1


def test_parquet_with_bytes_that_are_no_text(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    (offsets, text) = arrow.array(["xy"]).buffers()[1:]
    damaged = arrow.StringArray.from_buffers(1, offsets, arrow.py_buffer(b"\x8a" + text.to_pybytes()[1:]))
    table = arrow.table({"dialogue_id": ["1"], "user": damaged, "actions": ["a"]})
    parquet.write_table(table, tmp_path / "c.parquet")
    for place in (tmp_path / "c.parquet", f"file://{tmp_path}/c.parquet"):
        with pytest.raises(CorpusError, match="Parquet"):
            load_corpus(place)


def test_parquet_whose_statistics_do_not_fit_its_schema_ends_no_process(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"dialogue_id": ["1"], "user": ["hi"], "actions": ["a"]}), tmp_path / "c.parquet")
    content = (tmp_path / "c.parquet").read_bytes()
    optional, required = (b"\x25" + bytes([kind]) + b"\x18\x0bdialogue_id" for kind in (2, 0))
    assert optional in content
    (tmp_path / "c.parquet").write_bytes(content.replace(optional, required))
    read = f"from dialog_policy import load_corpus; load_corpus({str(tmp_path / 'c.parquet')!r})"
    done = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "CorpusError" in done.stderr.splitlines()[-1]
