"""Estimators that weigh the log's rewards by importance and need no model. Notation: :mod:`dialog_policy.ope.evidence`."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from dialog_policy.ope.evidence import Estimator, Evidence, Terms, mean, sum_of_ratios

__all__ = [
    "InversePropensityScoring",
    "LoggedReturn",
    "PerDecisionIS",
    "SelfNormalizedIPS",
    "WeightedPerDecisionIS",
]


class LoggedReturn(Estimator):
    """The logging policy's own value: Σ_i G_i / n, G_i = Σ_t γ^t r_it being a dialogue's return."""

    key: ClassVar = "logged"
    name: ClassVar = "the logging policy"
    weighs_dialogues: ClassVar = True

    def terms(self, evidence: Evidence) -> Terms:
        """Return the returns."""
        return Terms(evidence.rewards.sum(axis=1, keepdims=True), mean)


class InversePropensityScoring(Estimator):
    """Inverse propensity scoring: Σ_i w_i G_i / n, w_i being the weight of the whole dialogue.

    Horvitz & Thompson 1952; for decisions in a row the importance sampling estimator of Precup, Sutton & Singh 2000.
    """

    key: ClassVar = "ips"
    name: ClassVar = "inverse propensity (IPS)"
    weighs_dialogues: ClassVar = True

    def terms(self, evidence: Evidence) -> Terms:
        """Return the weighted returns."""
        return Terms(evidence.weights[:, -1:] * evidence.rewards.sum(axis=1, keepdims=True), mean)


class SelfNormalizedIPS(Estimator):
    """Self-normalised inverse propensity scoring: Σ_i w_i G_i / Σ_i w_i.

    Swaminathan & Joachims 2015; the weighted importance sampling estimator of Precup, Sutton & Singh 2000.
    """

    key: ClassVar = "snips"
    name: ClassVar = "self-normalised IPS"
    weighs_dialogues: ClassVar = True

    def terms(self, evidence: Evidence) -> Terms:
        """Return the weighted returns and the weights."""
        weights = evidence.weights[:, -1:]
        return Terms(
            np.concatenate([weights * evidence.rewards.sum(axis=1, keepdims=True), weights], axis=1), sum_of_ratios
        )


class PerDecisionIS(Estimator):
    """Per-decision importance sampling: Σ_i Σ_t γ^t w_it r_it / n; a reward has the weight of the decisions up to it.

    Precup, Sutton & Singh 2000.
    """

    key: ClassVar = "pdis"
    name: ClassVar = "per-decision IS"

    def terms(self, evidence: Evidence) -> Terms:
        """Return the sums of weighted rewards."""
        return Terms((evidence.weights * evidence.rewards).sum(axis=1, keepdims=True), mean)


class WeightedPerDecisionIS(Estimator):
    """Weighted per-decision importance sampling: Σ_t γ^t (Σ_i w_it r_it / Σ_i w_it).

    Precup, Sutton & Singh 2000, in the consistent form of Thomas 2015.
    """

    key: ClassVar = "wpdis"
    name: ClassVar = "weighted per-decision IS"

    def terms(self, evidence: Evidence) -> Terms:
        """Return the weighted rewards and the weights of every step."""
        return Terms(np.concatenate([evidence.weights * evidence.rewards, evidence.weights], axis=1), sum_of_ratios)
