"""Losses over turns: one number a turn, averaged over the turns that count."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

__all__ = ["ActionLoss", "balanced_weights"]


class ActionLoss(keras.losses.Loss):
    """Negative log-likelihood of a turn's action bits, in nats, from logits.

    Softmax cross-entropy where every turn has exactly one action, else the sum over actions of the binary cross-entropy.
    The mean is over the sample weights and not over batch × time, since otherwise padding would shrink it.

    Parameters
    ----------
    single_action
        Whether the actions exclude each other.
    label_smoothing
        Share of probability that the target gives away, evenly.
    weights
        Shape (2, n_actions): weight of an action's bit when it is 0 and when it is 1. None: all 1.
    """

    def __init__(
        self, *, single_action: bool, label_smoothing: float = 0.0, weights: npt.NDArray[np.float32] | None = None
    ) -> None:
        super().__init__(name="action_loss", reduction="mean_with_sample_weight")
        self.single_action, self.label_smoothing = single_action, label_smoothing
        self.weights = np.ones((2, 1), dtype=np.float32) if weights is None else weights

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss of each turn: targets and logits of shape (batch, time, n_actions) to (batch, time)."""
        smoothing = self.label_smoothing
        off, on = self.weights
        if self.single_action:
            target = y_true * (1 - smoothing) + smoothing / y_true.shape[-1]
            return -ops.sum(target * on * ops.log_softmax(y_pred, axis=-1), axis=-1)
        target = y_true * (1 - smoothing) + 0.5 * smoothing
        return ops.sum(on * target * ops.softplus(-y_pred) + off * (1 - target) * ops.softplus(y_pred), axis=-1)


def balanced_weights(counts: npt.ArrayLike, n_turns: int, *, single_action: bool) -> npt.NDArray[np.float32]:
    """Weights that give rare actions as much say as frequent ones, by scikit-learn's ``class_weight="balanced"``.

    Parameters
    ----------
    counts
        Shape (n_actions,): turns with each action, among `n_turns`.

    Returns
    -------
    ndarray of shape (2, n_actions), float32
        For exclusive actions n / (K count) where the action is taken; else n / (2 count) where a bit is 1 and
        n / (2 (n - count)) where it is 0.
    """
    on = np.maximum(np.asarray(counts, dtype=np.float64), 1.0)
    if single_action:
        weights = np.stack([np.ones_like(on), n_turns / (len(on) * on)])
    else:
        weights = np.stack([n_turns / (2 * np.maximum(n_turns - on, 1.0)), n_turns / (2 * on)])
    return weights.astype(np.float32)
