"""Features of a state with an action, and a ridge regression on them that never sees the dialogues it predicts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.arrays import Floats

__all__ = ["crossfitted", "interactions", "penalized", "principal_directions"]

_PENALTY = 1.0
# Directions of the state that interact with the action; fewer where many actions would make too many products.
_DIRECTIONS, _PRODUCTS = 16, 480


def principal_directions(states: Floats, n_actions: int) -> Floats:
    """Shape (m, 1 + d): a constant and each state's coordinates along up to 16 principal directions; states of shape (m, f)."""
    centred = states - states.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    kept = vectors[:, -max(1, min(_DIRECTIONS, _PRODUCTS // max(1, n_actions))) :]
    return np.concatenate([np.ones((len(states), 1)), centred @ kept], axis=1)


def penalized(gram: Floats) -> Floats:
    """Return the matrix of a ridge regression's equations from FᵀF, shape (f, f), of features F that begin with the constant.

    The constant is not penalised (Hastie, Tibshirani & Friedman 2009, §3.4.1), so what is added to all targets is added to all
    predictions.
    """
    penalties = np.full(len(gram), _PENALTY)
    penalties[0] = 0.0
    matrix: Floats = gram + np.diag(penalties)
    return matrix


def interactions(states: Floats, directions: Floats, actions: Floats) -> Floats:
    """Shape (m, f + (1 + d) a): states, shape (m, f), and products of directions, (m, 1 + d), with actions, (m, a)."""
    products = directions[:, :, None] * actions[:, None, :]
    return np.concatenate([states, products.reshape(len(states), -1)], axis=1)


class Crossfitted(NamedTuple):
    """A ridge regression, fitted for each fold on the others.

    Attributes
    ----------
    predictions
        Shape (m,): of each row by the fit that did not see its fold.
    coefficients
        Shape (f,): of a fit on all rows.
    features, folds
        Shapes (m, f) and (m,): what it was fitted on.
    inverses, errors
        Of each fold the inverse of its fit's equations, shape (f, f), and the errors in the rows it was fitted on, shape (m,).
    """

    predictions: Floats
    coefficients: Floats
    features: Floats
    folds: npt.NDArray[np.int64]
    inverses: list[Floats]
    errors: list[Floats]

    def influence(self, gradient: Floats) -> Floats:
        """Return what each row adds, through the fits that it takes part in, to a sum that the predictions are a part of.

        In the first order: a row's terms of the fit's equations times the inverse of their derivative (an M-estimator's influence:
        van der Vaart 1998, §5.3).

        Parameters
        ----------
        gradient
            Shape (m,): by how much the sum grows with the prediction of each row.

        Returns
        -------
        ndarray of shape (m,)
        """
        added: Floats = np.zeros(len(self.features))
        for fold, (inverse, errors) in enumerate(zip(self.inverses, self.errors, strict=True)):
            inside = self.folds == fold
            added += (self.features @ (gradient[inside] @ self.features[inside] @ inverse)) * errors
        return added


def crossfitted(features: Floats, targets: Floats, folds: npt.NDArray[np.int64]) -> Crossfitted:
    """Fit a ridge regression for each fold on the others.

    Parameters
    ----------
    features
        Shape (m, f), the constant first.
    targets
        Shape (m,).
    folds
        Shape (m,): the fold of each row, from 0.
    """
    gram, moments = features.T @ features, features.T @ targets
    predictions = np.empty(len(targets))
    inverses, errors = [], []
    for fold in range(int(folds.max()) + 1):
        inside = folds == fold
        own = features[inside]
        inverse = np.linalg.inv(penalized(gram - own.T @ own))
        weights = inverse @ (moments - own.T @ targets[inside])
        predictions[inside] = own @ weights
        inverses.append(inverse)
        errors.append(np.where(inside, 0.0, targets - features @ weights))
    return Crossfitted(predictions, np.linalg.solve(penalized(gram), moments), features, folds, inverses, errors)
