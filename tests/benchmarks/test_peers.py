"""The comparison with other policies: its parts that need no training."""

import json

from benchmarks.peers import regression
from benchmarks.peers.compare import kept_rows, short_table, table
from benchmarks.peers.files import note_best_epoch, write_decisions
from benchmarks.peers.installed import installed_bytes


def test_decisions_and_times_are_written(tmp_path):
    turns = [{"user": "hello", "actions": ["greet"]}, {"user": "bye", "actions": None}]
    (tmp_path / "test.jsonl").write_text(json.dumps({"id": "d", "turns": turns}) + "\n")
    calls = []

    def load(out):
        calls.append(out)
        return lambda dialogue: (["say", "greet"] for _ in dialogue["turns"])

    write_decisions(load, tmp_path, tmp_path)
    (line,) = (tmp_path / "predictions.jsonl").read_text().splitlines()
    assert json.loads(line) == {"dialogue": "d", "turn": 0, "actions": ["greet", "say"]}
    timed = json.loads((tmp_path / "predict.json").read_text())
    assert len(timed["microseconds"]) == len(calls) == 2
    note_best_epoch(tmp_path, [5.0, 6.0, 7.0], [0.1, 0.3, 0.2])
    assert json.loads((tmp_path / "fit.json").read_text())["best_epoch"] == 2


def test_a_library_takes_what_it_requires():
    alone, with_more = installed_bytes("click"), installed_bytes("dialog-policy")
    assert 0 < alone < with_more < installed_bytes("dialog-policy[train]")


def test_the_tables_have_a_row_a_policy_and_at_most_seven_columns(tmp_path):
    accuracy = {"turn_accuracy": [0.5, 0.4, 0.6], "micro_f1": [0.6, 0.5, 0.7]}
    times = dict.fromkeys(("fit_seconds", "import_seconds", "load_seconds", "decision_us", "decision_p99_us"), 2_000.0)
    sizes = {"mib": 100.0, "fit_mib": 1_500.0, "installed_mib": [145.0, 2_300.0], "best_seconds": None}
    places = [
        ("ted", 5, "Rasa 3.6.21, TED policy, 15 epochs"),
        ("ted", 5, "logistic regression, scikit-learn"),
        ("bundled", 960, "this package, defaults"),
        ("bundled", 100, "this package, defaults"),
    ]
    for number, (corpus, dialogues, contender) in enumerate(places):
        row = {"corpus": corpus, "dialogues": dialogues, "contender": contender, **accuracy, **times, **sizes}
        file = tmp_path / f"{corpus}-{dialogues}" / str(number) / "row.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(row))
    rows = kept_rows(tmp_path)
    assert [(row["corpus"], row["dialogues"], row["contender"]) for row in rows] == [
        *reversed(places[2:]),
        *reversed(places[:2]),
    ]
    lines = list(table(rows))
    assert lines[2] == "| bundled, 100 | this package, defaults | 50.0 [40.0, 60.0] | 60.0 [50.0, 70.0] | 2000 s | – |"
    assert lines[-1].endswith("| 2.0 ms, 2.0 ms | 2000.0 s | 2000.00 s | 100, 1,500 MiB | 145, 2,300 MiB |")
    short = list(short_table(kept_rows(tmp_path, 5)))
    assert short[0] == "| policy | ted | decision, median | installed |"
    assert short[2] == "| logistic regression, scikit-learn | 50.0 [40.0, 60.0] | 2.0 ms | 145 MiB |"
    assert len(short) == 4
    short = list(short_table([row for row in rows if row["dialogues"] != 960]))
    assert short[2] == "| this package, defaults | 50.0 [40.0, 60.0] | – | 2.0 ms | 145 MiB |"
    assert all(line.count("|") <= 8 for line in lines + short)


def test_the_regression_decides_what_it_was_fitted_on(tmp_path):
    """It is asked turn by turn, with what the user said before: `more` alone does not say which of two."""
    dialogues = [
        {
            "id": f"d{n}",
            "turns": [{"user": word, "actions": [f"find_{word}", "say"]}, {"user": "more", "actions": [word]}],
        }
        for n, word in enumerate(["pizza", "sushi"] * 10)
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(d) + "\n" for d in dialogues))
    regression.fit(tmp_path, tmp_path)
    decide = regression.load(tmp_path)
    assert list(decide(dialogues[1])) == [["find_sushi", "say"], ["sushi"]]
