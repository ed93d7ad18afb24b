"""Which of several policies is better on the same dialogues, by how much, how sure that is, and where they differ."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dialog_policy.comparison.aligned import align_policies
from dialog_policy.comparison.significance import (
    bootstrap_p,
    holm,
    mcnemar_p,
    randomisation_p,
    resampled,
)
from dialog_policy.corpus import Corpus
from dialog_policy.errors import OptionError, did_you_mean
from dialog_policy.evaluation.intervals import bootstrap_intervals
from dialog_policy.evaluation.scored_turns import Pairs, ScoredTurns
from dialog_policy.evaluation.totals import SCALARS, DialogueTotals, MetricSet
from dialog_policy.prediction import Prediction

__all__ = ["METRICS", "compare_policies"]

Floats = npt.NDArray[np.floating[Any]]

# What is compared unless others are asked for.
METRICS = ("turn_accuracy", "dialogue_accuracy", "micro_f1", "macro_f1")


def compare_policies(
    policies: Mapping[str, Iterable[Prediction]],
    corpus: Corpus,
    *,
    known_actions: Iterable[str] | None = None,
    metrics: Sequence[str] = METRICS,
    split: str = "all",
    resamples: int = 10_000,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare policies by their predictions for the same turns.

    Parameters
    ----------
    policies
        Name to predictions; at least two policies.
    corpus
        The gold dialogues.
    known_actions
        The actions of the training parts, over which averages of F1 run, together with the gold actions. None: the gold actions
        and all that any policy predicts.
    metrics
        What to compare by, of :data:`~dialog_policy.evaluation.totals.SCALARS`.
    split
        The name of the part, for the report.
    resamples, seed
        Of the bootstrap and of the randomisation test.

    Returns
    -------
    dict
        The JSON object of ``compare``: docs/comparison.md describes every key.

    Raises
    ------
    CorpusError
        If predictions do not fit the corpus, or do not cover the same turns: with the place.
    OptionError
        If there are fewer than two policies, or a metric is unknown.
    """
    if len(policies) < 2:
        raise OptionError(f"expected at least two policies to compare, found {len(policies)}.")
    for metric in metrics:
        if metric not in SCALARS:
            known = ", ".join(SCALARS)
            raise OptionError(f"there is no metric {metric!r}; known: {known}.{did_you_mean(metric, SCALARS)}")
    found = align_policies(policies, corpus, known_actions)
    names, turns = list(found), list(found.values())
    compared = _Compared(turns)
    pairs = list(itertools.combinations(range(len(names)), 2))
    intervals = compared.intervals(pairs, resamples, seed)
    chosen = [SCALARS.index(metric) for metric in metrics]
    rows = _tested(names, pairs, compared, chosen, intervals[len(names) :], resamples, seed)
    successes = [_successes(theirs) for theirs in turns]
    mcnemar = [_mcnemar(names[i], names[j], successes[i], successes[j], turns[0]) for i, j in pairs]
    for row, p in zip(mcnemar, holm([row["p"] for row in mcnemar]), strict=True):
        row["p_holm"] = p
    by_pair = {(row["a"], row["b"]): row["p"] for row in mcnemar}
    for row in rows:
        row["p_mcnemar"] = by_pair[row["a"], row["b"]] if row["metric"] == "dialogue_accuracy" else None
    return {
        "corpus": corpus.name,
        "split": split,
        "dialogues": len(turns[0].dialogues),
        "turns": len(turns[0]),
        "metrics": list(metrics),
        "resamples": resamples,
        "policies": [
            {
                "name": name,
                **dict(zip(SCALARS, values.tolist(), strict=True)),
                "ci95": dict(zip(SCALARS, bounds.tolist(), strict=True)),
            }
            for name, values, bounds in zip(names, compared.values, intervals, strict=False)
        ],
        "pairs": rows,
        "mcnemar": mcnemar,
        "disagreements": [row for i, j in pairs for row in _disagreements(names[i], names[j], turns[i], turns[j])],
    }


class _Compared:
    """Metrics of every policy as functions of sums over the same dialogues.

    Attributes
    ----------
    sums
        Shape (n_dialogues, n_columns) of each policy.
    values
        Shape (n_policies, n_metrics).
    """

    def __init__(self, turns: Sequence[ScoredTurns]) -> None:
        self.sums: list[Floats] = []
        for theirs in turns:
            sums = DialogueTotals(theirs)
            # All policies have the same actions, so the same columns: any headline serves all of them.
            self.metrics = MetricSet(sums, theirs)
            self.sums.append(sums.matrix())
        self.values = np.concatenate([self.metrics(s.sum(axis=0, dtype=np.float64)[None]) for s in self.sums])

    def all_metrics(self, totals: Floats) -> list[Floats]:
        """Return metrics, shape (m, n_metrics), of each policy, from totals of all policies' columns."""
        return [self.metrics(part) for part in np.split(totals, len(self.sums), axis=1)]

    def drawn(self, resamples: int, seed: int) -> Floats:
        """Metrics in bootstrap resamples, shape (resamples, n_policies, n_metrics): the same resamples for all policies."""

        def statistic(totals: Floats) -> Floats:
            return np.stack(self.all_metrics(totals), axis=1)

        return resampled(np.concatenate(self.sums, axis=1), statistic, resamples=resamples, seed=seed)

    def intervals(self, pairs: Sequence[tuple[int, int]], resamples: int, seed: int) -> Floats:
        """95 % intervals, shape (n_policies + n_pairs, n_metrics, 2): of the policies' metrics, of the pairs' differences."""

        def statistic(totals: Floats) -> Floats:
            metrics = self.all_metrics(totals)
            return np.concatenate([*metrics, *(metrics[i] - metrics[j] for i, j in pairs)], axis=1)

        n, k = len(self.sums[0]), len(SCALARS)
        bounded = np.repeat([True, False], [k * len(self.sums), k * len(pairs)])
        found = bootstrap_intervals(
            np.concatenate(self.sums, axis=1), statistic, np.full(len(bounded), n), bounded=bounded,
            resamples=resamples, seed=seed,
        )  # fmt: skip
        return found.reshape(-1, k, 2)


