"""Propensities that were not logged: a logistic regression of what the logging policy did, judged on other dialogues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.arrays import Floats
from dialog_policy.evaluation.calibration import Reliability, expected_calibration_error, reliability_rows
from dialog_policy.ope.folds import FOLDS, fold_of_dialogues
from dialog_policy.ope.log import Log

__all__ = ["EstimatedPropensities", "estimate_propensities", "multinomial_regression", "softmax"]

# Action sets with a class of their own, the most frequent ones; the others share one.
_MAX_SETS = 100


class EstimatedPropensities(NamedTuple):
    """Propensities of the logged action sets, estimated.

    Attributes
    ----------
    propensities
        Shape (n_decisions,): of what was done, over 0, by a model that did not see the dialogue.
    about
        How it was estimated and how well it fits: mean log-loss of what was done, the same for the sets' shares alone, the
        expected calibration error of the likeliest set and its reliability bins.
    """

    propensities: Floats
    about: dict[str, Any]


def multinomial_regression(
    features: Floats, targets: npt.NDArray[np.int64], n_classes: int, *, iterations: int = 300
) -> Floats:
    """Fit a multinomial logistic regression with a penalty of half the sum of squared weights.

    The penalty is on the constant, too: it draws the classes a little to equal shares, so one that does not occur has a probability.

    Accelerated descent (Nesterov 1983, restarted after O'Donoghue & Candès 2015) whose step divides by Böhning's bound of the
    Hessian, ½ (I − 11ᵀ/K) ⊗ XᵀX (Böhning 1992): one matrix to factor, no step size to search.

    Parameters
    ----------
    features
        Shape (n, n_features), with a constant.
    targets
        Shape (n,): class numbers.
    n_classes
        Number of classes.
    iterations
        Number of steps.

    Returns
    -------
    ndarray of shape (n_features, n_classes)
    """
    gram = 0.5 * features.T @ features
    gram[np.diag_indices_from(gram)] += 1.0
    inverse = np.linalg.inv(gram)
    onehot = np.zeros((len(targets), n_classes))
    onehot[np.arange(len(targets)), targets] = 1.0
    weights = np.zeros((features.shape[1], n_classes))
    ahead, momentum = weights, 1.0
    for _ in range(iterations):
        gradient = features.T @ (softmax(features @ ahead) - onehot) + ahead
        step = inverse @ gradient
        moved = ahead - step
        if float((gradient * (moved - weights)).sum()) > 0:
            momentum = 1.0
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = moved + (momentum - 1) / following * (moved - weights)
        weights, momentum = moved, following
        if np.abs(step).max() < 1e-4:
            break
    return weights


def softmax(scores: Floats) -> Floats:
    """Probabilities of each row of scores."""
    shares: Floats = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def estimate_propensities(log: Log, states: Floats) -> EstimatedPropensities:
    """Estimate the probability of every logged set of actions.

    Five folds of dialogues: each fold's propensities come from a regression on the other four, over the 100 most frequent
    action sets and one class for the rest; within the rest, a set has its share of it, half a count for one never seen.

    Parameters
    ----------
    log
        The log.
    states
        Shape (n_decisions, n_features): see :func:`~dialog_policy.ope.features.state_features`.
    """
    folds = fold_of_dialogues(log)[log.dialogue]
    propensities = np.empty(len(log.actions))
    marginal = np.empty(len(log.actions))
    confidence, right = np.empty(len(log.actions)), np.empty(len(log.actions), dtype=np.bool_)
    for fold in range(int(folds.max()) + 1):
        inside, outside = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        counts = Counter(log.actions[i] for i in outside.tolist())
        ranked = sorted(counts, key=lambda actions: (-counts[actions], sorted(actions)))
        number = {actions: i for i, actions in enumerate(ranked[:_MAX_SETS])}
        rest = len(number)
        weights = multinomial_regression(states[outside], _numbers(log.actions, outside, number), rest + 1)
        shares = softmax(states[inside] @ weights)
        targets = _numbers(log.actions, inside, number)
        # Counts with half of one more for what was never seen.
        of_rest = sum(counts[actions] for actions in ranked[_MAX_SETS:]) + 0.5
        within = np.array(
            [
                _count(counts, log.actions[i]) / of_rest if c == rest else 1.0
                for i, c in zip(inside.tolist(), targets.tolist(), strict=True)
            ]
        )
        propensities[inside] = shares[np.arange(len(inside)), targets] * within
        marginal[inside] = [_count(counts, log.actions[i]) / (len(outside) + 0.5) for i in inside.tolist()]
        confidence[inside] = shares.max(axis=1)
        right[inside] = shares.argmax(axis=1) == targets
    reliability = Reliability.of(confidence, right)
    about = {
        "model": "multinomial logistic regression on the utterance, the context and the actions before, cross-fitted",
        "folds": min(FOLDS, len(log.dialogues)),
        "log_loss": float(-np.log(propensities).mean()),
        "log_loss_of_shares": float(-np.log(marginal).mean()),
        "ece": expected_calibration_error(reliability),
        "bins": reliability_rows(reliability),
    }
    return EstimatedPropensities(propensities, about)


def _count(counts: Counter[frozenset[str]], actions: frozenset[str]) -> float:
    return counts.get(actions) or 0.5


def _numbers(
    actions: Sequence[frozenset[str]], rows: npt.NDArray[np.int64], number: dict[frozenset[str], int]
) -> npt.NDArray[np.int64]:
    return np.array([number.get(actions[i], len(number)) for i in rows.tolist()], dtype=np.int64)
