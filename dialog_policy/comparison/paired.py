"""Metrics of several policies as functions of totals over the same dialogues, so that resamples are shared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dialog_policy.arrays import Floats
from dialog_policy.comparison.significance import resampled
from dialog_policy.evaluation.intervals import bootstrap_intervals
from dialog_policy.evaluation.scored_turns import ScoredTurns
from dialog_policy.evaluation.totals import SCALARS, DialogueTotals, MetricSet

__all__ = ["PairedMetrics"]


class PairedMetrics:
    """Metrics of every policy, from totals over the same dialogues.

    Parameters
    ----------
    scored
        The scored turns of each policy: the same turns, over the same actions.

    Attributes
    ----------
    totals
        Of each policy what each dialogue adds, shape (n_dialogues, n_columns).
    metrics
        From totals, shape (m, n_columns), to metrics, shape (m, n_metrics), in the order of
        :data:`~dialog_policy.evaluation.totals.SCALARS`.
    values
        Shape (n_policies, n_metrics).
    """

    def __init__(self, scored: Sequence[ScoredTurns]) -> None:
        self.totals: list[Floats] = []
        for turns in scored:
            totals = DialogueTotals(turns)
            # All policies have the same actions, so the same columns: the metrics of any of them serve all.
            self.metrics = MetricSet(totals, turns)
            self.totals.append(totals.matrix())
        self.values = np.concatenate([self.metrics(t.sum(axis=0, dtype=np.float64)[None]) for t in self.totals])

    @property
    def turns_right(self) -> Floats:
        """Turns that each policy gets right in each dialogue, shape (n_policies, n_dialogues)."""
        return np.stack([totals[:, self.metrics.exact[0]] for totals in self.totals])

    def of_each(self, totals: Floats) -> list[Floats]:
        """Return the metrics, shape (m, n_metrics), of each policy, from totals of the columns of all policies."""
        return [self.metrics(part) for part in np.split(totals, len(self.totals), axis=1)]

    def in_resamples(self, resamples: int, seed: int) -> Floats:
        """Metrics in bootstrap resamples, shape (resamples, n_policies, n_metrics): the same resamples for all policies."""

        def statistic(totals: Floats) -> Floats:
            return np.stack(self.of_each(totals), axis=1)

        return resampled(np.concatenate(self.totals, axis=1), statistic, resamples=resamples, seed=seed)

    def intervals(self, pairs: Sequence[tuple[int, int]], resamples: int, seed: int) -> Floats:
        """95 % intervals, shape (n_policies + n_pairs, n_metrics, 2): of the policies' metrics, then of the pairs' differences."""

        def statistic(totals: Floats) -> Floats:
            metrics = self.of_each(totals)
            return np.concatenate([*metrics, *(metrics[i] - metrics[j] for i, j in pairs)], axis=1)

        n, k = len(self.totals[0]), len(SCALARS)
        bounded = np.repeat([True, False], [k * len(self.totals), k * len(pairs)])
        bounds = bootstrap_intervals(
            np.concatenate(self.totals, axis=1),
            statistic,
            np.full(len(bounded), n),
            bounded=bounded,
            resamples=resamples,
            seed=seed,
        )
        return bounds.reshape(-1, k, 2)
