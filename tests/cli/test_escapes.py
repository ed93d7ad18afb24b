"""Codes for the terminal, in whatever somebody else has named or said, never reach it."""

import json

import pytest
from click.testing import CliRunner

from dialog_policy.cli import main
from tests.hostile import runs

# A colour, the bell, a mark that reorders what follows it.
CODES = "\x1b[31m\x07\u202e"
DIALOGUES = runs.GOOD.with_name(f"{runs.GOOD.name}-dialogues.jsonl")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A corpus with the codes wherever there is a text."""
    path = tmp_path_factory.mktemp("codes") / f"{CODES}.jsonl"
    lines = []
    for number, line in enumerate(DIALOGUES.read_text().splitlines()):
        dialogue = json.loads(line)
        turns = [
            {
                "user": CODES + turn["user"],
                "system": CODES + turn["system"],
                "actions": None
                if turn["actions"] is None
                else [f"{CODES}{a}" if n % 3 else a for a in turn["actions"]],
                "context": {CODES: [CODES]},
                "reward": 1.0,
                "propensity": 0.5,
            }
            for n, turn in enumerate(dialogue["turns"])
        ]
        part = ["train", "dev", "test"][number % 3]
        lines.append(json.dumps({"id": f"{CODES}{number}", "split": part, "turns": turns, "domain": CODES}) + "\n")
    path.write_text("".join(lines))
    return path


def said(*arguments, **options):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], **options)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert not set(CODES[0] + CODES[-2:]) & set(result.output), result.output
    return result.output


def test_of_corpora_results_and_names_of_files(corpus, tmp_path):
    said("inspect", corpus)
    said("validate", corpus)
    said("split", corpus, tmp_path / CODES, "--parts", "a=0.5", "--parts", "b=0.5")
    said("split", corpus, tmp_path / "parts", "--group-by", CODES)
    said("convert", corpus, tmp_path / f"{CODES}.csv")
    said("convert", corpus, tmp_path / f"{CODES}.zzz")
    predictions = tmp_path / f"{CODES}p.jsonl"
    said("predict", runs.GOOD, corpus, "--split", "all", "--out", predictions)
    for more in ((), ("--split", CODES), ("--by", "domain"), ("--by", CODES)):
        said("evaluate", runs.GOOD, corpus, "--resamples", "0", "--split", "all", *more)
    said("score", predictions, corpus, "--split", "all", "--resamples", "0")
    said("compare", runs.GOOD, predictions, corpus, "--split", "all", "--resamples", "20")
    said("value", runs.GOOD, corpus, "--split", "all")
    said("export", runs.GOOD, tmp_path / f"{CODES}.zip")
    said("chat", tmp_path / CODES)
    said("train", corpus, "--out", tmp_path / "r", "--set", f"{CODES}=1")


def test_of_damaged_corpora(tmp_path):
    (tmp_path / "bad.jsonl").write_text(json.dumps({"id": CODES, "turns": [{"user": 3, CODES: 1}]}))
    (tmp_path / "bad.csv").write_text(f"dialogue_id,user,{CODES}\n{CODES},a,b\n")
    (tmp_path / "bad.yml").write_text(f"stories:\n- story: {json.dumps(CODES)}\n  steps:\n  - checkpoint: 3\n")
    for name in ("bad.jsonl", "bad.csv", "bad.yml"):
        said("inspect", tmp_path / name)
        said("validate", tmp_path / name)


def test_of_a_bot_that_a_stranger_made(tmp_path):
    def change(replies):
        replies["templates"] = [[actions, [CODES + text for text in texts]] for actions, texts in replies["templates"]]

    for name, content in runs.hashed(runs.changed_document("replies.json", change)).items():
        (tmp_path / name).write_bytes(content)
    lines = [
        f"{CODES}hello",
        f'/context {{"a": "{CODES}"}}',
        "/undo",
        f"/{CODES}",
        f"/save {tmp_path}/{CODES}.jsonl",
        "/quit",
    ]
    assert "\\x1b[31m" in said("chat", tmp_path, input="\n".join(lines))
