"""MAGIC: between the reward model and weighted doubly robust, the mixture with the least estimated squared error."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from dialog_policy.arrays import Floats
from dialog_policy.evaluation.intervals import dialogue_weights
from dialog_policy.ope.doubly_robust import WeightedDR, corrected
from dialog_policy.ope.evidence import Estimator, Evidence, Terms, modelled

__all__ = ["MAGIC", "simplex_minimum"]

# Horizons that are mixed: all, or as many from short to long.
_MOST_HORIZONS = 10
# Bootstrap resamples for the interval that says what of a horizon's distance is bias, and its ends.
_RESAMPLES, _ENDS = 200, (0.05, 0.95)
# What floating point alone may miss of a minimum, relative to it.
_TOLERANCE = 1e-10


class MAGIC(Estimator):
    """Model and guided importance sampling combined: Σ_j x_j g_j over horizons j.

    g_j = Σ_i V̂(x_i0) / n + Σ_{t ≤ j} (Σ_i w_it δ_it / Σ_i w_it) follows the log up to decision j and the reward model after it:
    g_−1 is `dm`, the last is `wdr`. The weights x ≥ 0, Σ x = 1, minimise xᵀ(Ω + b bᵀ)x, where Ω is the covariance of the g_j, and
    b_j the distance of g_j from the 90 % bootstrap interval of `wdr`. Thomas & Brunskill 2016. Here Ω also has
    what the model's fits add to the variance of the short horizons.
    """

    key: ClassVar = "magic"
    name: ClassVar = "MAGIC"
    needs_model: ClassVar = True

    def terms(self, evidence: Evidence) -> Terms:
        """Return the weighted errors and the weights of every step, and what the mixture makes of them."""
        n, steps = evidence.weights.shape
        totals = evidence.weights.sum(axis=0)
        normalised = np.divide(evidence.weights * n, totals, out=np.zeros_like(evidence.weights), where=totals > 0)
        horizons = _horizons(steps)
        up_to = np.arange(steps) <= horizons[:, None]
        # Shape (n, n_horizons): what each dialogue adds to the g_j, the sums of the weights taken as given.
        columns = np.stack([corrected(evidence, normalised * kept) for kept in up_to], axis=1)
        values = columns.mean(axis=0)
        deviations = columns - values
        covariance = deviations.T @ deviations / (n * max(1, n - 1))
        low, high = _interval_of_wdr(evidence)
        bias = np.maximum(0.0, np.maximum(low - values, values - high))
        mixture = simplex_minimum(covariance + np.outer(bias, bias))
        # A step's errors count for every horizon that reaches it.
        shares = mixture @ up_to
        first, errors = modelled(evidence)
        if evidence.fit_influence is not None:
            first = first + evidence.fit_influence(normalised * shares)

        def value(totals: Floats, counts: Floats) -> Floats:
            above, below = np.split(totals[:, 1:], 2, axis=1)
            ratios = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
            mixed: Floats = totals[:, 0] / counts + ratios @ shares
            return mixed

        parts = [first[:, None], evidence.weights * errors, evidence.weights]
        chosen = [
            {"decisions": int(horizon) + 1, "weight": float(weight)}
            for horizon, weight in zip(horizons, mixture, strict=True)
        ]
        return Terms(np.concatenate(parts, axis=1), value, {"horizons": chosen})


def _horizons(steps: int) -> npt.NDArray[np.int64]:
    """Return −1, the last step, and at most eight between, ever further apart."""
    if steps + 1 <= _MOST_HORIZONS:
        return np.arange(-1, steps)
    inner = np.unique(np.geomspace(1, steps, _MOST_HORIZONS - 1).round().astype(np.int64)) - 1
    return np.concatenate([[-1], inner])


def _interval_of_wdr(evidence: Evidence) -> tuple[float, float]:
    """Percentile bootstrap interval of `wdr` that has its value inside."""
    terms = WeightedDR().terms(evidence)
    n = len(terms.columns)
    values = np.concatenate(
        [terms.value(block @ terms.columns, np.full(len(block), n)) for block in dialogue_weights(n, _RESAMPLES, 0)]
    )
    low, high = np.quantile(values, _ENDS)
    at = float(terms.value(terms.columns.sum(axis=0)[None], np.array([n]))[0])
    return min(float(low), at), max(float(high), at)


def simplex_minimum(matrix: Floats) -> Floats:
    """Minimise xᵀAx over x ≥ 0, Σ x = 1, shape (k,), for a positive semidefinite A, shape (k, k).

    The point of least norm in the hull of k points of which A has the inner products: Wolfe 1976, "Finding the nearest point in a
    polytope". Exact after finitely many steps.
    """
    k = len(matrix)
    slack = _TOLERANCE * max(float(np.diag(matrix).max()), np.finfo(np.float64).tiny)
    x = np.zeros(k)
    x[int(np.diag(matrix).argmin())] = 1.0
    for _ in range(100 * k):
        gradient = matrix @ x
        entering = int(gradient.argmin())
        if gradient[entering] >= x @ gradient - slack or x[entering] > 0:
            break
        active = [*np.flatnonzero(x > 0).tolist(), entering]
        while True:
            y = _affine_minimum(matrix[np.ix_(active, active)])
            here = x[active]
            if (y > 0).all():
                x[:] = 0.0
                x[active] = y
                break
            falling = y <= 0
            step = float((here[falling] / np.maximum(here[falling] - y[falling], np.finfo(np.float64).tiny)).min())
            moved = here + step * (y - here)
            moved[moved <= _TOLERANCE] = 0.0
            x[:] = 0.0
            x[active] = moved / moved.sum()
            active = [i for i in active if x[i] > 0]
    return x


def _affine_minimum(matrix: Floats) -> Floats:
    """Minimise xᵀAx over Σ x = 1."""
    k = len(matrix)
    # Scaled, so that the constraint's row is of the order of the others.
    scale = max(float(np.abs(matrix).max()), np.finfo(np.float64).tiny)
    system = np.ones((k + 1, k + 1))
    system[:k, :k] = matrix / scale
    system[k, k] = 0.0
    solution: Floats = np.linalg.lstsq(system, np.append(np.zeros(k), 1.0), rcond=None)[0][:k]
    return solution
