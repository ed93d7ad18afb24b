"""Features of a state with an action, and a ridge regression on them that never sees the dialogues it predicts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.ope.evidence import FloatArray

__all__ = ["PENALTY", "crossfitted", "interactions", "principal_directions"]

PENALTY = 1.0
# Directions of the state that interact with the action; fewer where many actions would make too many products.
_DIRECTIONS, _PRODUCTS = 16, 480


def principal_directions(states: FloatArray, n_actions: int) -> FloatArray:
    """Shape (m, 1 + d): a constant and each state's coordinates along up to 16 principal directions; states of shape (m, f)."""
    centred = states - states.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    kept = vectors[:, -max(1, min(_DIRECTIONS, _PRODUCTS // max(1, n_actions))) :]
    return np.concatenate([np.ones((len(states), 1)), centred @ kept], axis=1)


def interactions(states: FloatArray, directions: FloatArray, actions: FloatArray) -> FloatArray:
    """Shape (m, f + (1 + d) a): states, shape (m, f), and products of directions, (m, 1 + d), with actions, (m, a)."""
    products = directions[:, :, None] * actions[:, None, :]
    return np.concatenate([states, products.reshape(len(states), -1)], axis=1)


class Crossfitted(NamedTuple):
    """A regression's out-of-fold predictions, and its coefficients from all rows."""

    predictions: FloatArray
    coefficients: FloatArray


def crossfitted(features: FloatArray, targets: FloatArray, folds: npt.NDArray[np.int64]) -> Crossfitted:
    """Fit a ridge regression for each fold on the others.

    Parameters
    ----------
    features
        Shape (m, f).
    targets
        Shape (m,).
    folds
        Shape (m,): the fold of each row.
    """
    gram, moments = features.T @ features, features.T @ targets
    diagonal = np.diag_indices_from(gram)
    predictions = np.empty(len(targets))
    for fold in np.unique(folds).tolist():
        inside = folds == fold
        own = features[inside]
        rest = gram - own.T @ own
        rest[diagonal] += PENALTY
        predictions[inside] = own @ np.linalg.solve(rest, moments - own.T @ targets[inside])
    gram[diagonal] += PENALTY
    return Crossfitted(predictions, np.linalg.solve(gram, moments))
