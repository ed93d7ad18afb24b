import hashlib
import json

import pytest

from dialog_policy.corpus.readers import stream
from dialog_policy.corpus.write import write_corpus
from tests.cli.commands import run


@pytest.fixture(scope="module")
def corpus_file(small, tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "small.jsonl"
    write_corpus(small, path)
    return path


def test_inspect_says_the_same_on_screen_in_json_and_in_html(small, corpus_file, tmp_path):
    shown = run("inspect", corpus_file, "--json", tmp_path / "i.json", "--html", tmp_path / "i.html").output
    summary = json.loads((tmp_path / "i.json").read_text())
    page = (tmp_path / "i.html").read_text()
    assert (summary["corpus"], summary["format"]) == ("small.jsonl", "jsonl")
    assert summary["target_turns"] == small.n_targets
    assert {name: part["dialogues"] for name, part in summary["splits"].items()} == {"train": 24, "dev": 24, "test": 12}
    ceiling = f"{100 * summary['contradictions']['recent']['max_accuracy']:.1f}"
    assert f"{ceiling}%" in shown
    assert f"{ceiling} %" in page
    for row in summary["actions"]:
        assert f"<td>{row['action']}</td><td>{row['turns']}</td>" in page
    for problem in summary["problems"]:
        assert f"Problem: {problem}" in shown
    assert page.count("<svg") == 4


def test_the_page_loads_nothing_and_escapes_what_the_corpus_says(tmp_path):
    bad = "<script>alert(1)</script>$x$"
    turns = [{"user": bad, "actions": [bad, "b"]}, {"user": bad, "actions": ["b"]}]
    lines = [json.dumps({"id": f"{bad}{i}", "turns": turns[::step]}) for i, step in enumerate((1, -1))]
    (tmp_path / "c.jsonl").write_text("\n".join(lines))
    run("inspect", tmp_path / "c.jsonl", "--html", tmp_path / "c.html")
    page = (tmp_path / "c.html").read_text()
    assert "<script>alert" not in page
    assert page.count("<script>") == 1
    assert "src=" not in page
    assert 'href="http' not in page


def test_validate_of_a_good_corpus(corpus_file, tmp_path):
    shown = run("validate", corpus_file, "--json", tmp_path / "v.json").output
    found = json.loads((tmp_path / "v.json").read_text())
    assert (found["ok"], found["errors"], found["dialogues"]) == (True, 0, 60)
    assert found["warnings"] == len(found["problems"])
    assert "errors: 0" in shown


FAULTY = {
    "broken line": ('{"id": "a", "turns": [{"user": "x", "actions": ["y"]}]}\n{"id": 3}', "line 2"),
    "same id": ('{"id": "a", "turns": [{"user": "x", "actions": ["y"]}]}\n' * 2, "with the id of an earlier one"),
    "no actions": ('{"id": "a", "turns": [{"user": "x", "actions": null}]}', "nothing to predict"),
    "empty": ("\n", "no dialogues"),
    "propensity": ('{"id": "a", "turns": [{"actions": ["y"], "propensity": 2}]}', "dialogue 'a', turn 0"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_validate_of_a_faulty_corpus_exits_with_1(name, tmp_path):
    content, message = FAULTY[name]
    (tmp_path / "c.jsonl").write_text(content)
    shown = run("validate", tmp_path / "c.jsonl", "--json", tmp_path / "v.json", code=1).output
    assert shown.startswith("error: ")
    assert message in shown
    found = json.loads((tmp_path / "v.json").read_text())
    assert not found["ok"]
    assert {"level", "check", "message", "remedy", "count", "places"} == set(found["problems"][0])


def test_validate_of_a_damaged_archive_exits_with_1(tmp_path):
    (tmp_path / "c.zip").write_bytes(b"PK\x03\x04 and no more")
    assert "c.zip" in run("validate", tmp_path / "c.zip", code=1).output


@pytest.mark.parametrize(
    "arguments",
    [
        ["validate", "{tmp}/nowhere.jsonl"],
        ["validate", "{corpus}", "--format", "jsnl"],
        ["validate", "{corpus}", "--reader", "labels=act"],
        ["split", "{corpus}", "{tmp}/out", "--parts", "train=2"],
        ["split", "{corpus}", "{tmp}/out", "--parts", "all=1"],
        ["split", "{corpus}", "{tmp}/out", "--parts", "../x=1"],
        ["split", "{corpus}", "{tmp}/out", "--group-by", "none"],
        ["split", "{corpus}", "{corpus}"],
        ["download", "no-such-corpus"],
        ["download", "sgd", "--catalogue", "{tmp}/nowhere.json"],
        ["download", "dialog-babi", "--cache", "{tmp}/cache", "--mirror", "http://127.0.0.1:9"],
    ],
)
def test_a_users_mistake_exits_with_2_and_writes_nothing(arguments, corpus_file, tmp_path):
    filled = [a.format(tmp=tmp_path, corpus=corpus_file) for a in arguments]
    assert run(*filled, code=2).output.startswith("Error: ")
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_split_and_its_parts_in_the_next_command(corpus_file, tmp_path):
    shown = run("split", corpus_file, tmp_path / "out", "--parts", "train=0.5", "held-out=0.5", "--seed", 4).output
    assert [line.split(":")[0].rsplit("/")[-1] for line in shown.splitlines()] == ["train.jsonl", "held-out.jsonl"]
    run("inspect", tmp_path / "out", "--json", tmp_path / "i.json")
    parts = json.loads((tmp_path / "i.json").read_text())["splits"]
    assert 27 <= parts["held-out"]["dialogues"] <= 33
    assert sum(part["dialogues"] for part in parts.values()) == 60
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    run("split", corpus_file, tmp_path / "out", "--parts", "train=0.5", "held-out=0.5", "--seed", 4)
    assert before == {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    # With other parts the old ones would be read along with the new.
    assert "expected a new folder" in run("split", corpus_file, tmp_path / "out", code=2).output


def test_split_by_default(corpus_file, tmp_path):
    run("split", corpus_file, tmp_path)
    assert {d.split for d in stream(tmp_path)} == {"train", "dev", "test"}


def test_download_lists_what_there_is():
    for arguments in (["download"], ["download", "--list"]):
        shown = run(*arguments).output
        assert "CC BY-SA 4.0" in shown
        assert "multiwoz-2.1" in shown


def test_download_from_a_catalogue_of_ones_own(tmp_path, corpus_file):
    pytest.importorskip("pooch")
    sha256 = hashlib.sha256(corpus_file.read_bytes()).hexdigest()
    about = {"title": "Desk", "licence": "CC0", "citation": "Us (2020)", "homepage": "h", "format": "jsonl"}
    own = {"desk": {**about, "url": "http://127.0.0.1:9/{file}", "files": {"small.jsonl": sha256}}}
    (tmp_path / "own.json").write_text(json.dumps(own))
    kept = tmp_path / "cache" / "desk" / "small.jsonl"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(corpus_file.read_bytes())  # there already: nobody is asked
    result = run("download", "desk", "--catalogue", tmp_path / "own.json", "--cache", tmp_path / "cache")
    assert result.stdout == f"{kept}\n"
    for text in ("CC0", "Us (2020)", "inspect"):
        assert text in result.stderr
