"""Marginalised inverse propensity scoring: weights of what an action does, not of the action itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from dialog_policy.arrays import Floats
from dialog_policy.ope.evidence import (
    Estimator,
    Evidence,
    MarginalWeights,
    Terms,
    cumulative_weights,
    mean,
    standard_error,
)
from dialog_policy.ope.folds import fold_of_dialogues
from dialog_policy.ope.log import Log
from dialog_policy.ope.regression import crossfitted, interactions, principal_directions
from dialog_policy.ope.slope import slope

__all__ = ["MarginalizedIPS", "marginal_weights"]

# Embeddings that SLOPE chooses among.
_EMBEDDINGS = 6


class MarginalizedIPS(Estimator):
    """MIPS: Σ_i Σ_t γ^t w̃_it r_it / n with w̃_it = Π_{s ≤ t} p(e_is | x_is, π) / p(e_is | x_is, b), e being bits of the action set.

    Unbiased where actions matter through the kept bits alone (no direct effect). Which bits are kept, SLOPE chooses, from all
    (which is `pdis`) to the one that matters most. Saito & Joachims 2022, who have one decision; their section on choosing the
    embedding's dimensions uses SLOPE as well.
    """

    key: ClassVar = "mips"
    name: ClassVar = "marginalised IPS (MIPS)"
    needs_embedding: ClassVar = True

    def terms(self, evidence: Evidence) -> Terms:
        """Return the weighted rewards of the embedding that SLOPE chooses.

        Raises
        ------
        ValueError
            If the evidence has no marginal weights.
        """
        if not evidence.marginal:
            raise ValueError("this estimator needs weights of embeddings")
        columns = np.stack([_contributions(marginal, evidence.rewards) for marginal in evidence.marginal], axis=1)
        chosen = slope(columns.mean(axis=0), standard_error(columns))
        return Terms(columns[:, [chosen]], mean, {"kept_actions": list(evidence.marginal[chosen].kept)})


def _contributions(marginal: MarginalWeights, rewards: Floats) -> Floats:
    values: Floats = (marginal.weights * rewards).sum(axis=1)
    return values if marginal.fit_influence is None else values + marginal.fit_influence


def marginal_weights(
    log: Log,
    states: Floats,
    logged_bits: Floats,
    ratios: Floats,
    names: Sequence[str],
    *,
    gamma: float = 1.0,
    clip: float | None = None,
) -> list[MarginalWeights]:
    """Estimate weights of ever coarser embeddings of the action sets.

    The ratio of an embedding is the mean ratio of the sets that share it, p(e|x, π) / p(e|x, b) = E_b[ρ | x, e] (Saito & Joachims
    2022): a cross-fitted ridge regression of ρ on the state, the kept bits and their products. Bits are given up in the order of
    how little the log's discounted returns depend on them, by a regression of the returns on the same features.

    Parameters
    ----------
    log
        The log, m decisions.
    states
        Shape (m, n_features), the constant first.
    logged_bits
        Shape (m, n_actions): bits of the logged sets.
    ratios
        Shape (m,): ρ of the logged sets.
    names
        The actions' names, shape (n_actions,).
    gamma
        Discount.
    clip
        Greatest cumulative weight.

    Returns
    -------
    list
        The finest embedding first: all bits, whose ratios are ρ itself.
    """
    folds = fold_of_dialogues(log)[log.dialogue]
    directions = principal_directions(states, logged_bits.shape[1])
    fitted = crossfitted(interactions(states, directions, logged_bits), log.returns(gamma), folds)
    effects = directions @ fitted.coefficients[states.shape[1] :].reshape(directions.shape[1], -1)
    # A bit matters by how much it moves the return where it is set or not.
    matters = (effects * (logged_bits - logged_bits.mean(axis=0))).std(axis=0)
    order = np.argsort(-matters, kind="stable")
    sizes = sorted({round(size) for size in np.geomspace(1, len(names), _EMBEDDINGS)}, reverse=True)
    embeddings = [MarginalWeights(list(names), cumulative_weights(log.spread(ratios, 1.0), clip))]
    discounted = log.spread(log.rewards, 0.0) * gamma ** np.arange(int(log.step.max()) + 1)
    for size in sizes[1:]:
        bits = np.sort(order[:size])
        # The penalty draws ratios to their mean.
        fitted = crossfitted(interactions(states, directions, logged_bits[:, bits]), ratios, folds)
        estimated = np.clip(fitted.predictions, 0.0, ratios.max())
        weights = cumulative_weights(log.spread(estimated, 1.0), clip)
        # A dialogue's sum grows with a ratio by all that comes after it, divided by the ratio.
        following = np.cumsum((weights * discounted)[:, ::-1], axis=1)[:, ::-1][log.dialogue, log.step]
        gradient = np.divide(following, estimated, out=np.zeros_like(following), where=estimated > 0)
        moved = np.bincount(log.dialogue, fitted.influence(gradient), minlength=len(log.dialogues))
        embeddings.append(MarginalWeights([names[bit] for bit in bits], weights, moved - moved.mean()))
    return embeddings
