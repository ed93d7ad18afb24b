"""A model of what a decision is worth, for the direct method and the doubly robust one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.ope.folds import fold_of_dialogues
from dialog_policy.ope.log import Log

__all__ = ["Modelled", "fit_values"]

FloatArray = npt.NDArray[np.float64]

# Directions of the state that interact with the action; fewer where many actions would make too many products.
_DIRECTIONS, _PRODUCTS = 16, 480
_PENALTY = 1.0


class Modelled(NamedTuple):
    """What the model says.

    Attributes
    ----------
    q, v
        Shape (n_decisions,): value of the logged actions, and of what the policy would do; the rewards from there on.
    direct
        Shape (n_dialogues,): v of the first decision, plus how the dialogue moves the estimate through the fits it takes part in
        (its influence, in the first order), so that a bootstrap of the mean sees the uncertainty of the fits.
    """

    q: FloatArray
    v: FloatArray
    direct: FloatArray


def fit_values(log: Log, states: FloatArray, taken: FloatArray, expected: FloatArray, gamma: float) -> Modelled:
    """Fit Q̂(x, a) for the policy by fitted Q evaluation (Le, Voloshin & Yue 2019), cross-fitted over five folds of dialogues.

    Q̂ is a ridge regression on state, actions, and their products with up to 16 principal directions of the state. It is linear in the
    actions, so V̂(x) = E_π[Q̂(x, ·)] needs the policy's probability of each action only. Targets r + γ V̂(x′) are
    iterated once for every step of the longest dialogue and kept within the returns that can occur.

    Parameters
    ----------
    log
        The log.
    states
        Shape (n_decisions, n_features), with a constant.
    taken, expected
        Shape (n_decisions, n_actions): bits of the logged actions, probabilities of the policy's.
    gamma
        Discount.
    """
    directions = _directions(states, taken.shape[1])
    logged, chosen = _features(states, directions, taken), _features(states, directions, expected)
    goes_on = np.append(log.dialogue[1:] == log.dialogue[:-1], False)
    first = np.flatnonzero(log.step == 0)
    folds = fold_of_dialogues(log)
    n, horizon = len(log.dialogues), int(log.step.max()) + 1
    lowest, highest = _bounds(log, gamma)
    q, v = np.empty(len(logged)), np.empty(len(logged))
    direct, moved = np.empty(n), np.zeros(n)
    whole_gram = logged.T @ logged
    for fold in range(int(folds.max()) + 1):
        inside = folds[log.dialogue] == fold
        outside = (~inside).astype(np.float64)
        gram = whole_gram - logged[inside].T @ logged[inside]
        gram[np.diag_indices_from(gram)] += _PENALTY
        inverse = np.linalg.inv(gram)
        targets = log.rewards
        weights = inverse @ (logged.T @ (outside * targets))
        for _ in range(horizon - 1):
            after = np.where(goes_on, np.roll(np.clip(chosen @ weights, lowest, highest), -1), 0.0)
            targets = log.rewards + gamma * after
            weights = inverse @ (logged.T @ (outside * targets))
        q[inside], v[inside] = logged[inside] @ weights, chosen[inside] @ weights
        mine = first[folds == fold]
        direct[folds == fold] = v[mine]
        # A dialogue moves another fold's mean by its terms of the fit's equations Σ φ (r + γ φ̄′·w − φ·w) = 0, times the inverse
        # of their derivative by w (an M-estimator's influence: van der Vaart 1998, §5.3).
        rows = np.flatnonzero(goes_on & ~inside)
        derivative = gram - gamma * logged[rows].T @ chosen[rows + 1]
        direction = np.linalg.solve(derivative.T, chosen[mine].sum(axis=0))
        errors = outside * (
            log.rewards + gamma * np.where(goes_on, np.roll(chosen @ weights, -1), 0.0) - logged @ weights
        )
        moved += np.bincount(log.dialogue, (logged @ direction) * errors, minlength=n)
    return Modelled(q, v, direct + moved - moved.mean())


def _directions(states: FloatArray, n_actions: int) -> FloatArray:
    """Coordinates of each state along its principal directions, and a constant."""
    centred = states - states.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    kept = vectors[:, -max(1, min(_DIRECTIONS, _PRODUCTS // max(1, n_actions))) :]
    return np.concatenate([np.ones((len(states), 1)), centred @ kept], axis=1)


def _features(states: FloatArray, directions: FloatArray, actions: FloatArray) -> FloatArray:
    products = directions[:, :, None] * actions[:, None, :]
    return np.concatenate([states, products.reshape(len(states), -1)], axis=1)


def _bounds(log: Log, gamma: float) -> tuple[float, float]:
    """Return the least and the greatest discounted sum of rewards that a dialogue had from any decision on."""
    rewards = log.spread(log.rewards, 0.0)
    sums = np.zeros(len(rewards))
    lowest, highest = 0.0, 0.0
    for step in range(rewards.shape[1] - 1, -1, -1):
        sums = rewards[:, step] + gamma * sums
        lowest, highest = min(lowest, float(sums.min())), max(highest, float(sums.max()))
    return lowest, highest
