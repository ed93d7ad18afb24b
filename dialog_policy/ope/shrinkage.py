"""Doubly robust estimators that trust large weights less; how much less, SLOPE chooses from the log.

The papers have one decision. For several, the cumulative weight of a decision takes the place of its weight.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dialog_policy.arrays import Floats
from dialog_policy.ope.doubly_robust import corrected
from dialog_policy.ope.evidence import Estimator, Evidence, Terms, mean, standard_error
from dialog_policy.ope.slope import slope

__all__ = ["DRos", "SwitchDR"]

# Quantiles of the weights among which the threshold of Switch-DR is looked for, next to none and 0.
_QUANTILES = (0.99, 0.95, 0.9, 0.8, 0.65, 0.5, 0.35, 0.2)
# As many λ of DRos between 0.01 times the square of a small weight and 100 times that of a large one (the quantiles 0.05 and 0.95
# of the weights), next to ∞ and 0.
_N_LAMBDAS = 9


@dataclass(frozen=True)
class SwitchDR(Estimator):
    """Switch-DR: Σ_i [V̂(x_i0) + Σ_t w_it 1(w_it ≤ λ) δ_it] / n; weights over the threshold λ leave the word to the model.

    Wang, Agarwal & Dudík 2017; λ by SLOPE.

    Parameters
    ----------
    lambdas
        The thresholds to choose from, the greatest first. None: ∞, quantiles of the log's weights, and 0.
    """

    lambdas: Sequence[float] | None = None
    key: ClassVar = "switch_dr"
    name: ClassVar = "Switch-DR"
    needs_model: ClassVar = True

    def terms(self, evidence: Evidence) -> Terms:
        """Return the corrected values with the threshold that SLOPE chooses."""
        weights = evidence.weights
        lambdas = self.lambdas or [math.inf, *np.quantile(weights, _QUANTILES).tolist(), 0.0]
        return _chosen_by_slope(evidence, lambdas, lambda threshold: np.where(weights <= threshold, weights, 0.0))


@dataclass(frozen=True)
class DRos(Estimator):
    """Doubly robust with optimistic shrinkage: Σ_i [V̂(x_i0) + Σ_t λ w_it / (w_it² + λ) δ_it] / n.

    Su, Dimakopoulou, Krishnamurthy & Dudík 2020; λ by SLOPE. λ = ∞ is `dr`, λ = 0 is `dm`.

    Parameters
    ----------
    lambdas
        The λ to choose from, the greatest first. None: ∞, a geometric grid that the log's weights span, and 0.
    """

    lambdas: Sequence[float] | None = None
    key: ClassVar = "dros"
    name: ClassVar = "DR, optimistic shrinkage"
    needs_model: ClassVar = True

    def terms(self, evidence: Evidence) -> Terms:
        """Return the corrected values with the λ that SLOPE chooses."""
        weights = evidence.weights
        lambdas = self.lambdas or [math.inf, *_grid(weights), 0.0]
        return _chosen_by_slope(evidence, lambdas, lambda shrinkage: shrunk(weights, shrinkage))


def shrunk(weights: Floats, shrinkage: float) -> Floats:
    """λ w / (w² + λ), elementwise."""
    if math.isinf(shrinkage):
        return weights
    # Divided by w: neither a large weight's square nor λ = 0 at w = 0 is a problem.
    denominators = weights + np.divide(shrinkage, weights, out=np.full_like(weights, np.inf), where=weights > 0)
    shares: Floats = shrinkage / denominators
    return shares


def _grid(weights: Floats) -> list[float]:
    positive = weights[weights > 0]
    if not len(positive):
        return []
    small, large = np.quantile(positive, [0.05, 0.95])
    grid: list[float] = np.geomspace(100 * large**2, 0.01 * small**2, _N_LAMBDAS).tolist()
    return grid


def _chosen_by_slope(evidence: Evidence, lambdas: Sequence[float], weights_at: Callable[[float], Floats]) -> Terms:
    columns = np.stack([corrected(evidence, weights_at(shrinkage)) for shrinkage in lambdas], axis=1)
    chosen = slope(columns.mean(axis=0), standard_error(columns))
    shrinkage = lambdas[chosen]
    return Terms(columns[:, [chosen]], mean, {"lambda": None if math.isinf(shrinkage) else shrinkage})
