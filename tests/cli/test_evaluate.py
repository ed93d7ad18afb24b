import csv
import json
import re

import numpy as np
import pytest

from dialog_policy.corpus.write import write_corpus
from dialog_policy.evaluation.prediction_files import write_predictions
from dialog_policy.prediction import Prediction
from tests.cli.commands import run


@pytest.fixture(scope="module")
def corpus(small, tmp_path_factory):
    path = tmp_path_factory.mktemp("scored") / "small.jsonl"
    write_corpus(small, path)
    return path


@pytest.fixture(scope="module")
def predictions(small, corpus):
    """Right two times of three, with probabilities."""
    random = np.random.default_rng(0)
    made = []
    for dialogue in small.split("test"):
        for number, turn in enumerate(dialogue.turns):
            if turn.is_target:
                actions = turn.actions if random.random() < 0.67 else frozenset({"greet"})
                shares = {action: float(random.uniform(0.5, 1)) for action in actions} | {"bye": 0.01}
                made.append(
                    Prediction(
                        dialogue=dialogue.id,
                        turn=number,
                        actions=actions,
                        probabilities=shares,
                        confidence=random.random(),
                    )
                )
    path = corpus.parent / "p.jsonl"
    write_predictions(path, made)
    return path


def test_score_writes_every_form(predictions, corpus, tmp_path):
    forms = {"--json": "s.json", "--html": "r.html", "--markdown": "r.md", "--csv": "tables", "--plots": "plots"}
    options = [word for option, name in forms.items() for word in (option, tmp_path / name)]
    shown = run("score", predictions, corpus, "--split", "test", "--plot-format", "png", *options).output
    result = json.loads((tmp_path / "s.json").read_text())
    assert f"{result['turn_accuracy']:.3f}" in shown
    assert result["mistakes"]["worst_dialogues"]
    assert f"{result['turn_accuracy']:.3f}"[1:] in (tmp_path / "r.md").read_text()
    assert (tmp_path / "r.html").read_text().lstrip().startswith("<!")
    assert {path.suffix for path in (tmp_path / "plots").iterdir()} == {".png"}
    tables = {path.stem: list(csv.DictReader(path.open())) for path in (tmp_path / "tables").iterdir()}
    assert set(tables) == {
        "metrics", "by_length", "by_turn", "by_action", "slices", "calibration", "calibration_bits", "precision_recall",
    }  # fmt: skip
    figures = {row["metric"]: row for row in tables["metrics"]}
    assert float(figures["top_k.3"]["value"]) == result["top_k"]["3"]
    assert float(figures["turn_accuracy"]["low"]) == result["ci95"]["turn_accuracy"][0]
    assert figures["seen.turn_accuracy"]["low"] == ""
    assert [row["action"] for row in tables["by_action"]] == [row["action"] for row in result["by_action"]]
    for row, written in zip(result["slices"], tables["slices"], strict=True):
        assert (row["field"], row["value"]) == (written["field"], written["value"])
        assert float(written["micro_f1_high"]) == row["ci95"]["micro_f1"][1]


def test_score_says_which_share_of_the_dialogues_is_predicted(predictions, corpus, tmp_path):
    few = tmp_path / "few.jsonl"
    lines = predictions.read_text().splitlines(keepends=True)
    first = json.loads(lines[0])["dialogue"]
    few.write_text("".join(line for line in lines if json.loads(line)["dialogue"] != first))
    options = ["--split", "test", "--resamples", 0, "--json", tmp_path / "s.json"]
    run("score", predictions, corpus, *options)
    whole = json.loads((tmp_path / "s.json").read_text())
    assert whole["warnings"] == []
    shown = run("score", few, corpus, *options).output
    result = json.loads((tmp_path / "s.json").read_text())
    left, n = result["dialogues"], whole["dialogues"]
    assert left == n - 1
    (warning,) = result["warnings"]
    assert warning.startswith(f"The predictions cover {left} of the {n} dialogues that have turns to predict")
    assert f"Warning: {warning}" in " ".join(shown.split())


