"""Ends a training that diverges, and says what helps."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from dialog_policy.errors import DivergenceError

__all__ = ["ADVICE", "LossWatch", "check_finite"]

# A loss that has grown this many times (and beyond what chance does to a small one) has not learnt anything.
_WORSE = 3.0
# What helps against a training that diverges.
ADVICE = "A smaller learning_rate (the default is 0.003) or weight_decay helps."


class LossWatch(keras.callbacks.Callback):
    """Ends a training whose loss or weights are not finite any more, before anything is kept of that epoch.

    Losses are looked at once an epoch: to look at each at once would make a GPU wait for every batch.

    Attributes
    ----------
    first
        The loss of the first batch, before any step; None before it.
    """

    async_safe = True  # Keras need not wait for a batch before it goes on with the next, and calls this in a thread

    def __init__(self) -> None:
        super().__init__()
        self.first: float | None = None
        self._means: dict[int, Any] = {}

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Begin anew."""
        self._means = {}

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Keep the mean loss of the batches of this epoch so far: it stays no number once it is none."""
        self._means[batch] = (logs or {})["loss"]

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Look at the losses and the weights.

        Raises
        ------
        DivergenceError
            If one is not finite.
        """
        means = np.array([float(self._means[batch]) for batch in sorted(self._means)])
        if self.first is None:
            self.first = float(means[0])
        wrong = np.flatnonzero(~np.isfinite(means))
        if len(wrong):
            raise DivergenceError(
                f"the loss is {means[wrong[0]]} in epoch {epoch + 1}, batch {wrong[0] + 1} of {len(means)}: the training has "
                f"diverged and was stopped. {ADVICE}"
            )
        check_finite(self.model, f"epoch {epoch + 1}")

    def is_worse(self, loss: float) -> bool:
        """Whether a loss is so much larger than the first one that nothing has been learnt."""
        return self.first is not None and loss > _WORSE * max(self.first, 1.0)


def check_finite(network: keras.Model, when: str) -> None:
    """Refuse weights that are not finite.

    Parameters
    ----------
    network
        Has the weights.
    when
        After what they are looked at: ``"epoch 3"``.

    Raises
    ------
    DivergenceError
        If one is not finite.
    """
    if not all(np.isfinite(weight).all() for weight in network.get_weights()):
        raise DivergenceError(f"after {when} weights are not finite numbers: the training has diverged. {ADVICE}")
