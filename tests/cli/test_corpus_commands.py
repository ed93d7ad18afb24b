import hashlib
import json
import re
import subprocess
import sys

import pytest

from dialog_policy.cli import main
from dialog_policy.corpus.readers import readers, stream
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
    assert f"{ceiling} %" in shown
    assert f"{ceiling} %" in page
    for row in summary["actions"]:
        assert f'<td class="name">{row["action"].replace("_", "_<wbr>")}</td><td>{row["turns"]}</td>' in page
    for problem in summary["problems"]:
        assert problem in shown.splitlines()
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
    result = json.loads((tmp_path / "v.json").read_text())
    assert (result["ok"], result["errors"], result["dialogues"]) == (True, 0, 60)
    assert result["warnings"] == len(result["problems"])
    assert "errors: 0" in shown


FAULTY = {
    "broken line": ('{"id": "a", "turns": [{"user": "x", "actions": ["y"]}]}\n{"id": 3}', "line 2"),
    "same id": ('{"id": "a", "turns": [{"user": "x", "actions": ["y"]}]}\n' * 2, "has the id of an earlier one"),
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
    result = json.loads((tmp_path / "v.json").read_text())
    assert not result["ok"]
    assert {"level", "check", "message", "remedy", "count", "places"} == set(result["problems"][0])


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
    again = ("split", corpus_file, tmp_path / "out", "--parts", "train=0.5", "held-out=0.5", "--seed")
    assert "has held-out.jsonl, train.jsonl already. " in run(*again, 5, code=2).output
    assert before == {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    run(*again, 5, "--force")
    assert before != {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    run(*again, 4, "--force")
    assert before == {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    # With other parts the old ones would be read along with the new.
    assert "expected a new or empty folder" in run("split", corpus_file, tmp_path / "out", code=2).output


def test_a_split_by_time(tmp_path):
    turns = [{"user": "x", "actions": ["a"]}]
    lines = [json.dumps({"id": str(n), "at": n % 10, "turns": turns}) for n in range(20)]
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    run("split", tmp_path / "log.jsonl", tmp_path / "out", "--order-by", "at")
    parts = {
        path.stem: {json.loads(line)["at"] for line in path.read_text().splitlines()}
        for path in (tmp_path / "out").iterdir()
    }
    assert parts == {"train": set(range(8)), "dev": {8}, "test": {9}}
    mixed = run("split", tmp_path / "log.jsonl", tmp_path / "more", "--order-by", "at", "--group-by", "at", code=2)
    assert "--order-by alone decides" in mixed.output


def test_a_split_that_breaks_off_leaves_nothing_and_can_be_repeated(corpus_file, tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("dialog_policy.corpus.write.native_line", interrupted)
        run("split", corpus_file, tmp_path / "out", code=1)
    assert list(tmp_path.iterdir()) == []
    run("split", corpus_file, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["dev.jsonl", "test.jsonl", "train.jsonl"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_killed_split_does_not_refuse_its_own_retry(corpus_file, tmp_path):
    script = (
        "import os, sys; from dialog_policy.cli import main; from dialog_policy.corpus import write; count = []; "
        "write.native_line = lambda d: os._exit(9) if len(count) > 30 else (count.append(1), b'{}')[1]; main(sys.argv[1:])"
    )
    killed = subprocess.run([sys.executable, "-c", script, "split", corpus_file, tmp_path / "out"], check=False)
    assert killed.returncode == 9
    assert not (tmp_path / "out").exists()
    run("split", corpus_file, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_convert_replaces_nothing_without_force(corpus_file, tmp_path):
    mine = tmp_path / "mine.csv"
    run("convert", corpus_file, mine)
    before = mine.read_bytes()
    for source, target in ((mine, mine), (corpus_file, mine)):
        assert "exists already. Name another file, or give --force" in run("convert", source, target, code=2).output
        assert mine.read_bytes() == before
    run("convert", mine, mine, "--force")
    assert mine.read_bytes() == before


@pytest.mark.parametrize(("command", "option"), [("inspect", "--json"), ("inspect", "--html"), ("validate", "--json")])
def test_no_output_takes_the_place_of_the_corpus(command, option, corpus_file, tmp_path):
    mine = tmp_path / "mine.jsonl"
    mine.write_bytes(corpus_file.read_bytes())
    assert "would be overwritten" in run(command, mine, option, tmp_path / "." / "mine.jsonl", code=2).output
    assert mine.read_bytes() == corpus_file.read_bytes()


def line(name, user="hi", **others):
    return json.dumps({"id": name, "turns": [{"user": user, "actions": ["a"]}], **others}) + "\n"


def test_several_corpora_are_inspected_validated_converted_and_split_as_one(tmp_path):
    (tmp_path / "mine.csv").write_text("dialogue_id,user,actions\n1,x,a\n2,y,b\n")
    (tmp_path / "chat.jsonl").write_text(line("1", "z") + line("3", "x"))
    both = (tmp_path / "mine.csv", tmp_path / "chat.jsonl")
    assert "mine.csv + chat.jsonl (format mixed): 4 dialogues" in run("inspect", *both).output
    shown = run("validate", *both).output
    assert "mine.csv + chat.jsonl: 4 dialogues, 4 turns to predict" in shown
    assert "1 dialogue has the same content as another" in shown
    run("convert", *both, tmp_path / "all.jsonl")
    assert [d.id for d in stream(tmp_path / "all.jsonl")] == ["1", "2", "chat.jsonl:1", "3"]
    run("split", *both, tmp_path / "parts", "--parts", "train=0.5", "test=0.5")
    assert len(list(stream(tmp_path / "parts"))) == 4
    # A folder of files in several formats is read whole.
    (tmp_path / "both").mkdir()
    for path in both:
        path.rename(tmp_path / "both" / path.name)
    (tmp_path / "both" / "old.ods").write_text("a spreadsheet")
    (tmp_path / "both" / "README.md").write_text("about")
    result = run("inspect", tmp_path / "both")
    assert "both (format mixed): 4 dialogues" in result.output
    assert "1 file is not read: old.ods" in result.output


def test_what_reading_leaves_out_is_said_on_stderr(tmp_path):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "c.jsonl").write_text(line("1"))
    (tmp_path / "c" / "more.txt").write_text("x")
    result = run("convert", tmp_path / "c", tmp_path / "out.jsonl")
    assert result.stderr.startswith("Warning: 1 file is not read: more.txt")
    assert "1 dialogue with 1 turn written to" in result.stderr


def test_help_lists_all_commands_with_whole_sentences_and_all_formats():
    shown = run("--help").output
    assert "\b" not in shown
    assert "\\b" not in shown
    assert "..." not in shown.partition("Commands:")[2]
    for name in (*main.commands, *readers()):
        assert re.search(rf"^  {name} ", shown, re.MULTILINE)


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
