import json

import pytest
from click.testing import CliRunner

from benchmarks import scaling, training
from dialog_policy.cli import main
from dialog_policy.corpus import Dialogue, Turn
from dialog_policy.corpus.write import write_corpus


def test_contenders_take_turns_and_are_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_ROUNDS", 1)
    monkeypatch.setattr(training, "_OURS", ("tensorflow",))
    monkeypatch.setattr(training, "_RIVALS", ("keras_masking",))
    monkeypatch.setattr(scaling, "_SIZES", (40, 200))
    monkeypatch.setattr(scaling, "_ROUNDS", 2)
    monkeypatch.setattr(scaling, "_BATCHES", 8)
    turn = Turn(user="a", context={}, actions=frozenset("b"), system="")
    write_corpus((Dialogue(id=str(n), turns=(turn,) * (1 + n % 3)) for n in range(9)), tmp_path / "c.jsonl")
    done = CliRunner().invoke(main, ["benchmark", str(tmp_path / "c.jsonl"), "--json", str(tmp_path / "b.json")])
    assert done.exit_code == 0, done.output
    result = json.loads((tmp_path / "b.json").read_text())
    for part in (result, result["batch_128"]):
        ours, theirs = (part["contenders"][name] for name in ("tensorflow", "keras_masking"))
        assert part["dialogues"] == 9
        assert part["turns"] == 18
        assert part["ratios"]["keras_masking"] == pytest.approx(ours["turns_per_s"] / theirs["turns_per_s"])
        assert part["ratios"]["sgemm"] == pytest.approx(ours["gflop_per_s"] / part["sgemm_gflop_per_s"])
        assert theirs["padding"] == pytest.approx(1 - 18 / 27)
        assert 0 <= ours["padding"] <= theirs["padding"]
        assert ours["first_epoch_s"] >= ours["first_batch_s"] > 0
        assert ours["rss_mb"] > 50
        assert f"{ours['turns_per_s']:,.0f}" in done.output
    few, many = result["scaling"]
    # As many of 1, 2 and 3 turns as in the corpus.
    assert (few["dialogues"], many["dialogues"], few["turns"], many["turns"]) == (40, 200, 80, 400)
    assert few["time_per_turn"] == 1
    for row in (few, many):
        assert row["first_batch_s"] > 0
        assert row["peak_mb"] > 50
        assert row["low"] <= row["turns_per_s"] <= row["high"]
        assert f"{row['turns_per_s']:,.0f}" in done.output


def test_the_work_of_a_turn_is_counted():
    # Forward 300 x 512 + 128 x 512 + 128 x 40, the same for the weights, 128 x 512 + 128 x 40 back; two operations each.
    assert training.FLOP == 2 * (2 * (153_600 + 65_536 + 5_120) + 65_536 + 5_120)
