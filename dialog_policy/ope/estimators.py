"""The value of a policy from what another one did: the formulas, as statistics of sums over dialogues.

n dialogues, T steps (decisions of the longest one). A dialogue that has ended stays in an absorbing state: weight ratio 1,
reward 0. With ρ_t = π(a_t|x_t) / b(a_t|x_t), the probabilities under the policy to be valued and under the logging one, and
w_t = ρ_0 ⋯ ρ_t, the value is E[Σ_t γ^t r_t] under π.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["ESTIMATORS", "WEIGHTED_AT_ONCE", "Evidence", "cumulative_weights", "estimate"]

FloatArray = npt.NDArray[np.floating[Any]]

# A weight of e^50 is as good as infinite, and sums of such weights fit into single precision.
_LARGEST_LOG = 50.0


class Evidence(NamedTuple):
    """What the estimators look at.

    Attributes
    ----------
    weights
        Shape (n, T): w_t, clipped or not.
    rewards
        Shape (n, T): γ^t r_t, 0 after the end.
    q, v
        Shape (n, T): γ^t Q̂(x_t, a_t) of the logged actions and γ^t V̂(x_t) = γ^t E_π[Q̂(x_t, ·)] from a reward model, 0 after the
        end. None without a model.
    direct
        Shape (n,): what each dialogue adds to the direct method's mean. None without a model.
    """

    weights: FloatArray
    rewards: FloatArray
    q: FloatArray | None = None
    v: FloatArray | None = None
    direct: FloatArray | None = None


def cumulative_weights(ratios: FloatArray, clip: float | None = None) -> FloatArray:
    """Products w_t of the ratios ρ, shape (n, T), each at most `clip` (truncated importance sampling, Ionides 2008)."""
    with np.errstate(divide="ignore"):
        logs = np.cumsum(np.log(ratios), axis=1)
    weights: FloatArray = np.exp(np.minimum(logs, _LARGEST_LOG))
    return weights if clip is None else np.minimum(weights, clip)


def _needed(array: FloatArray | None) -> FloatArray:
    if array is None:
        raise ValueError("this estimator needs a reward model")
    return array


def _mean_return(evidence: Evidence) -> FloatArray:
    """Σ_i G_i / n: the logging policy's own value, G being a dialogue's return."""
    returns: FloatArray = evidence.rewards.sum(axis=1, keepdims=True)
    return returns


def _ips(evidence: Evidence) -> FloatArray:
    """Σ_i w_i G_i / n with the weight of the whole dialogue (Horvitz & Thompson 1952; Precup, Sutton & Singh 2000)."""
    return evidence.weights[:, -1:] * _mean_return(evidence)


def _snips(evidence: Evidence) -> FloatArray:
    """Σ_i w_i G_i / Σ_i w_i (Swaminathan & Joachims 2015; weighted importance sampling in Precup et al. 2000)."""
    return np.concatenate([_ips(evidence), evidence.weights[:, -1:]], axis=1)


def _pdis(evidence: Evidence) -> FloatArray:
    """Σ_i Σ_t γ^t w_it r_it / n: a reward has the weight of the decisions before it only (Precup et al. 2000)."""
    weighted: FloatArray = (evidence.weights * evidence.rewards).sum(axis=1, keepdims=True)
    return weighted


def _wpdis(evidence: Evidence) -> FloatArray:
    """Σ_t γ^t (Σ_i w_it r_it / Σ_i w_it): the consistent weighted form (Thomas 2015; after Precup et al. 2000)."""
    return np.concatenate([evidence.weights * evidence.rewards, evidence.weights], axis=1)


def _dm(evidence: Evidence) -> FloatArray:
    """Σ_i V̂(x_i0) / n (the direct method in Dudík, Langford & Li 2011; fitted Q evaluation, Le, Voloshin & Yue 2019)."""
    return _needed(evidence.direct)[:, None]


def _dr(evidence: Evidence) -> FloatArray:
    """Σ_i Σ_t γ^t [w_it (r_it − Q̂_it) + w_i,t−1 V̂_it] / n (Dudík et al. 2011; Jiang & Li 2016; Thomas & Brunskill 2016)."""
    before = np.concatenate([np.ones((len(evidence.weights), 1)), evidence.weights[:, :-1]], axis=1)
    corrected = evidence.weights * (evidence.rewards - _needed(evidence.q)) + before * _needed(evidence.v)
    sums: FloatArray = corrected.sum(axis=1, keepdims=True)
    return sums


def _mean(totals: FloatArray, n: int) -> FloatArray:
    return totals[:, 0] / n


def _sum_of_ratios(totals: FloatArray, n: int) -> FloatArray:
    """Sum of the ratios of the first half of the columns to the second; 0 / 0 is 0."""
    above, below = np.split(totals, 2, axis=1)
    found: FloatArray = np.divide(above, below, out=np.zeros_like(above), where=below > 0).sum(axis=1)
    return found


class Estimator(NamedTuple):
    """An estimator: what each dialogue adds, shape (n, k), and the value from totals, shape (m, k), and n."""

    name: str
    columns: Callable[[Evidence], FloatArray]
    value: Callable[[FloatArray, int], FloatArray]
    needs_model: bool = False


LOGGED = Estimator("the logging policy", _mean_return, _mean)
ESTIMATORS = {
    "dm": Estimator("direct method", _dm, _mean, needs_model=True),
    "ips": Estimator("inverse propensity (IPS)", _ips, _mean),
    "snips": Estimator("self-normalised IPS", _snips, _sum_of_ratios),
    "dr": Estimator("doubly robust", _dr, _mean, needs_model=True),
    "pdis": Estimator("per-decision IS", _pdis, _mean),
    "wpdis": Estimator("weighted per-decision IS", _wpdis, _sum_of_ratios),
}
# These weigh a whole dialogue at once; the others each reward by the decisions before it.
WEIGHTED_AT_ONCE = frozenset({"ips", "snips"})


def estimate(name: str, evidence: Evidence) -> float:
    """Estimate the value by the estimator of this name in :data:`ESTIMATORS`."""
    estimator = ESTIMATORS[name]
    totals = estimator.columns(evidence).sum(axis=0, keepdims=True)
    return float(estimator.value(totals, len(evidence.weights))[0])
