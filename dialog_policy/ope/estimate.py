"""What a policy would have been worth on the dialogues of a log: every estimate, its interval, and whether to believe it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from dialog_policy.arrays import Floats
from dialog_policy.corpus import ActionSpace, Corpus
from dialog_policy.corpus.data import Data, as_corpus
from dialog_policy.errors import OptionError, check_known
from dialog_policy.evaluation.alignment import align
from dialog_policy.evaluation.intervals import RESAMPLES, check_resamples
from dialog_policy.evaluation.provenance import describe_run, policy_of, training_warnings
from dialog_policy.ope.estimators import ESTIMATORS
from dialog_policy.ope.evidence import Estimator, Evidence, cumulative_weights
from dialog_policy.ope.features import state_features
from dialog_policy.ope.intervals import EstimateIntervals
from dialog_policy.ope.log import Log, read_log
from dialog_policy.ope.logging_policy import estimate_propensities as fit_propensities
from dialog_policy.ope.mips import marginal_weights
from dialog_policy.ope.model import fit_reward_model
from dialog_policy.ope.overlap import Overlap, effective_sample_size
from dialog_policy.ope.result import (
    DecisionOverlap,
    LoggedValue,
    OffPolicyValue,
    OverlapSummary,
    PolicyEstimate,
    Propensities,
    UnreliableEstimate,
    WeightHistogram,
)
from dialog_policy.ope.target_policy import TARGET_POLICIES, TargetPolicy
from dialog_policy.prediction import Prediction, Predictor, check_predictor
from dialog_policy.runtime import Policy

__all__ = ["LEAST_RESAMPLES", "estimate_value"]

# The estimate that a conclusion rests on: the first of these that was computed and is not refused.
_PREFERRED = ("dr", "wdr", "sndr", "magic", "dros", "switch_dr", "wpdis", "snips", "pdis", "ips")
# Calibration error from which on estimated propensities are warned of.
_MISCALIBRATED = 0.1
# An interval of fewer resamples has ends by chance.
LEAST_RESAMPLES = 100
_NO_PROBABILITIES = "it needs the policy's probabilities of other sets than the logged one"


def estimate_value(
    policy: Predictor | Policy | Iterable[Prediction],
    corpus: Data,
    *,
    name: str | None = None,
    split: str = "all",
    estimators: Sequence[str] = tuple(ESTIMATORS),
    gamma: float = 1.0,
    clip: float | None = None,
    target_policy: str = "stochastic",
    estimate_propensities: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> OffPolicyValue:
    """Estimate the value of a policy from dialogues that another one led (off-policy evaluation).

    Parameters
    ----------
    policy
        The target policy: a Predictor, or its predictions for each target turn of the logged dialogues, given the logged past.
    corpus
        The log, with rewards and, where they are known, propensities: see :func:`~dialog_policy.ope.log.read_log`.
    name
        The policy's name in the result. None: the predictor's name.
    split
        The part of the corpus.
    estimators
        Keys of :data:`~dialog_policy.ope.estimators.ESTIMATORS`.
    gamma
        Discount, from 0 to 1; the exponent is the number of decisions before.
    clip
        Greatest weight of a dialogue. None: no limit.
    target_policy
        ``"stochastic"``: it draws by its probabilities; ``"greedy"``: it always takes its predicted set, as a served policy
        does.
    estimate_propensities
        Whether to estimate propensities even if they were logged. If they were not, they are always estimated.
    resamples, seed
        Of the bootstrap over dialogues.

    Raises
    ------
    CorpusError
        If predictions and log do not belong together, or rewards, propensities or probabilities cannot be used: with the place.
    OptionError
        If an option has an impossible value.
    """
    _check_options(estimators, gamma, clip, target_policy)
    check_resamples(resamples, LEAST_RESAMPLES, seed=seed)
    policy = getattr(policy, "runtime_", policy)  # a trained DialogPolicy is valued as the run that it saves
    part = as_corpus(corpus).split(split)
    aligned = [p for turns in align(_predictions(policy, part), part) for p in turns]
    log = read_log(part, {p.dialogue for p in aligned}, propensities=not estimate_propensities)
    space = ActionSpace().fit(
        [*log.actions, *(p.actions for p in aligned), *((p.probabilities or ()) for p in aligned)]
    )
    target = TARGET_POLICIES[target_policy](aligned, log.actions, space)
    chosen = {key: ESTIMATORS[key] for key in estimators}
    evidence, propensities = _evidence(log, target, space, chosen.values(), gamma, clip)
    usable = {key: e for key, e in chosen.items() if not e.needs_model or evidence.q is not None}
    intervals = EstimateIntervals(evidence, usable, resamples, seed)
    rows = [_row(estimator, intervals) for estimator in chosen.values()]
    concludes, conclusion, rests_on = _conclusion(rows)
    run = policy_of(policy)
    return OffPolicyValue(
        corpus=part.name,
        split=split,
        policy=name or str(getattr(policy, "name", "the policy")),
        run=None if run is None else describe_run(run),
        target_policy=target_policy,
        acts=target.acts,
        dialogues=len(log.dialogues),
        turns=len(log.actions),
        gamma=gamma,
        clip=clip,
        rewarded=log.rewarded,
        resamples=resamples,
        logged=LoggedValue(intervals.logged, intervals.logged_ci95),
        propensities=propensities,
        estimates=rows,
        overlap=_overlap_summary(log, target, evidence.weights, intervals.whole, clip),
        warnings=[*([] if run is None else training_warnings(run, part)), *_warnings(propensities)],
        concludes=concludes,
        conclusion=conclusion,
        rests_on=rests_on,
    )


def _predictions(policy: Predictor | Policy | Iterable[Prediction], part: Corpus) -> Iterable[Prediction]:
    if isinstance(policy, Policy):
        # A run's decoder knows the probability of every set.
        return policy.logged_probabilities(part)
    if isinstance(policy, str | os.PathLike):
        check_predictor(policy)
    return policy.predict(part) if isinstance(policy, Predictor) else policy


def _check_options(estimators: Sequence[str], gamma: float, clip: float | None, target_policy: str) -> None:
    for key in estimators:
        check_known("estimator", key, ESTIMATORS)
    if not estimators:
        raise OptionError(f"expected at least one estimator of {', '.join(ESTIMATORS)}; found none.")
    if not 0 <= gamma <= 1:
        raise OptionError(f"expected gamma from 0 to 1, found {gamma}.")
    if clip is not None and not clip > 0:
        raise OptionError(f"expected a clip above 0, found {clip}.")
    check_known("target policy", target_policy, TARGET_POLICIES)


def _evidence(
    log: Log,
    target: TargetPolicy,
    space: ActionSpace,
    estimators: Iterable[Estimator],
    gamma: float,
    clip: float | None,
) -> tuple[Evidence, Propensities]:
    """Return what the estimators look at, and where the propensities are from."""
    estimators = list(estimators)
    with_model = target.expected is not None and any(e.needs_model for e in estimators)
    with_embedding = any(e.needs_embedding for e in estimators)
    logged_bits = space.transform(log.actions).astype(np.float64)
    states: Floats = np.ones((len(log.actions), 1))
    if with_model or with_embedding or log.propensities is None:
        states = state_features(log, space)
    logged, source = log.propensities, Propensities(source="logged")
    if logged is None:
        estimated = fit_propensities(log, states)
        logged, source = estimated.propensities, Propensities(source="estimated", **estimated.about)
    ratios = target.logged / logged
    weights = cumulative_weights(log.spread(ratios, 1.0), clip)
    discounts = gamma ** np.arange(weights.shape[1])
    evidence = Evidence(weights, log.spread(log.rewards, 0.0) * discounts)
    if with_model and target.expected is not None:
        model = fit_reward_model(log, states, logged_bits, target.expected, gamma)
        q, v = log.spread(model.q, 0.0) * discounts, log.spread(model.v, 0.0) * discounts
        evidence = evidence._replace(q=q, v=v, fit_influence=model.fit_influence)
    if with_embedding:
        marginal = marginal_weights(log, states, logged_bits, ratios, space.classes_, gamma=gamma, clip=clip)
        evidence = evidence._replace(marginal=marginal)
    return evidence, source


def _row(estimator: Estimator, intervals: EstimateIntervals) -> PolicyEstimate:
    key = estimator.key
    nothing: dict[str, Any] = dict.fromkeys(("value", "ci95", "difference", "difference_ci95"))
    if key not in intervals.values:
        return PolicyEstimate(
            estimator=key, name=estimator.name, **nothing, effective_sample_size=None, refused=_NO_PROBABILITIES
        )
    overlap, value = intervals.overlap[key], intervals.values[key]
    bare = UnreliableEstimate(
        value=value,
        ci95=intervals.values_ci95[key],
        difference=value - intervals.logged,
        difference_ci95=intervals.differences_ci95[key],
    )
    refused = overlap.refused
    return PolicyEstimate(
        estimator=key,
        name=estimator.name,
        **(msgspec.structs.asdict(bare) if refused is None else nothing),
        effective_sample_size=overlap.effective_sample_size,
        refused=refused,
        parameters=intervals.parameters[key] or None,
        unreliable=None if refused is None else bare,
    )


def _overlap_summary(
    log: Log, target: TargetPolicy, weights: Floats, overlap: Overlap, clip: float | None
) -> OverlapSummary:
    whole = weights[:, -1]
    sizes = effective_sample_size(weights)
    running = log.spread(np.ones(len(log.actions)), 0.0).sum(axis=0)
    positive = whole[whole > 0]
    edges = np.histogram_bin_edges(np.log10(positive), bins=20) if len(positive) else np.zeros(2)
    counts = np.histogram(np.log10(positive), bins=edges)[0] if len(positive) else np.zeros(1)
    return OverlapSummary(
        **overlap._asdict(),
        agreement=float(target.logged.mean()),
        dialogues_without_weight=int((whole == 0).sum()),
        clipped_dialogues=0 if clip is None else int((weights >= clip).any(axis=1).sum()),
        by_decision=[
            DecisionOverlap(step, int(running[step]), float(size)) for step, size in enumerate(sizes.tolist())
        ],
        log10_weights=WeightHistogram(edges.tolist(), counts.astype(int).tolist()),
    )


def _warnings(propensities: Propensities) -> list[str]:
    if propensities.source == "logged":
        return []
    warnings = [
        "The propensities were not logged but estimated; every estimate but the direct method is as good as they are, and "
        "the intervals do not know of their error."
    ]
    if propensities.ece is not None and propensities.ece > _MISCALIBRATED:
        warnings.append(
            f"The estimated propensities are badly calibrated: expected calibration error {propensities.ece:.2f}."
        )
    if (propensities.log_loss or 0.0) >= (propensities.log_loss_of_shares or 0.0):
        warnings.append("The estimated propensities say no more than the share of each action set.")
    return warnings


def _conclusion(rows: Sequence[PolicyEstimate]) -> tuple[bool, str, str | None]:
    """Return whether anything is concluded, the sentence, and the estimator that it rests on."""
    by_key: Mapping[str, PolicyEstimate] = {row.estimator: row for row in rows}
    for key in _PREFERRED:
        row = by_key.get(key)
        if row is None or row.difference is None or row.difference_ci95 is None:
            continue
        low, high = row.difference_ci95
        verdict = "better than" if low > 0 else "worse than" if high < 0 else "not distinguishable from"
        text = (
            f"By the {row.name} estimate the policy is {verdict} the logging one: "
            f"{row.difference:+.4g} [{low:+.4g}, {high:+.4g}]."
        )
        return True, text, key
    reason = next(
        (row.refused for key in _PREFERRED if (row := by_key.get(key))),
        f"{' and '.join(row.name for row in rows)} alone cannot show that the log covers what the policy does",
    )
    return False, f"Nothing can be concluded: {reason}.", None
