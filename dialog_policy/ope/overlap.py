"""Whether the log says enough about the policy: how the importance weights are spread, and when to conclude nothing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dialog_policy.arrays import Floats
from dialog_policy.evaluation.intervals import Interval

__all__ = ["SMALLEST_SAMPLE", "WORST_MEAN", "Overlap", "effective_sample_size", "examine_overlap", "pareto_k"]

# An estimate rests on at least so many effective dialogues: docs/value.md shows what intervals cover below and above.
SMALLEST_SAMPLE = 50
# Weights have mean 1; an interval of the mean that lies further off says that propensities, support or clipping are at fault.
WORST_MEAN = 0.1
# Fewer weights than this have no tail to look at.
_SMALLEST_TAIL = 5


class Overlap(NamedTuple):
    """What the weights of n dialogues say.

    Attributes
    ----------
    effective_sample_size
        (Σ w)² / Σ w² (Kish 1965; for importance sampling Kong 1992; Owen 2013, §9.3).
    mean_weight, mean_weight_ci95
        1 in expectation where the log covers what the policy does; no interval where nothing can be said.
    largest_share
        Share of the greatest weight in the sum.
    pareto_k, pareto_k_limit
        Shape of the generalised Pareto distribution fitted to the largest weights, and the limit from which on an estimate is
        not to be trusted, min(1 − 1 / log10 n, 0.7) (Vehtari, Simpson, Gelman, Yao & Gabry 2024, eq. 13). None: no tail, as where
        few dialogues or equal weights are at the top.
    refused
        Why nothing should be concluded; None: something may.
    """

    effective_sample_size: float
    mean_weight: float
    mean_weight_ci95: Interval | None
    largest_share: float
    pareto_k: float | None
    pareto_k_limit: float
    refused: str | None


def effective_sample_size(weights: Floats) -> Floats:
    """(Σ w)² / Σ w² over the first axis; 0 where all weights are 0."""
    top = weights.max(axis=0)
    scaled = np.divide(weights, top, out=np.zeros_like(weights), where=top > 0)
    squares = np.square(scaled).sum(axis=0)
    sums = scaled.sum(axis=0)
    size: Floats = np.divide(sums * sums, squares, out=np.zeros_like(squares), where=squares > 0)
    return size


def pareto_k(weights: Floats) -> float | None:
    """Shape k of the tail of the weights, shape (n,): over 0.5 their variance is infinite, over 1 their mean.

    The tail is the largest min(n / 5, 3 √n) weights, the fit the quasi-Bayesian one of Zhang & Stephens (2009), drawn to 0.5 by
    a weak prior worth ten weights; all as in Vehtari et al. (2024). None if the tail has no spread.
    """
    n = len(weights)
    size = int(min(n // 5, 3 * np.sqrt(n)))
    if size < _SMALLEST_TAIL:
        return None
    ordered = np.sort(weights)
    excess = ordered[-size:] - ordered[-size - 1]
    # Weights as large as the threshold are no part of the tail.
    excess = excess[excess > 0]
    if len(excess) < _SMALLEST_TAIL or excess[-1] - excess[0] <= 1e-12 * ordered[-1]:
        return None
    excess = excess / excess[-1]
    size = len(excess)
    points = 30 + int(np.sqrt(size))
    quartile = excess[int(size / 4 + 0.5) - 1]
    theta = 1 / excess[-1] + (1 - np.sqrt(points / (np.arange(1, points + 1) - 0.5))) / (3 * quartile)
    k = np.log1p(-theta[:, None] * excess).mean(axis=1)
    scale = np.divide(-k, theta, out=np.full_like(k, excess.mean()), where=np.abs(theta) > 1e-12)
    likelihood = -size * (np.log(scale) + k + 1)
    posterior = np.exp(likelihood - likelihood.max())
    best = float((theta * posterior).sum() / posterior.sum())
    shape = float(np.log1p(-best * excess).mean())
    return (shape * size + 0.5 * 10) / (size + 10)


def examine_overlap(weights: Floats, mean_ci95: Interval | None) -> Overlap:
    """Look at the weights that an estimate rests on.

    Parameters
    ----------
    weights
        Shape (n,): of each dialogue.
    mean_ci95
        95 % interval of their mean, if there is one.
    """
    n = len(weights)
    size = float(effective_sample_size(weights))
    total = float(weights.sum())
    k = pareto_k(weights)
    limit = float(min(1 - 1 / np.log10(n), 0.7)) if n > 10 else 0.0
    refused = None
    if total == 0:
        refused = "in no dialogue did the log do what the policy would do"
    elif size < SMALLEST_SAMPLE:
        refused = (
            f"the {n} dialogues say as much as {size:.1f} of the policy's own; at least {SMALLEST_SAMPLE} are needed"
        )
    elif k is not None and k >= limit:
        refused = f"a few dialogues have almost all the weight: Pareto k {k:.2f}, and from {limit:.2f} on no estimate is reliable"
    elif mean_ci95 is not None and not (mean_ci95[0] <= 1 + WORST_MEAN and mean_ci95[1] >= 1 - WORST_MEAN):
        low, high = mean_ci95
        refused = (
            f"the weights have mean {total / n:.2f} [{low:.2f}, {high:.2f}] and not 1: the policy does what the log never shows, "
            "the propensities are wrong, or too much is clipped"
        )
    share = float(weights.max()) / total if total else 0.0
    return Overlap(size, total / n, mean_ci95, share, k, limit, refused)