def test_score_knows_the_training_part(predictions, corpus, tmp_path):
    run("score", predictions, corpus, "--split", "test", "--json", tmp_path / "s.json", "--resamples", 0)
    result = json.loads((tmp_path / "s.json").read_text())
    assert result["ci95"] == {}
    fields = {row["field"] for row in result["slices"]}
    assert {"unknown_words", "action_support", "domains"} <= fields


def test_actions_name_what_the_policy_was_trained_on(predictions, corpus, tmp_path):
    (tmp_path / "actions.txt").write_text("greet\nbye\n\n")
    output = ["--json", tmp_path / "s.json"]
    run("score", predictions, corpus, "--split", "test", "--actions", tmp_path / "actions.txt", *output)
    result = json.loads((tmp_path / "s.json").read_text())
    assert result["unseen_action_turns"] > result["turns"] / 2
    missing = run("score", predictions, corpus, "--actions", tmp_path / "no.txt", code=2)
    assert "--actions" in missing.output


@pytest.mark.parametrize(
    ("limits", "code", "message"),
    [
        (["--fail-under", "turn_accuracy=0.1", "--fail-over", "log_loss=99"], 0, None),
        (["--fail-under", "turn_accuracy=0.99"], 1, "Failed: turn_accuracy is 0."),
        (["--fail-under", "turn_accuracy=0.1", "--fail-under", "top_k.1=1.01"], 1, "expected at least 1.01"),
        (["--fail-over", "calibration.ece=0"], 1, "expected at most 0"),
        (["--fail-under", "turn_acuracy=0.5"], 2, "Did you mean 'turn_accuracy'"),
        (["--fail-under", "turn_accuracy"], 2, "expected KEY=VALUE"),
        (["--fail-under", "turn_accuracy=much"], 2, "expected a number, found 'much'"),
    ],
)
def test_a_gate(limits, code, message, predictions, corpus):
    shown = run("score", predictions, corpus, "--split", "test", "--resamples", 0, *limits, code=code)
    if message:
        assert message in shown.stderr
        assert len(shown.stderr.strip().splitlines()) == 1
    else:
        assert not shown.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda fields: {**fields, "confidence": 1.5}, "line 3, dialogue '{dialogue}', turn 2 .*1.5"),
        (
            lambda fields: {**fields, "probabilities": {"gret": 0.5}},
            "line 3, dialogue '{dialogue}', turn 2 .*'gret'.*'greet'",
        ),
        (lambda fields: {**fields, "turn": 0}, "line 3, dialogue '{dialogue}', turn 0 .*twice"),
        (lambda fields: {**fields, "dialogue": "x"}, "line 3, dialogue 'x', turn 2 .*not in small.jsonl"),
        (lambda fields: None, "dialogue '{dialogue}', turn 2 .*found none"),
    ],
)
def test_a_bad_prediction_is_refused_with_its_place(change, message, predictions, corpus, tmp_path):
    lines = [json.loads(line) for line in predictions.read_text().splitlines()]
    lines[2] = change(lines[2])
    (tmp_path / "bad.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines if line))
    shown = run("score", tmp_path / "bad.jsonl", corpus, "--split", "test", code=2)
    assert re.search("bad.jsonl, " + message.format(dialogue=lines[0]["dialogue"]), shown.stderr)


def test_evaluate_has_probabilities_and_every_baseline(trained, corpus, tmp_path):
    trained.save(tmp_path / "run")
    run("evaluate", tmp_path / "run", corpus, "--json", tmp_path / "e.json", "--csv", tmp_path / "tables")
    result = json.loads((tmp_path / "e.json").read_text())
    assert result["log_loss"] > 0
    assert set(result["top_k"]) == {"1", "3", "5"}
    assert list(result["baselines"]) == [
        "majority",
        "bigram",
        "nearest_neighbour",
        "logreg_utterance",
        "logreg_history",
        "logreg_context",
        "logreg_dialogue",
    ]
    assert all("turn_accuracy" in scores["ci95"] for scores in result["baselines"].values())
    assert {"unknown_words", "action_support"} <= {row["field"] for row in result["slices"]}
    history = list(csv.DictReader((tmp_path / "tables" / "history.csv").open()))
    assert [int(float(row["epoch"])) for row in history] == [row["epoch"] for row in trained.history_]
