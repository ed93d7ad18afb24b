"""Losses over turns: one number a turn, averaged over the turns that count."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from dialog_policy.runtime.set_prior import SetPrior

__all__ = ["ActionLoss"]


class ActionLoss(keras.losses.Loss):
    """Negative log-likelihood of a turn's actions, in nats, from logits.

    The mean is over the sample weights and not over batch × time, since otherwise padding would shrink it.

    Parameters
    ----------
    single_action
        Whether the actions exclude each other: softmax cross-entropy.
    prior
        Otherwise: of the whole action set, under the distribution that :class:`~dialog_policy.runtime.decoder.Decoder` decides by.
        None: independent bits, the sum over actions of the binary cross-entropy.
    label_smoothing
        Share of probability that the target gives away: evenly to all actions where they exclude each other, to all sets of
        `prior`, or to both values of a bit.
    """

    def __init__(self, *, single_action: bool, prior: SetPrior | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__(name="action_loss", reduction="mean_with_sample_weight")
        self.single_action, self.label_smoothing = single_action, label_smoothing
        self.prior = None if single_action else prior
        if self.prior is not None:
            bits, log_weights, log_new = self.prior
            self._bits = np.ascontiguousarray(bits.T, dtype=np.float32)
            self._sizes = bits.sum(axis=1).astype(np.float32)
            self._excess = self.prior.log_excess.astype(np.float32)
            self._beyond = (log_weights - log_new).astype(np.float32)
            self._mean_bits, self._mean_share = bits.mean(axis=0).astype(np.float32), float(log_weights.mean())

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss of each turn: targets and logits of shape (batch, time, n_actions) to (batch, time)."""
        smoothing = self.label_smoothing
        if self.single_action:
            target = y_true * (1 - smoothing) + smoothing / y_true.shape[-1]
            return -ops.sum(target * ops.log_softmax(y_pred, axis=-1), axis=-1)
        if self.prior is None:
            target = y_true * (1 - smoothing) + 0.5 * smoothing
            return ops.sum(ops.softplus(y_pred) - target * y_pred, axis=-1)
        log_new = self.prior.log_new
        seen = ops.logsumexp(ops.matmul(y_pred, self._bits) + self._excess, axis=-1)
        log_total = ops.logaddexp(seen, ops.sum(ops.softplus(y_pred), axis=-1) + log_new)
        # The bits in which the target differs from each set: none, where it is that set.
        differing = ops.sum(y_true, axis=-1, keepdims=True) + self._sizes - 2 * ops.matmul(y_true, self._bits)
        gold_prior = log_new + ops.sum(ops.where(differing < 0.5, self._beyond, 0.0), axis=-1)
        gold = ops.sum(y_true * y_pred, axis=-1) + gold_prior
        if smoothing:
            evenly = ops.sum(y_pred * self._mean_bits, axis=-1) + self._mean_share
            gold = (1 - smoothing) * gold + smoothing * evenly
        return log_total - gold
