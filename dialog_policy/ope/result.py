"""What an off-policy evaluation finds, typed; the JSON object of ``value`` is its edge."""

from __future__ import annotations

from typing import Any

import msgspec

from dialog_policy.errors import require
from dialog_policy.evaluation.evaluation import CalibrationBin
from dialog_policy.evaluation.intervals import Interval
from dialog_policy.evaluation.json_object import frame_as_html, json_object
from dialog_policy.evaluation.provenance import RunDescription

__all__ = [
    "DecisionOverlap",
    "LoggedValue",
    "OffPolicyValue",
    "OverlapSummary",
    "PolicyEstimate",
    "Propensities",
    "UnreliableEstimate",
    "WeightHistogram",
]


class LoggedValue(msgspec.Struct, frozen=True):
    """What the logging policy earned a dialogue, with its 95 % interval; None where nothing can be said, as of one dialogue."""

    value: float
    ci95: Interval | None


class Propensities(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"source": "from"}):
    """Where the propensities are from, and how well they fit where they were estimated.

    Attributes
    ----------
    source
        ``"logged"`` or ``"estimated"``; ``from`` in JSON. What follows is for estimated ones only.
    model, folds
        What was fitted, and on how many folds of the dialogues.
    log_loss, log_loss_of_shares
        Mean negative log-likelihood of the logged sets, in nats, by the model and by the sets' shares alone.
    ece
        Expected calibration error of the most probable set.
    bins
        Its reliability bins.
    """

    source: str
    model: str | None = None
    folds: int | None = None
    log_loss: float | None = None
    log_loss_of_shares: float | None = None
    ece: float | None = None
    bins: list[CalibrationBin] | None = None


class UnreliableEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """The bare numbers of an estimate that was refused; no intervals where nothing can be said, as where all weights are 0."""

    value: float
    ci95: Interval | None
    difference: float
    difference_ci95: Interval | None


class PolicyEstimate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One estimate of the target policy's value.

    Attributes
    ----------
    estimator, name
        Key in :data:`~dialog_policy.ope.estimators.ESTIMATORS`; name in reports.
    value, ci95
        The estimate and its 95 % interval, a dialogue; None where it is refused.
    difference, difference_ci95
        Less what the logging policy earned; likewise.
    effective_sample_size
        How many dialogues of the target policy's own the weights are worth.
    refused
        Why it is not to be believed; None: it may be.
    parameters
        What the estimator chose from the log, such as λ; None where there is nothing to choose.
    unreliable
        The bare numbers; None unless it is refused for the log's sake.
    """

    estimator: str
    name: str
    value: float | None
    ci95: Interval | None
    difference: float | None
    difference_ci95: Interval | None
    effective_sample_size: float | None
    refused: str | None
    parameters: dict[str, Any] | None = None
    unreliable: UnreliableEstimate | None = None


class DecisionOverlap(msgspec.Struct, frozen=True):
    """How many dialogues have a decision of this number (from 0), and their effective sample size up to it."""

    decision: int
    dialogues: int
    effective_sample_size: float


class WeightHistogram(msgspec.Struct, frozen=True):
    """A histogram of the logarithms of positive weights, to base 10."""

    edges: list[float]
    counts: list[int]


class OverlapSummary(msgspec.Struct, frozen=True, kw_only=True):
    """How the weights of whole dialogues are spread: the fields of :class:`~dialog_policy.ope.overlap.Overlap`, and more.

    Attributes
    ----------
    agreement
        Mean probability under the target policy of what was done.
    dialogues_without_weight, clipped_dialogues
        Dialogues of weight 0, and those that ``clip`` bounded.
    by_decision, log10_weights
        The same by the number of decisions weighed; the weights' histogram.
    """

    effective_sample_size: float
    mean_weight: float
    mean_weight_ci95: Interval | None
    largest_share: float
    pareto_k: float | None
    pareto_k_limit: float
    refused: str | None
    agreement: float
    dialogues_without_weight: int
    clipped_dialogues: int
    by_decision: list[DecisionOverlap]
    log10_weights: WeightHistogram


class OffPolicyValue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a target policy would have been worth on the dialogues of a log.

    Attributes
    ----------
    corpus, split, dialogues, turns
        The log, its part, and how many dialogues and decisions it has.
    policy, run
        The target policy's name; of a run its date and version, else None.
    target_policy, acts
        ``"stochastic"`` or ``"greedy"``; the same as a sentence's end.
    gamma, clip, resamples
        Discount, greatest weight, bootstrap resamples.
    rewarded
        ``"turn"`` or ``"dialogue"``: what has a reward.
    logged
        What the logging policy earned.
    propensities
        Where the propensities come from.
    estimates
        One for each estimator.
    overlap
        The distribution of the weights of whole dialogues.
    warnings
        Sentences.
    concludes, conclusion, rests_on
        Whether anything is concluded, what, and by which estimator.
    """

    corpus: str
    split: str
    policy: str
    run: RunDescription | None = None
    target_policy: str
    acts: str
    dialogues: int
    turns: int
    gamma: float
    clip: float | None
    rewarded: str
    resamples: int
    logged: LoggedValue
    propensities: Propensities
    estimates: list[PolicyEstimate]
    overlap: OverlapSummary
    warnings: list[str]
    concludes: bool
    conclusion: str
    rests_on: str | None

    def estimate(self, estimator: str) -> PolicyEstimate:
        """Return the estimate by an estimator's key.

        Raises
        ------
        KeyError
            If it was not computed.
        """
        for row in self.estimates:
            if row.estimator == estimator:
                return row
        raise KeyError(estimator)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of ``value``."""
        return json_object(self)

    def to_frame(self) -> Any:
        """Return the estimates as a pandas DataFrame, a row each, with the estimator's key as index.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        pandas = require("pandas", extra="train", purpose="a table of estimates")
        rows = []
        for row in self.estimates:
            low, high = row.ci95 or (None, None)
            difference_low, difference_high = row.difference_ci95 or (None, None)
            rows.append(
                {
                    "name": row.name,
                    "value": row.value,
                    "lower": low,
                    "upper": high,
                    "difference": row.difference,
                    "difference_lower": difference_low,
                    "difference_upper": difference_high,
                    "effective_sample_size": row.effective_sample_size,
                    "refused": row.refused,
                }
            )
        return pandas.DataFrame(rows, index=pandas.Index([row.estimator for row in self.estimates], name="estimator"))

    _repr_html_ = frame_as_html
