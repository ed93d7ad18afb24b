"""95 % intervals of estimates, from one bootstrap over dialogues."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dialog_policy.arrays import Floats
from dialog_policy.evaluation.intervals import bootstrap_intervals, defined_interval
from dialog_policy.ope.evidence import Estimator, Evidence, Terms
from dialog_policy.ope.importance import LoggedReturn
from dialog_policy.ope.overlap import effective_sample_size, examine_overlap

__all__ = ["EstimateIntervals"]

# Steps whose discounted rewards stay below this share of the greatest move no estimate.
_NEGLIGIBLE = 0.01


class EstimateIntervals:
    """Values, their intervals and those of their differences from the log's own, and the overlap they rest on.

    Parameters
    ----------
    evidence
        The log.
    estimators
        Key to estimator.
    resamples, seed
        Of the bootstrap.

    Attributes
    ----------
    logged, logged_ci95
        What the logging policy earned.
    values, values_ci95, differences_ci95, parameters
        Key to estimate, its interval, that of its difference from `logged`, what the estimator chose. An interval is None where
        nothing can be said.
    overlap
        Key to overlap: of whole dialogues for estimators that weigh them, else up to the last decision that matters.
    whole
        The overlap of whole dialogues.
    """

    def __init__(self, evidence: Evidence, estimators: Mapping[str, Estimator], resamples: int, seed: int) -> None:
        n = len(evidence.weights)
        whole, decided = evidence.weights[:, -1], evidence.weights[:, _last_step(evidence.rewards)]
        terms: list[Terms] = [LoggedReturn().terms(evidence), *(e.terms(evidence) for e in estimators.values())]
        parts = [np.stack([np.ones(n), whole, decided], axis=1), *(own.columns for own in terms)]
        ends = np.cumsum([part.shape[1] for part in parts])
        columns = np.concatenate(parts, axis=1)

        def statistics(totals: Floats) -> Floats:
            first, *own = np.split(totals, ends[:-1], axis=1)
            counts = first[:, 0]
            values = [one.value(part, counts) for one, part in zip(terms, own, strict=True)]
            differences = [value - values[0] for value in values[1:]]
            return np.stack([*(first[:, 1:].T / counts), *values, *differences], axis=1)

        # An interval rests on as many dialogues as the weights leave.
        sizes = [int(effective_sample_size(weights)) for weights in (whole, decided)]
        of_values = [sizes[0 if estimator.weighs_dialogues else 1] for estimator in estimators.values()]
        units = [n, n, n, *of_values, *of_values]
        bounds = bootstrap_intervals(columns, statistics, units, bounded=False, resamples=resamples, seed=seed)
        intervals = list(map(defined_interval, bounds))
        values = statistics(columns.sum(axis=0, dtype=np.float64)[None])[0].tolist()
        n_estimators = len(estimators)
        self.whole = examine_overlap(whole, intervals[0])
        up_to_last = examine_overlap(decided, intervals[1])
        self.logged, self.logged_ci95 = float(values[2]), intervals[2]
        self.values = dict(zip(estimators, values[3 : 3 + n_estimators], strict=True))
        self.values_ci95 = dict(zip(estimators, intervals[3 : 3 + n_estimators], strict=True))
        self.differences_ci95 = dict(zip(estimators, intervals[3 + n_estimators :], strict=True))
        self.parameters = {key: dict(own.parameters) for key, own in zip(estimators, terms[1:], strict=True)}
        self.overlap = {key: self.whole if e.weighs_dialogues else up_to_last for key, e in estimators.items()}


def _last_step(rewards: Floats) -> int:
    """Return the last step whose rewards can still move an estimate: its weights are the thinnest that matter."""
    greatest = np.abs(rewards).max(axis=0)
    return int(np.flatnonzero(greatest >= _NEGLIGIBLE * greatest.max())[-1])
