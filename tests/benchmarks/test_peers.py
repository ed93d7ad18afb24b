"""The comparison with other policies: its parts that need no training."""

import json

from benchmarks.peers.compare import table
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


def test_the_tables_have_a_row_a_policy_and_at_most_seven_columns():
    accuracy = {"turn_accuracy": [0.5, 0.4, 0.6], "micro_f1": [0.6, 0.5, 0.7]}
    times = dict.fromkeys(("fit_seconds", "import_seconds", "load_seconds", "decision_us", "decision_p99_us"), 2_000.0)
    sizes = {"mib": 100.0, "fit_mib": 1_500.0, "installed_mib": [145.0, 2_300.0], "best_seconds": None}
    rows = [
        {"corpus": "c", "contender": "p", **accuracy, **times, **sizes},
        {"corpus": "c", "contender": "q", **accuracy},
    ]
    lines = list(table(rows))
    assert lines[2] == "| c | p | 50.0 [40.0, 60.0] | 60.0 [50.0, 70.0] | 2000 s | – |"
    assert lines[3].endswith("| – | – |")
    assert lines[-1] == "| c | p | 2.0 ms, 2.0 ms | 2000.0 s | 2000.00 s | 100, 1,500 MiB | 145, 2,300 MiB |"
    assert all(line.count("|") <= 8 for line in lines)
