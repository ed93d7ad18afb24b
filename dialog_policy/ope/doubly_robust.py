"""Estimators that correct a reward model by the log. Notation: :mod:`dialog_policy.ope.evidence`.

All of them are (1/n) Σ_i V̂(x_i0) + Σ_i Σ_t ω_it δ_it with the temporal-difference errors
δ_it = γ^t (r_it + γ V̂(x_i,t+1) − Q̂(x_it, a_it)); they differ in the weights ω of the correction. For ω = w / n this is the sum
Σ_t γ^t [w_t (r_t − Q̂_t) + w_t−1 V̂_t] of the papers, in another order.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from dialog_policy.arrays import Floats
from dialog_policy.ope.evidence import Estimator, Evidence, Terms, mean, modelled, sum_of_ratios

__all__ = ["DirectMethod", "DoublyRobust", "SelfNormalizedDR", "WeightedDR", "corrected"]


def corrected(evidence: Evidence, weights: Floats) -> Floats:
    """Shape (n,): V̂(x_i0) + Σ_t ω_it δ_it of each dialogue for weights ω, shape (n, T), and its influence on the model's fits."""
    first, errors = modelled(evidence)
    values: Floats = first + (weights * errors).sum(axis=1)
    return values if evidence.fit_influence is None else values + evidence.fit_influence(weights)


class DirectMethod(Estimator):
    """The direct method: Σ_i V̂(x_i0) / n; the log's rewards count through the model alone.

    Dudík, Langford & Li 2011; the model is fitted Q evaluation, Le, Voloshin & Yue 2019.
    """

    key: ClassVar = "dm"
    name: ClassVar = "direct method"
    needs_model: ClassVar = True

    def terms(self, evidence: Evidence) -> Terms:
        """Return the model's values of the first decisions."""
        return Terms(corrected(evidence, np.zeros_like(evidence.weights))[:, None], mean)


class DoublyRobust(Estimator):
    """The doubly robust estimator: Σ_i Σ_t γ^t [w_it (r_it − Q̂_it) + w_i,t−1 V̂_it] / n.

    Unbiased if the propensities are right, consistent if the model is. Dudík, Langford & Li 2011; for decisions in a row
    Jiang & Li 2016. The influence of the model's fits is 0 in the first order and left out.
    """

    key: ClassVar = "dr"
    name: ClassVar = "doubly robust"
    needs_model: ClassVar = True

    def terms(self, evidence: Evidence) -> Terms:
        """Return the corrected values."""
        return Terms(corrected(evidence._replace(fit_influence=None), evidence.weights)[:, None], mean)


class SelfNormalizedDR(Estimator):
    """Self-normalised doubly robust: Σ_i V̂(x_i0) / n + Σ_i w_i Σ_t δ_it / Σ_i w_i, w_i being the weight of the whole dialogue.

    To `dr` what `snips` is to `ips`: the correction is a weighted mean of what the model gets wrong, and no weight can carry it
    beyond that. Robins, Sued, Lei-Gomez & Rotnitzky 2007; for off-policy evaluation Kallus & Uehara 2019.
    """

    key: ClassVar = "sndr"
    name: ClassVar = "self-normalised DR"
    needs_model: ClassVar = True
    weighs_dialogues: ClassVar = True

    def terms(self, evidence: Evidence) -> Terms:
        """Return the model's values, the weighted errors and the weights."""
        weights = evidence.weights[:, -1:]
        first, errors = modelled(evidence)
        parts = [first[:, None], weights * errors.sum(axis=1, keepdims=True), weights]
        return Terms(np.concatenate(parts, axis=1), _mean_and_ratios)


class WeightedDR(Estimator):
    """Weighted doubly robust: Σ_i V̂(x_i0) / n + Σ_t (Σ_i w_it δ_it / Σ_i w_it).

    To `dr` what `wpdis` is to `pdis`: weights are normalised at each decision. Thomas & Brunskill 2016. With one
    decision a dialogue it is :class:`SelfNormalizedDR`.
    """

    key: ClassVar = "wdr"
    name: ClassVar = "weighted DR"
    needs_model: ClassVar = True

    def terms(self, evidence: Evidence) -> Terms:
        """Return the model's values, and the weighted errors and the weights of every step."""
        weights = evidence.weights
        first, errors = modelled(evidence)
        parts = [first[:, None], weights * errors, weights]
        return Terms(np.concatenate(parts, axis=1), _mean_and_ratios)


def _mean_and_ratios(totals: Floats, counts: Floats) -> Floats:
    """Mean of the first column and the sum of the ratios of the others' first half to their second; 0 / 0 is 0."""
    return mean(totals, counts) + sum_of_ratios(totals[:, 1:], counts)
