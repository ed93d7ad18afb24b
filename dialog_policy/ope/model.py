"""A model of what a decision is worth, for the direct method and what corrects it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.arrays import Floats
from dialog_policy.ope.folds import fold_of_dialogues
from dialog_policy.ope.log import Log
from dialog_policy.ope.regression import interactions, penalized, principal_directions

__all__ = ["RewardModel", "fit_reward_model"]


class RewardModel(NamedTuple):
    """What the model says of each decision of a log.

    Attributes
    ----------
    q, v
        Shape (n_decisions,): Q̂ of the logged actions and V̂ = E_π[Q̂] of the target policy's; the rewards from there on.
    fit_influence
        From weights ω, shape (n_dialogues, longest dialogue), of an estimate (1/n) Σ_i [V̂_i0 + Σ_t ω_it δ_it], with the
        temporal-difference errors δ, to what each dialogue adds to it through the fits that it takes part in, in the first order:
        shape (n_dialogues,), adding up to 0. With it a bootstrap of the mean sees the uncertainty of the fits.
    """

    q: Floats
    v: Floats
    fit_influence: Callable[[Floats], Floats]


class _Fold(NamedTuple):
    """One fold's model: its rows, the inverse derivative of its equations, and their errors in the rows that it was fitted on."""

    inside: npt.NDArray[np.bool_]
    inverse: Floats
    errors: Floats


def fit_reward_model(log: Log, states: Floats, logged_bits: Floats, expected: Floats, gamma: float) -> RewardModel:
    """Fit Q̂(x, a) for the target policy by fitted Q evaluation (Le, Voloshin & Yue 2019), cross-fitted over folds of dialogues.

    Q̂ is a ridge regression on state, actions, and their products with up to 16 principal directions of the state. It is linear in
    the actions, so V̂(x) = E_π[Q̂(x, ·)] needs the policy's probability of each action only. Targets r + γ V̂(x′) are iterated once
    for every step of the longest dialogue, from the mean return as V̂, and V̂ is kept within the returns of the log. So what is
    added to the reward of every dialogue's last decision is, without a discount, added to Q̂ and V̂.

    The influence of a dialogue on a fit is that of an M-estimator (van der Vaart 1998, §5.3): its terms of the fit's equations
    Σ φ (r + γ φ̄′·w − φ·w) = 0 times the inverse of their derivative by w.

    Parameters
    ----------
    log
        The log.
    states
        Shape (n_decisions, n_features), the constant first.
    logged_bits, expected
        Shape (n_decisions, n_actions): bits of the logged actions, the target policy's probabilities of the actions.
    gamma
        Discount.
    """
    directions = principal_directions(states, logged_bits.shape[1])
    logged, chosen = interactions(states, directions, logged_bits), interactions(states, directions, expected)
    goes_on = np.append(log.dialogue[1:] == log.dialogue[:-1], False)
    folds = fold_of_dialogues(log)[log.dialogue]
    horizon = int(log.step.max()) + 1
    returns = log.returns(gamma)
    lowest, highest = returns.min(), returns.max()
    q, v = np.empty(len(logged)), np.empty(len(logged))
    whole_gram = logged.T @ logged
    fitted = []
    for fold in range(int(folds.max()) + 1):
        inside = folds == fold
        outside = (~inside).astype(np.float64)
        gram = penalized(whole_gram - logged[inside].T @ logged[inside])
        inverse = np.linalg.inv(gram)
        weights = np.zeros(logged.shape[1])
        weights[0] = returns[~inside].mean()
        for _ in range(horizon):
            after = np.where(goes_on, np.roll(np.clip(chosen @ weights, lowest, highest), -1), 0.0)
            weights = inverse @ (logged.T @ (outside * (log.rewards + gamma * after)))
        predicted, valued = logged @ weights, chosen @ weights
        q[inside], v[inside] = predicted[inside], valued[inside]
        rows = np.flatnonzero(goes_on & ~inside)
        derivative = gram - gamma * logged[rows].T @ chosen[rows + 1]
        errors = log.rewards + gamma * np.where(goes_on, np.roll(valued, -1), 0.0) - predicted
        fitted.append(_Fold(inside, np.linalg.inv(derivative), outside * errors))

    def fit_influence(omega: Floats) -> Floats:
        by_decision = omega[log.dialogue, log.step] * gamma**log.step
        # How the estimate moves with Q̂ of the logged actions, and with V̂ of each decision: V̂_i0 + Σ_t ω_it (γ V̂_i,t+1 − Q̂_it).
        by_value = np.where(log.step == 0, 1.0, gamma * np.roll(by_decision, 1))
        moved: Floats = np.zeros(len(log.dialogues))
        for model in fitted:
            slope = by_value[model.inside] @ chosen[model.inside] - by_decision[model.inside] @ logged[model.inside]
            added = (logged @ (slope @ model.inverse)) * model.errors
            moved += np.bincount(log.dialogue, added, minlength=len(moved))
        moved -= moved.mean()
        return moved

    return RewardModel(q, v, fit_influence)
