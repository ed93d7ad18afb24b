"""Metrics of predicted action sets, from integer counts per dialogue, so that a bootstrap only has to weigh them.

Averages of F1 follow scikit-learn with ``zero_division=0`` (also the samples average: a turn where both sets are empty counts 0).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dialog_policy.corpus import ActionSpace, Corpus
from dialog_policy.evaluation.predictions import Prediction, align

__all__ = ["SCALARS", "score_predictions"]

SCALARS = (
    "turn_accuracy",
    "dialogue_accuracy",
    "micro_f1",
    "macro_f1",
    "macro_f1_gold",
    "weighted_f1",
    "samples_f1",
    "precision",
    "recall",
    "hamming_loss",
)
# Upper ends of the bins of dialogue length, in turns to predict.
_LENGTH_BINS = (2, 4, 6, 8, 12, 16, 24, 32, 48)
# Resamples computed together: bounds the memory of the bootstrap.
_RESAMPLES_AT_ONCE = 250

_Counts = npt.NDArray[np.float64]


class _Turns:
    """The scored turns of one policy as arrays."""

    def __init__(self, predictions: Sequence[Sequence[Prediction]], corpus: Corpus, space: ActionSpace) -> None:
        gold_sets = [corpus[p.dialogue].turns[p.turn].actions for turns in predictions for p in turns]
        mine = [p.actions for turns in predictions for p in turns]
        self.dialogue = np.repeat(np.arange(len(predictions)), [len(turns) for turns in predictions])
        self.number = np.array([p.turn for turns in predictions for p in turns])
        self.exact = np.array([a == b for a, b in zip(mine, gold_sets, strict=True)], dtype=np.float64)
        # Bits, one (turn, action) pair for every action: sparse, since a turn has few of hundreds of actions.
        self.gold, self.predicted = _pairs(gold_sets, space), _pairs(mine, space)
        self.n_actions = len(space)

    def hits(self) -> npt.NDArray[np.int64]:
        """Pairs (turn, action) that are gold and predicted."""
        both = np.intersect1d(_key(self.gold, self.n_actions), _key(self.predicted, self.n_actions), assume_unique=True)
        return np.stack([both // max(1, self.n_actions), both % max(1, self.n_actions)])


def _pairs(sets: Sequence[frozenset[str] | None], space: ActionSpace) -> npt.NDArray[np.int64]:
    bits = [space.bits(actions) for actions in sets]
    rows = np.repeat(np.arange(len(bits)), [len(found) for found in bits])
    return np.stack([rows, np.array([bit for found in bits for bit in found], dtype=np.int64)])


def _key(pairs: npt.NDArray[np.int64], n_actions: int) -> npt.NDArray[np.int64]:
    keys: npt.NDArray[np.int64] = pairs[0] * max(1, n_actions) + pairs[1]
    return keys


class _Statistics:
    """Sums per dialogue from which every metric follows; `weights` say how often each dialogue counts.

    `totals` has, a dialogue: turns, exact turns, exact dialogue, sum of the turns' own F1. `actions` has, a dialogue and an
    action: true positives, gold, predicted.
    """

    def __init__(self, turns: _Turns, n_dialogues: int) -> None:
        n_turns = len(turns.exact)
        of_dialogue = turns.dialogue
        hits = turns.hits()

        def per_turn(pairs: npt.NDArray[np.int64]) -> _Counts:
            return np.bincount(pairs[0], minlength=n_turns).astype(np.float64)

        size = per_turn(turns.gold) + per_turn(turns.predicted)
        own_f1 = np.divide(2 * per_turn(hits), size, out=np.zeros(n_turns), where=size > 0)

        def per_dialogue(values: _Counts) -> _Counts:
            return np.bincount(of_dialogue, values, minlength=n_dialogues).astype(np.float64)

        count, exact = per_dialogue(np.ones(n_turns)), per_dialogue(turns.exact)
        whole = (count > 0) & (exact == count)
        self.totals = np.stack([count, exact, whole.astype(np.float64), per_dialogue(own_f1)], axis=1)

        def per_action(pairs: npt.NDArray[np.int64]) -> _Counts:
            flat = of_dialogue[pairs[0]] * turns.n_actions + pairs[1]
            counts = np.bincount(flat, minlength=n_dialogues * turns.n_actions)
            return counts.reshape(n_dialogues, turns.n_actions).astype(np.float64)

        self.actions = np.stack([per_action(hits), per_action(turns.gold), per_action(turns.predicted)])

    def metrics(self, weights: _Counts) -> dict[str, _Counts]:
        """Return every metric, shape (n,), for rows of dialogue weights, shape (n, n_dialogues)."""
        turns, exact, whole, own_f1 = (weights @ self.totals).T
        dialogues = weights @ (self.totals[:, 0] > 0)
        hit, gold, predicted = (weights @ part for part in self.actions)
        f1 = _ratio(2 * hit, gold + predicted)
        n_actions = max(1, f1.shape[1])
        in_gold = gold > 0
        all_hit, all_gold, all_predicted = hit.sum(axis=1), gold.sum(axis=1), predicted.sum(axis=1)
        return {
            "turn_accuracy": _ratio(exact, turns),
            "dialogue_accuracy": _ratio(whole, dialogues),
            "micro_f1": _ratio(2 * all_hit, all_gold + all_predicted),
            "macro_f1": f1.sum(axis=1) / n_actions,
            "macro_f1_gold": _ratio((f1 * in_gold).sum(axis=1), in_gold.sum(axis=1).astype(np.float64)),
            "weighted_f1": _ratio((f1 * gold).sum(axis=1), all_gold),
            "samples_f1": _ratio(own_f1, turns),
            "precision": _ratio(all_hit, all_predicted),
            "recall": _ratio(all_hit, all_gold),
            "hamming_loss": _ratio(all_gold + all_predicted - 2 * all_hit, turns * n_actions),
        }


def _ratio(above: _Counts, below: _Counts) -> _Counts:
    return np.divide(above, below, out=np.zeros_like(above, dtype=np.float64), where=below > 0)


def _scalars(statistics: _Statistics) -> dict[str, float]:
    everything = np.ones((1, len(statistics.totals)))
    return {name: float(values[0]) for name, values in statistics.metrics(everything).items()}


def _intervals(statistics: _Statistics, resamples: int, seed: int) -> dict[str, list[float]]:
    """95 % percentile intervals by resampling whole dialogues (Efron & Tibshirani 1993, chapter 13)."""
    n = len(statistics.totals)
    random = np.random.default_rng(seed)
    drawn: dict[str, list[_Counts]] = {name: [] for name in SCALARS}
    for start in range(0, resamples, _RESAMPLES_AT_ONCE):
        size = min(_RESAMPLES_AT_ONCE, resamples - start)
        weights = random.multinomial(n, np.full(n, 1 / n), size=size).astype(np.float64)
        for name, values in statistics.metrics(weights).items():
            drawn[name].append(values)
    return {name: np.quantile(np.concatenate(parts), [0.025, 0.975]).tolist() for name, parts in drawn.items()}


def _by_length(statistics: _Statistics) -> list[dict[str, Any]]:
    lengths = statistics.totals[:, 0]
    rows, low = [], 1
    for high in (*_LENGTH_BINS, None):
        chosen = (lengths >= low) & (lengths <= (np.inf if high is None else high))
        if chosen.any():
            turns, exact, whole, _ = statistics.totals[chosen].sum(axis=0)
            label = f"{low}+" if high is None else f"{low}-{high}" if high > low else f"{low}"
            rows.append(
                {
                    "length": label,
                    "from": low,
                    "to": high,
                    "dialogues": int(chosen.sum()),
                    "turns": int(turns),
                    "turn_accuracy": float(exact / turns),
                    "dialogue_accuracy": float(whole / chosen.sum()),
                }
            )
        low = (high or 0) + 1
    return rows


def _by_turn(turns: _Turns) -> list[dict[str, Any]]:
    counts = np.bincount(turns.number)
    exact = np.bincount(turns.number, turns.exact)
    return [
        {"turn": int(t), "turns": int(counts[t]), "turn_accuracy": float(exact[t] / counts[t])}
        for t in np.flatnonzero(counts)
    ]


def _by_action(statistics: _Statistics, space: ActionSpace) -> list[dict[str, Any]]:
    hit, gold, predicted = statistics.actions.sum(axis=1)
    precision, recall, f1 = _ratio(hit, predicted), _ratio(hit, gold), _ratio(2 * hit, gold + predicted)
    order = sorted(range(len(space)), key=lambda bit: (-gold[bit], space.classes_[bit]))
    return [
        {
            "action": space.classes_[bit],
            "support": int(gold[bit]),
            "predicted": int(predicted[bit]),
            "precision": float(precision[bit]),
            "recall": float(recall[bit]),
            "f1": float(f1[bit]),
        }
        for bit in order
    ]


def score_predictions(
    predictions: Iterable[Prediction],
    corpus: Corpus,
    *,
    known_actions: Sequence[str] | None = None,
    split: str = "all",
    baselines: Mapping[str, Iterable[Prediction]] | None = None,
    replies: Mapping[tuple[str, int], str] | None = None,
    resamples: int = 2_000,
    seed: int = 0,
) -> dict[str, Any]:
    """Score predictions against the corpus they belong to.

    Parameters
    ----------
    predictions
        One for each target turn of the dialogues they mention.
    corpus
        The gold dialogues.
    known_actions
        The actions of the training part. F1 averages run over these and the gold actions; a gold action that is not among
        them is a false negative, makes its turn wrong, and its turn counts in ``unseen_action_turns``. None: the gold and
        the predicted actions.
    split
        The name of the part, for the report.
    baselines
        Name to the predictions of other policies for the same turns.
    replies
        (dialogue, turn) to what the policy would have said, where replies are to be scored too.
    resamples
        Bootstrap resamples of dialogues for the intervals; 0: none.
    seed
        Of the bootstrap.

    Returns
    -------
    dict
        The JSON object of ``evaluate`` and ``score``: docs/evaluation.md describes every key.

    Raises
    ------
    CorpusError
        If predictions and corpus do not belong together.
    """
    aligned = align(predictions, corpus)
    gold_sets = [corpus[p.dialogue].turns[p.turn].actions or frozenset() for turns in aligned for p in turns]
    gold_actions = frozenset[str]().union(*gold_sets)
    predicted = frozenset[str]().union(*(p.actions for turns in aligned for p in turns))
    training = predicted | gold_actions if known_actions is None else frozenset(known_actions)
    space = ActionSpace(sorted(training | gold_actions | predicted))
    turns = _Turns(aligned, corpus, space)
    statistics = _Statistics(turns, len(aligned))
    result: dict[str, Any] = {
        "corpus": corpus.name,
        "split": split,
        "dialogues": len(aligned),
        "turns": len(gold_sets),
        **_scalars(statistics),
        "unseen_action_turns": sum(not actions <= training for actions in gold_sets),
        "seen": _scalars(_Statistics(_Turns(aligned, corpus, ActionSpace(sorted(training))), len(aligned))),
    }
    if replies is not None:
        result["response_accuracy"] = _reply_accuracy(aligned, corpus, replies)
    scored = {p.dialogue for turns_ in aligned for p in turns_}
    result["baselines"] = {}
    for name, theirs in (baselines or {}).items():
        others = align((p for p in theirs if p.dialogue in scored), corpus)
        result["baselines"][name] = _scalars(_Statistics(_Turns(others, corpus, space), len(others)))
    result["by_length"] = _by_length(statistics)
    result["by_turn"] = _by_turn(turns)
    result["by_action"] = _by_action(statistics, space)
    result["ci95"] = _intervals(statistics, resamples, seed) if resamples else {}
    return result


def _reply_accuracy(
    aligned: Sequence[Sequence[Prediction]], corpus: Corpus, replies: Mapping[tuple[str, int], str]
) -> float:
    """Share of target turns whose reply is the gold one, but for white space."""
    right = [
        replies.get((p.dialogue, p.turn), "").split() == corpus[p.dialogue].turns[p.turn].system.split()
        for turns in aligned
        for p in turns
    ]
    return sum(right) / len(right)