def _tested(
    names: Sequence[str],
    pairs: Sequence[tuple[int, int]],
    compared: _Compared,
    chosen: Sequence[int],
    intervals: Floats,
    resamples: int,
    seed: int,
) -> list[dict[str, Any]]:
    """One row for each pair and chosen metric; Holm's correction runs over the pairs of a metric."""
    n = len(compared.sums[0])
    drawn = compared.drawn(resamples, seed)
    rows = []
    for (i, j), bounds in zip(pairs, intervals, strict=True):
        a, b = compared.sums[i], compared.sums[j]
        observed = compared.values[i] - compared.values[j]

        differences = drawn[:, i] - drawn[:, j]
        p_bootstrap = bootstrap_p(differences, observed)
        p_randomisation = randomisation_p(a, b, compared.metrics, resamples=resamples, seed=seed)
        # The spread of what one dialogue adds to the difference, in the first order.
        spread = differences.std(axis=0) * np.sqrt(n)
        right_a, right_b = (s[:, compared.metrics.exact[0]] for s in (a, b))
        by_dialogue = {
            "dialogues_better": int((right_a > right_b).sum()),
            "dialogues_worse": int((right_a < right_b).sum()),
            "dialogues_equal": int((right_a == right_b).sum()),
        }
        rows += [
            {
                "a": names[i],
                "b": names[j],
                "metric": SCALARS[m],
                "difference": float(observed[m]),
                "ci95": bounds[m].tolist(),
                "p_bootstrap": float(p_bootstrap[m]),
                "p_randomisation": float(p_randomisation[m]),
                "effect_size": float(observed[m] / spread[m]) if spread[m] > 0 else None,
                **by_dialogue,
            }
            for m in chosen
        ]
    for m in chosen:
        family = [row for row in rows if row["metric"] == SCALARS[m]]
        for row, p in zip(family, holm([row["p_randomisation"] for row in family]), strict=True):
            row["p_holm"] = p
    return rows


def _successes(turns: ScoredTurns) -> npt.NDArray[np.bool_]:
    """Shape (n_dialogues,): whether all target turns of the dialogue are right."""
    found: npt.NDArray[np.bool_] = np.bincount(turns.dialogue, ~turns.exact, minlength=len(turns.dialogues)) == 0
    return found


def _mcnemar(
    a: str, b: str, of_a: npt.NDArray[np.bool_], of_b: npt.NDArray[np.bool_], turns: ScoredTurns
) -> dict[str, Any]:
    a_only, b_only = (
        [turns.dialogues[i].id for i in np.flatnonzero(x & ~y).tolist()] for x, y in ((of_a, of_b), (of_b, of_a))
    )
    return {
        "a": a,
        "b": b,
        "both": int((of_a & of_b).sum()),
        "neither": int((~of_a & ~of_b).sum()),
        "a_only": a_only,
        "b_only": b_only,
        "p": mcnemar_p(len(a_only), len(b_only)),
    }


def _disagreements(a: str, b: str, of_a: ScoredTurns, of_b: ScoredTurns) -> list[dict[str, Any]]:
    """Find the turns that one policy gets right and the other wrong, in the order of the corpus."""
    rows = []
    for row in np.flatnonzero(of_a.exact != of_b.exact).tolist():
        dialogue, number = of_a.dialogues[of_a.dialogue[row]], int(of_a.number[row])
        rows.append(
            {
                "a": a,
                "b": b,
                "dialogue": dialogue.id,
                "turn": number,
                "user": dialogue.turns[number].user,
                "gold": sorted(dialogue.turns[number].actions or ()),
                "a_actions": _names(of_a, of_a.predicted, row),
                "b_actions": _names(of_b, of_b.predicted, row),
                "right": a if of_a.exact[row] else b,
            }
        )
    return rows


def _names(turns: ScoredTurns, pairs: Pairs, row: int) -> list[str]:
    start, end = np.searchsorted(pairs.rows, [row, row + 1])
    return sorted(turns.space.classes_[bit] for bit in pairs.bits[start:end])
