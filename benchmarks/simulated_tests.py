"""How often the tests of a comparison call two policies different, when they are and when they are not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from tqdm import tqdm

from dialog_policy.comparison import compare
from dialog_policy.corpus import Corpus, Dialogue, Turn
from dialog_policy.prediction import Prediction

__all__ = ["make_contest", "measure_tests"]

_RIGHT, _WRONG = frozenset(["right"]), frozenset(["wrong"])


def make_contest(seed: int, gain: float, dialogues: int) -> tuple[Corpus, dict[str, list[Prediction]]]:
    """Two policies on dialogues of 1 to 10 turns, each as hard as it happens to be; the second is better by `gain` a turn."""
    random = np.random.default_rng(seed)
    led, policies = [], {"a": list[Prediction](), "b": list[Prediction]()}
    for number in range(dialogues):
        n = int(random.integers(1, 11))
        ease = random.beta(4, 2) * (1 - gain)
        led.append(Dialogue(id=f"{number}", turns=(Turn(user="", actions=_RIGHT),) * n))
        for name, share in (("a", ease), ("b", ease + gain)):
            for turn, is_right in enumerate(random.random(n) < share):
                actions = _RIGHT if is_right else _WRONG
                policies[name].append(Prediction(dialogue=f"{number}", turn=turn, actions=actions))
    return Corpus(led, name="simulated"), policies


def measure_tests(gain: float, runs: Iterable[int], *, dialogues: int = 60) -> dict[str, Any]:
    """Share of contests that each test finds decided at the level 0.05, and coverage of the interval of the difference."""
    p_values, covered = [], []
    for seed in tqdm(runs, desc="contests", disable=None):
        corpus, policies = make_contest(seed, gain, dialogues)
        rows = compare(
            policies, corpus, metrics=["turn_accuracy", "dialogue_accuracy"], resamples=1_000, seed=seed
        ).pairs
        turns, successes = rows
        p_values.append([turns.p_bootstrap, turns.p_randomisation, successes.p_randomisation, successes.p_mcnemar])
        assert turns.ci95 is not None
        covered.append(turns.ci95[0] <= -gain <= turns.ci95[1])
    shares = (np.array(p_values) <= 0.05).mean(axis=0).tolist()
    names = ("turns, bootstrap", "turns, randomisation", "dialogues, randomisation", "dialogues, McNemar")
    return {**dict(zip(names, shares, strict=True)), "coverage": float(np.mean(covered))}
