"""The table of the default settings and the baselines, on a few dialogues."""

import json
from functools import partial

import pytest

from benchmarks import defaults
from benchmarks.defaults import BASELINES, MATCHES, Match, deal, play, table
from dialog_policy import DialogPolicy


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(defaults, "DialogPolicy", partial(DialogPolicy, hidden=8, epochs=1))


def test_parts_are_disjoint_bounded_and_drawn_by_hash(tmp_path):
    train, test = deal(Match(tested="test"), tmp_path, most=12)
    assert (len(train), len(test)) == (12, 6)
    assert {d.split for d in train} == {"train"}
    assert {d.split for d in test} == {"test"}
    larger, _ = deal(Match(tested="test"), tmp_path, most=20)
    assert set(train.ids) < set(larger.ids)
    fifth, rest = deal(Match(), tmp_path, most=10_000)
    assert not set(fifth.ids) & set(rest.ids)
    assert 0.15 < len(rest) / (len(fifth) + len(rest)) < 0.25
    draw, _ = deal(Match(tested="test", draw=1), tmp_path, most=500)
    assert list(draw.ids) == list(larger_part(tmp_path).ids)[30:60]


def larger_part(folder):
    return deal(Match(tested="test"), folder, most=10_000)[0]


def test_a_row_has_the_policy_and_every_baseline_and_is_computed_once(tmp_path, monkeypatch):
    header, _, row = table(["bundled"], [0, 1], tmp_path, tmp_path, most=12)
    assert all(f"`{name}`" in header for name in BASELINES)
    cells = row.strip("| ").split(" | ")
    assert len(cells) == 2 + len(BASELINES)
    found = [json.loads(path.read_text()) for path in sorted(tmp_path.iterdir())]
    assert [(f["train"], f["test"]) for f in found] == [(12, 6)] * 2
    accuracies = [100 * f["outcome"]["policy"][0] for f in found]
    assert cells[1].startswith(f"{sum(accuracies) / 2:.1f} ± ")
    monkeypatch.setattr(defaults, "DialogPolicy", None)
    assert list(play("bundled", [1, 0], tmp_path, tmp_path, most=12)) == [f["outcome"] for f in reversed(found)]


def test_a_corpus_that_cannot_be_read_has_a_row_that_says_why(tmp_path):
    *_, row = table(["CamRest"], [0], tmp_path, tmp_path, most=12)
    assert row.startswith("| CamRest | not compared: ")
    assert row.count("|") == 3 + len(BASELINES)


def test_every_public_corpus_is_compared(public_corpora):
    archives = {path.name for path in public_corpora("README.md").parent.glob("*.zip")}
    assert archives <= {match.archive for match in MATCHES.values()}
