"""What a policy would have been worth on the dialogues of a log: every estimate, its interval, and whether to believe it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dialog_policy.corpus import ActionSpace, Corpus
from dialog_policy.errors import OptionError, did_you_mean
from dialog_policy.evaluation.alignment import align
from dialog_policy.evaluation.intervals import RESAMPLES, bootstrap_intervals
from dialog_policy.ope.behaviour import fit_behaviour
from dialog_policy.ope.choices import Choices, drawn, greedy
from dialog_policy.ope.estimators import (
    ESTIMATORS,
    LOGGED,
    WEIGHTED_AT_ONCE,
    Evidence,
    cumulative_weights,
    estimate,
)
from dialog_policy.ope.features import state_features
from dialog_policy.ope.log import Log, read_log
from dialog_policy.ope.model import fit_values
from dialog_policy.ope.overlap import Overlap, effective_sample_size, examine_overlap
from dialog_policy.prediction import Prediction

__all__ = ["estimate_value"]

FloatArray = npt.NDArray[np.floating[Any]]

# The estimate that a conclusion rests on: the first of these that is asked for and stands.
_PREFERRED = ("dr", "wpdis", "snips", "pdis", "ips")
# Steps whose discounted rewards stay below this share of the greatest move no estimate.
_NEGLIGIBLE = 0.01
# Calibration error from which on estimated propensities are warned of.
_MISCALIBRATED = 0.1


def estimate_value(
    predictions: Iterable[Prediction],
    corpus: Corpus,
    *,
    name: str = "the policy",
    split: str = "all",
    estimators: Sequence[str] = tuple(ESTIMATORS),
    gamma: float = 1.0,
    clip: float | None = None,
    act_greedily: bool = False,
    estimate_propensities: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Estimate the value of a policy from dialogues that another one led.

    Parameters
    ----------
    predictions
        What the policy would do at each target turn of the logged dialogues, the past being the logged one.
    corpus
        The log, with rewards and, where they are known, propensities: see :func:`~dialog_policy.ope.log.read_log`.
    name, split
        The policy's and the part's, for the report.
    estimators
        Keys of :data:`~dialog_policy.ope.estimators.ESTIMATORS`.
    gamma
        Discount, from 0 to 1; the exponent is the number of decisions before.
    clip
        Greatest weight of a dialogue. None: no limit.
    act_greedily
        Whether the policy takes its predicted set always, whatever its probabilities.
    estimate_propensities
        Whether to estimate propensities though they were logged. Where they were not, they are always estimated.
    resamples, seed
        Of the bootstrap over dialogues.

    Returns
    -------
    dict
        The JSON object of ``value``: docs/value.md describes every key.

    Raises
    ------
    CorpusError
        If predictions and log do not belong together, or rewards, propensities or probabilities cannot be used: with the place.
    OptionError
        If an option has an impossible value.
    """
    _check_options(estimators, gamma, clip)
    aligned = [p for turns in align(predictions, corpus) for p in turns]
    log = read_log(corpus, {p.dialogue for p in aligned}, propensities=not estimate_propensities)
    space = ActionSpace().fit(
        [*log.actions, *(p.actions for p in aligned), *((p.probabilities or ()) for p in aligned)]
    )
    choices = (greedy if act_greedily else drawn)(aligned, log.actions, space)
    result: dict[str, Any] = {
        "corpus": corpus.name,
        "split": split,
        "policy": name,
        "acts": choices.acts,
        "dialogues": len(log.dialogues),
        "turns": len(log.actions),
        "gamma": gamma,
        "clip": clip,
        "rewarded": log.rewarded,
        "resamples": resamples,
    }
    return {**result, **_estimates(log, choices, space, estimators, gamma, clip, resamples, seed)}


