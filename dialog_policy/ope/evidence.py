"""What estimators look at, and what every estimator is: a function of sums over dialogues.

n dialogues, T steps (the decisions of the longest one). A dialogue that has ended stays in an absorbing state: weight ratio 1,
reward 0. With ρ_t = π(a_t|x_t) / b(a_t|x_t), the probabilities under the target and under the logging policy, and
w_t = ρ_0 ⋯ ρ_t, the value is E[Σ_t γ^t r_t] under π.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from dialog_policy.arrays import Floats

__all__ = [
    "Estimator",
    "Evidence",
    "MarginalWeights",
    "Modelled",
    "Terms",
    "cumulative_weights",
    "estimate",
    "mean",
    "modelled",
    "standard_error",
    "sum_of_ratios",
]


# A weight of e^50 is as good as infinite, and sums of such weights fit into single precision.
_LARGEST_LOG = 50.0


class MarginalWeights(NamedTuple):
    """Cumulative weights over embeddings of the actions.

    Attributes
    ----------
    kept
        The action bits that the embedding keeps.
    weights
        Shape (n, T): products of p(e_t|x_t, π) / p(e_t|x_t, b).
    fit_influence
        Shape (n,): what each dialogue adds to (1/n) Σ_i Σ_t γ^t w_it r_it through the fits of the weights that it takes part in;
        adds up to 0. None: the weights are taken as given.
    """

    kept: Sequence[str]
    weights: Floats
    fit_influence: Floats | None = None


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
    fit_influence
        From the weights ω, shape (n, T), of an estimate (1/n) Σ_i [V̂_i0 + Σ_t ω_it δ_it] to what each dialogue adds to it, shape
        (n,), through the fits of the model that it takes part in; adds up to 0. None: the model is taken as given.
    marginal
        Weights over embeddings of the actions, the finest embedding first. None: there are none.
    """

    weights: Floats
    rewards: Floats
    q: Floats | None = None
    v: Floats | None = None
    fit_influence: Callable[[Floats], Floats] | None = None
    marginal: Sequence[MarginalWeights] | None = None


class Terms(NamedTuple):
    """An estimate as a function of sums over dialogues, so that a bootstrap only has to weigh them.

    Attributes
    ----------
    columns
        Shape (n, k): what each dialogue adds.
    value
        From totals of the columns, shape (m, k), and numbers of dialogues, shape (m,), to values, shape (m,).
    parameters
        What was chosen from the log, by name; intervals take it as given.
    """

    columns: Floats
    value: Callable[[Floats, Floats], Floats]
    parameters: Mapping[str, Any] = {}


class Estimator(Protocol):
    """An estimator of the target policy's value.

    Attributes
    ----------
    key, name
        In JSON and options; in reports.
    needs_model
        Whether it needs the reward model: `q` and `v` of the evidence.
    needs_embedding
        Whether it needs `marginal` of the evidence.
    weighs_dialogues
        Whether it weighs whole dialogues, and not each reward by the decisions up to it.
    """

    key: ClassVar[str]
    name: ClassVar[str]
    needs_model: ClassVar[bool] = False
    needs_embedding: ClassVar[bool] = False
    weighs_dialogues: ClassVar[bool] = False

    def terms(self, evidence: Evidence) -> Terms:
        """Return the estimate as a function of sums over dialogues."""
        ...


def estimate(estimator: Estimator, evidence: Evidence) -> float:
    """Estimate the value from the whole log."""
    terms = estimator.terms(evidence)
    totals = terms.columns.sum(axis=0, dtype=np.float64)
    return float(terms.value(totals[None], np.array([len(terms.columns)], dtype=np.float64))[0])


def cumulative_weights(ratios: Floats, clip: float | None = None) -> Floats:
    """Products w_t of the ratios ρ, shape (n, T), each at most `clip` (truncated importance sampling, Ionides 2008)."""
    with np.errstate(divide="ignore"):
        logs = np.cumsum(np.log(ratios), axis=1)
    weights: Floats = np.exp(np.minimum(logs, _LARGEST_LOG))
    return weights if clip is None else np.minimum(weights, clip)


class Modelled(NamedTuple):
    """What a reward model says of the first decisions, and how the log contradicts it.

    Attributes
    ----------
    first
        Shape (n,): V̂(x_0).
    errors
        Shape (n, T): the temporal-difference errors δ_t = γ^t (r_t + γ V̂(x_t+1) − Q̂(x_t, a_t)).
    """

    first: Floats
    errors: Floats


def modelled(evidence: Evidence) -> Modelled:
    """Compare the reward model with the log.

    Raises
    ------
    ValueError
        If there is no reward model.
    """
    if evidence.q is None or evidence.v is None:
        raise ValueError("this estimator needs a reward model")
    following = np.concatenate([evidence.v[:, 1:], np.zeros((len(evidence.v), 1))], axis=1)
    return Modelled(evidence.v[:, 0], evidence.rewards + following - evidence.q)


def mean(totals: Floats, counts: Floats) -> Floats:
    """Total of the first column by the number of dialogues."""
    values: Floats = totals[:, 0] / counts
    return values


def sum_of_ratios(totals: Floats, counts: Floats) -> Floats:
    """Sum of the ratios of the first half of the columns to the second; 0 / 0 is 0."""
    above, below = np.split(totals, 2, axis=1)
    ratios: Floats = np.divide(above, below, out=np.zeros_like(above), where=below > 0).sum(axis=1)
    return ratios


def standard_error(columns: Floats) -> Floats:
    """Return the standard errors of the means of columns, from shape (n, k) to (k,)."""
    n = len(columns)
    errors: Floats = columns.std(axis=0) / np.sqrt(max(1, n - 1))
    return errors
