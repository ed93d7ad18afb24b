"""Sums of parts, merged in any order, are those of the whole to the last digit."""

import itertools

import numpy as np
import pytest

from dialog_policy.corpus import Corpus, Dialogue, Turn
from dialog_policy.corpus.training_part import TrainingPart
from dialog_policy.evaluation import grouped_totals, probability_scores
from dialog_policy.evaluation.collect import Actions, Collector
from dialog_policy.evaluation.evaluation import Evaluation, nested
from dialog_policy.evaluation.grouped_totals import group_of
from dialog_policy.evaluation.policy_sums import Plan, PolicySums
from dialog_policy.prediction import Prediction
from dialog_policy.text.tokens import tokenize

NAMES = [f"a{i}" for i in range(6)]


def made(n, seed=0):
    """Dialogues, and predictions of which some have actions that nothing else has."""
    random = np.random.default_rng(seed)
    dialogues, predictions = [], []
    for d in range(n):
        turns = []
        for t in range(int(random.integers(1, 5))):
            gold = frozenset(random.choice(NAMES, size=int(random.integers(0, 3)), replace=False).tolist())
            mine = gold if random.random() < 0.6 else frozenset([f"new{int(random.integers(9))}"])
            turns.append(Turn(user="so many words " * t, actions=gold))
            shares = dict(zip(NAMES, random.random(6).round(3).tolist(), strict=True))
            confidence, logged = random.random(2).tolist()
            predictions.append(
                Prediction(
                    dialogue=f"d{d}", turn=t, actions=mine, probabilities=shares, confidence=confidence, logged=logged
                )
            )
        dialogues.append(Dialogue(id=f"d{d}", turns=tuple(turns), fields={"domain": "xyz"[d % 3], "number": d}))
    return Corpus(dialogues), predictions


def figures(corpus, predictions, cuts, together, order=None):
    """Everything that an evaluation says, by sums of parts between `cuts`."""
    plan = Plan.of(corpus, TrainingPart(dict.fromkeys(NAMES, 9), frozenset({"so"})), tokenize)
    merged = PolicySums(Actions(NAMES, plan.gold), plan)
    borders = [0, *cuts, len(corpus)]
    parts = list(itertools.pairwise(borders))
    for start, end in parts if order is None else [parts[i] for i in order]:
        part = corpus[start:end]
        own = [p for p in predictions if p.dialogue in part.ids]
        sums = PolicySums(Actions(NAMES, plan.gold), plan)
        for chunk in Collector(part, sums.actions, first=start).chunks(own, together=together):
            sums.add(chunk)
        merged.merge(sums)
    complete = merged.figures()
    ci95, intervals = complete.intervals(resamples=60, seed=3)
    evaluation = Evaluation(
        warnings=[], corpus="c", split="all", dialogues=complete.totals.n, turns=merged.n_turns,
        **nested(complete.values), unseen_action_turns=merged.unseen_action_turns, seen=complete.seen, baselines={},
        by_length=[], by_turn=[], by_action=[], slices=[], ci95=ci95,
    )  # fmt: skip
    merged.fill(evaluation, complete, intervals)
    return evaluation.to_json()


@pytest.mark.parametrize("most_raw", [10**9, 50])
@pytest.mark.parametrize("groups", [10_000, 40])
def test_workers_and_one_process_give_the_same_to_the_last_digit(monkeypatch, most_raw, groups):
    monkeypatch.setattr(probability_scores, "_MOST_RAW", most_raw)
    monkeypatch.setattr(grouped_totals, "GROUPS", groups)
    corpus, predictions = made(120)
    whole = figures(corpus, predictions, [], None)
    assert whole["by_action"][0]["precision_recall"]
    assert {row["field"] for row in whole["slices"]} >= {"domain", "number", "unknown_words"}
    for cuts, together, order in (([17, 60, 61], 7, None), ([40, 80], 1, [2, 0, 1]), ([], 50, None)):
        assert figures(corpus, predictions, cuts, together, order) == whole


def test_bins_of_very_many_probabilities_change_little(monkeypatch):
    corpus, predictions = made(150)
    exact = {row["action"]: row["average_precision"] for row in figures(corpus, predictions, [], None)["by_action"]}
    monkeypatch.setattr(probability_scores, "_MOST_RAW", 0)
    binned = {row["action"]: row["average_precision"] for row in figures(corpus, predictions, [], None)["by_action"]}
    assert binned == pytest.approx(exact, abs=0.01)


def test_groups_have_equal_sizes_and_the_first_dialogues_one_each():
    groups = group_of(np.arange(35_000))
    assert groups[:10_000].tolist() == list(range(10_000))
    assert set(np.bincount(groups).tolist()) == {3, 4}
    assert group_of(np.array([34_999, 3, 20_000])).tolist() == groups[[34_999, 3, 20_000]].tolist()