def _check_options(estimators: Sequence[str], gamma: float, clip: float | None) -> None:
    for key in estimators:
        if key not in ESTIMATORS:
            known = ", ".join(ESTIMATORS)
            raise OptionError(f"there is no estimator {key!r}; known: {known}.{did_you_mean(key, ESTIMATORS)}")
    if not 0 <= gamma <= 1:
        raise OptionError(f"expected gamma from 0 to 1, found {gamma}.")
    if clip is not None and not clip > 0:
        raise OptionError(f"expected a clip over 0, found {clip}.")


def _estimates(
    log: Log,
    choices: Choices,
    space: ActionSpace,
    estimators: Sequence[str],
    gamma: float,
    clip: float | None,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    with_model = choices.expected is not None and any(ESTIMATORS[key].needs_model for key in estimators)
    states = state_features(log, space) if with_model or log.propensities is None else None
    about: dict[str, Any] = {"from": "logged"}
    propensities = log.propensities
    if propensities is None and states is not None:
        behaviour = fit_behaviour(log, states)
        propensities, about = behaviour.propensities, {"from": "estimated", **behaviour.about}
    assert propensities is not None
    weights = cumulative_weights(log.spread(choices.logged / propensities, 1.0), clip)
    discounts = gamma ** np.arange(weights.shape[1])
    evidence = Evidence(weights, log.spread(log.rewards, 0.0) * discounts)
    if with_model and states is not None and choices.expected is not None:
        taken = space.transform(log.actions).astype(np.float64)
        modelled = fit_values(log, states, taken, choices.expected, gamma)
        q, v = log.spread(modelled.q, 0.0) * discounts, log.spread(modelled.v, 0.0) * discounts
        evidence = evidence._replace(q=q, v=v, direct=modelled.direct)
    usable = [key for key in estimators if evidence.q is not None or not ESTIMATORS[key].needs_model]
    intervals = _Intervals(evidence, usable, resamples, seed)
    behind = float(evidence.rewards.sum(axis=1).mean())
    rows = [_row(key, evidence, intervals, behind) for key in estimators]
    shown = {
        "logged": {"value": behind, "ci95": intervals.logged},
        "propensities": about,
        "estimates": rows,
        "overlap": _described(log, choices, weights, intervals.whole, clip),
        "warnings": _warnings(about),
    }
    return {**shown, **_conclusion(rows)}


class _Intervals:
    """Intervals of the values, of their differences from the log's own, and of the mean weights, from one bootstrap."""

    def __init__(self, evidence: Evidence, estimators: Sequence[str], resamples: int, seed: int) -> None:
        n = len(evidence.weights)
        whole, decided = evidence.weights[:, -1], evidence.weights[:, _last_step(evidence.rewards)]
        used = [LOGGED, *(ESTIMATORS[key] for key in estimators)]
        parts = [np.stack([whole, decided], axis=1), *(estimator.columns(evidence) for estimator in used)]
        ends = np.cumsum([part.shape[1] for part in parts])

        def statistics(totals: FloatArray) -> FloatArray:
            means, *columns = np.split(totals, ends[:-1], axis=1)
            values = [estimator.value(part, n) for estimator, part in zip(used, columns, strict=True)]
            return np.stack([*(means.T / n), *values, *(value - values[0] for value in values[1:])], axis=1)

        # An interval rests on as many dialogues as the weights leave.
        sizes = [int(effective_sample_size(weights)) for weights in (whole, decided)]
        of_values = [sizes[0 if key in WEIGHTED_AT_ONCE else 1] for key in estimators]
        units = [n, n, n, *of_values, *of_values]
        found = bootstrap_intervals(
            np.concatenate(parts, axis=1), statistics, units, bounded=False, resamples=resamples, seed=seed
        ).tolist()
        self.whole, self.decided = examine_overlap(whole, found[0]), examine_overlap(decided, found[1])
        self.logged: list[float] = found[2]
        self.values: dict[str, list[float]] = dict(zip(estimators, found[3:], strict=False))
        self.differences: dict[str, list[float]] = dict(zip(estimators, found[3 + len(estimators) :], strict=True))


def _last_step(rewards: FloatArray) -> int:
    """Return the last step whose rewards can still move an estimate: its weights are the thinnest that matter."""
    greatest = np.abs(rewards).max(axis=0)
    return int(np.flatnonzero(greatest >= _NEGLIGIBLE * greatest.max())[-1])


def _row(key: str, evidence: Evidence, intervals: _Intervals, behind: float) -> dict[str, Any]:
    row: dict[str, Any] = {"estimator": key, "name": ESTIMATORS[key].name}
    fields = ("value", "ci95", "difference", "difference_ci95")
    if key not in intervals.values:
        reason = "it needs the policy's probabilities of other sets than the logged one"
        return {**row, **dict.fromkeys(fields), "effective_sample_size": None, "refused": reason}
    overlap = intervals.whole if key in WEIGHTED_AT_ONCE else intervals.decided
    row |= {"effective_sample_size": overlap.effective_sample_size, "refused": overlap.refused}
    value = estimate(key, evidence)
    found = (value, intervals.values[key], value - behind, intervals.differences[key])
    described = dict(zip(fields, found, strict=True))
    if overlap.refused is None:
        return {**row, **described}
    return {**row, **dict.fromkeys(fields), "unreliable": described}


def _described(log: Log, choices: Choices, weights: FloatArray, overlap: Overlap, clip: float | None) -> dict[str, Any]:
    """Everything that shows how the weights of whole dialogues are spread."""
    whole = weights[:, -1]
    sizes = effective_sample_size(weights)
    running = log.spread(np.ones(len(log.actions)), 0.0).sum(axis=0)
    positive = whole[whole > 0]
    edges = np.histogram_bin_edges(np.log10(positive), bins=20) if len(positive) else np.zeros(2)
    counts = np.histogram(np.log10(positive), bins=edges)[0] if len(positive) else np.zeros(1)
    return {
        **overlap.to_json(),
        "agreement": float(choices.logged.mean()),
        "dialogues_without_weight": int((whole == 0).sum()),
        "clipped_dialogues": 0 if clip is None else int((weights >= clip).any(axis=1).sum()),
        "by_decision": [
            {"decision": step, "dialogues": int(running[step]), "effective_sample_size": float(sizes[step])}
            for step in range(len(sizes))
        ],
        "log10_weights": {"edges": edges.tolist(), "counts": counts.astype(int).tolist()},
    }


def _warnings(about: dict[str, Any]) -> list[str]:
    found = []
    if about["from"] == "estimated":
        found.append(
            "The propensities were not logged but estimated; every estimate but the direct method is as good as they are, and "
            "the intervals do not know of their error."
        )
        if about["ece"] > _MISCALIBRATED:
            found.append(
                f"The estimated propensities are badly calibrated: expected calibration error {about['ece']:.2f}."
            )
        if about["log_loss"] >= about["log_loss_of_shares"]:
            found.append("The estimated propensities say no more than the share of each action set.")
    return found


def _conclusion(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    by_key = {row["estimator"]: row for row in rows}
    for key in _PREFERRED:
        row = by_key.get(key)
        if row is None or row["refused"] is not None:
            continue
        low, high = row["difference_ci95"]
        verdict = "better than" if low > 0 else "worse than" if high < 0 else "not distinguishable from"
        text = (
            f"By the {row['name']} estimate the policy is {verdict} the logging one: "
            f"{row['difference']:+.4g} [{low:+.4g}, {high:+.4g}]."
        )
        return {"concludes": True, "conclusion": text, "rests_on": key}
    reason = next(
        (row["refused"] for key in _PREFERRED if (row := by_key.get(key))), "the direct method alone shows no overlap"
    )
    return {"concludes": False, "conclusion": f"Nothing can be concluded: {reason}.", "rests_on": None}
