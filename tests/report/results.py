"""Results to make reports of: what `score`, `compare` and `value` write, small, with every key."""

import random
from itertools import pairwise
from typing import Any

METRICS = ("turn_accuracy", "dialogue_accuracy", "micro_f1", "macro_f1", "macro_f1_gold", "weighted_f1", "samples_f1")
METRICS += ("precision", "recall", "hamming_loss")
AWKWARD = (
    "推荐餐厅",
    "ask_$name_for_the_$price",
    "предложить <b>&amp;</b>",
    "inform_" + "_and_".join(["the_departure_time", "the_arrival_time", "the_platform", "the_price_of_the_ticket"]),
    "اقتراح",
    "line\nbreak\x07",
)


def scores(accuracy: float) -> dict[str, Any]:
    metrics: dict[str, Any] = dict.fromkeys(METRICS, accuracy)
    return {**metrics, "ci95": {name: [accuracy - 0.03, accuracy + 0.03] for name in METRICS}}


def score_result(n_actions: int = 12) -> dict[str, Any]:
    """A result of `score` with every key of the contract."""
    draw = random.Random(0)
    names = [*AWKWARD, *(f"action_{number}" for number in range(n_actions - len(AWKWARD)))]
    shares = [0.95, 0.9, 0.8, 0.7, 0.65]
    return {
        "warnings": ["The run was trained on 24 of these 100 dialogues; results on them say nothing about new ones."],
        "run": {"name": "small_run", "created": "2026-11-24T10:00:00Z", "package_version": "0.2.0", "id": "a1b2c3"},
        "corpus": "small.jsonl",
        "split": "test",
        "mode": "free-running",
        "dialogues": 100,
        "turns": 900,
        **scores(0.78),
        "unseen_action_turns": 3,
        "seen": scores(0.79),
        "response_accuracy": 0.5,
        "log_loss": 0.61,
        "brier": 0.32,
        "top_k": {"1": 0.78, "3": 0.9, "5": 0.95},
        "calibration": {
            "ece": 0.041,
            "of": "set",
            "bins": [
                {
                    "low": b / 10,
                    "high": (b + 1) / 10,
                    "count": 90 * (b > 1),
                    "confidence": b / 10 + 0.05,
                    "accuracy": b / 10 + 0.02,
                }
                for b in range(10)
            ],
        },
        "by_length": [
            {
                "length": f"{low}-{low + 3}",
                "from": low,
                "to": low + 3,
                "dialogues": 20,
                "turns": 180,
                "turn_accuracy": share,
                "dialogue_accuracy": share / 2,
                "ci95": [share - 0.05, share + 0.04],
            }
            for low, share in zip(range(1, 21, 4), shares, strict=True)
        ],
        "by_turn": [
            {"turn": t, "turns": 100 - 4 * t, "turn_accuracy": 0.9 - t / 50, "ci95": [0.85 - t / 50, 0.95 - t / 50]}
            for t in range(20)
        ],
        "by_action": [
            {
                "action": name,
                "support": 300 - number,
                "predicted": 280 - number,
                "precision": 0.8,
                "recall": 0.7,
                "f1": (f1 := draw.uniform(0.3, 0.95)),
                "ci95": [f1 - 0.04, f1 + 0.04],
                "average_precision": 0.82,
                "precision_recall": [[r / 20, 1 - r / 60 - 0.2 * (r == 20)] for r in range(21)],
            }
            for number, name in enumerate(names)
        ],
        "slices": [
            {
                "field": field,
                "value": value,
                "dialogues": 40,
                "turns": 300,
                "turn_accuracy": share,
                "micro_f1": share,
                "ci95": {"turn_accuracy": [share - 0.04, share + 0.04], "micro_f1": [share - 0.03, share + 0.03]},
            }
            for field, values in {"turn_index": ("0", "1-3", "4+"), "domain": ("餐厅", "train", "both")}.items()
            for value, share in zip(values, shares, strict=False)
        ],
        "baselines": {"majority": scores(0.1), "bigram": scores(0.4)},
        "mistakes": mistakes(names),
    }


def mistakes(names: list[str]) -> dict[str, Any]:
    """What `evaluate` finds with `mistakes`."""
    after = {
        "turn_accuracy": 0.78,
        "first": {"turns": 100, "turn_accuracy": 0.9},
        "after_right": {"turns": 600, "turn_accuracy": 0.8},
        "after_wrong": {"turns": 200, "turn_accuracy": 0.6},
    }
    turn = {"turn": 0, "user": "你好", "context": {"results": [{"name": "晓明"}]}, "system": "Hello!"}
    outcome = {"actions": [names[0]], "turns": 4, "dialogue": "d1", "turn": 0}
    bound = {
        "history": "the words",
        "histories": 800,
        "contradictory_histories": 1,
        "contradictory_turns": 6,
        "repeated_turns": 100,
        "max_accuracy": 0.93,
        "max_accuracy_repeated": None,
        "examples": [
            {
                "user": "yes",
                "context": "",
                "previous_actions": [names[1]],
                "turns": 6,
                "lost_turns": 2,
                "outcomes": [outcome, {**outcome, "actions": [], "turns": 2}],
            }
        ],
    }
    return {
        "worst_dialogues": [
            {
                "dialogue": "d1",
                "wrong_turns": 1,
                "target_turns": 2,
                "turns": [
                    {
                        **turn,
                        "gold": [names[0], names[1]],
                        "predicted": [],
                        "right": False,
                        "confidence": 0.4,
                        "probabilities": {names[0]: 0.41, names[1]: 0.3},
                    },
                    {**turn, "turn": 1, "gold": None, "predicted": None, "right": None, "confidence": None},
                    {**turn, "turn": 2, "gold": [names[2]], "predicted": [names[2]], "right": True, "confidence": 0.9},
                ],
            }
        ],
        "action_sets": [
            {"actions": [name], "turns": 60, "right": 50, "predicted": 40 + number} for number, name in enumerate(names)
        ],
        "confusions": [
            {"gold": [a], "predicted": [b], "turns": max(1, 10 - n), "gold_turns": 60, "dialogue": "d1", "turn": 0}
            for n, (a, b) in enumerate(pairwise(names))
        ],
        "other_confusions": 7,
        "never_predicted": [{"action": names[-1], "support": 5}],
        "after_error": {"free-running": after, "teacher-forced": after},
        "contradictions": {"recent": bound, "whole": {**bound, "max_accuracy": 0.99}},
    }


HISTORY = [{"epoch": n, "loss": 3 / n, "dev_turn_accuracy": 1 - 1 / n} for n in range(1, 9)]
