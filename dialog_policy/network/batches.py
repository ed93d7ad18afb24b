"""Dialogues of different lengths as batches for Keras."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt

from dialog_policy.features.encoded import EncodedDialogues
from dialog_policy.text.table import FloatArray

__all__ = ["DialogueBatches", "evaluation_batches"]

_Batch = tuple[FloatArray, FloatArray, FloatArray]

# Turns by which a dialogue may be moved when dialogues are sorted by length: dialogues of neighbouring lengths meet in new
# company every epoch, for hardly any padding.
_JITTER = 1.0


class DialogueBatches(keras.utils.PyDataset):
    """Batches (features, action bits, turn weights) of whole dialogues, each padded to its own longest dialogue.

    Padding is on the right and has weight 0, so no mask is needed: a causal LSTM computes every real turn as if there were
    no padding. Dialogues of similar length share a batch; which ones, and the order of the batches, changes every epoch.

    Parameters
    ----------
    encoded
        The dialogues.
    batch_size
        Dialogues a batch; the last one may have fewer.
    seed
        The order of epoch e depends on (seed, e) alone, so that an interrupted training can go on exactly.
    epoch
        The first epoch, counted from 0.
    """

    def __init__(self, encoded: EncodedDialogues, batch_size: int, *, seed: int = 0, epoch: int = 0) -> None:
        super().__init__(workers=1)
        self.encoded, self.batch_size, self.seed = encoded, batch_size, seed
        self._plan(epoch)

    def _plan(self, epoch: int) -> None:
        self.epoch = epoch
        random = np.random.default_rng((self.seed, epoch))
        lengths = self.encoded.lengths
        order = np.argsort(lengths + random.uniform(-_JITTER, _JITTER, len(lengths)), kind="stable")
        batches = [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]
        self._batches = [batches[i] for i in random.permutation(len(batches))]

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> _Batch:
        turns = self.encoded.padded_turns(self._batches[index], self._length(index))
        return self.encoded.features(turns), self.encoded.targets(turns), self.encoded.weights(turns)

    def _length(self, index: int) -> int:
        longest = self._longest(index)
        # Keras takes the shapes of the first two batches for those of all, with None where these two differ. One step of
        # padding makes their lengths differ, so that time is None.
        return longest + 1 if index == 1 and longest == self._longest(0) else longest

    def _longest(self, index: int) -> int:
        return int(self.encoded.lengths[self._batches[index]].max())

    def turns_in(self, index: int) -> int:
        """Count the real turns of a batch."""
        return int(self.encoded.lengths[self._batches[index]].sum())

    def on_epoch_end(self) -> None:
        """Deal the dialogues anew."""
        self._plan(self.epoch + 1)


def evaluation_batches(encoded: EncodedDialogues, batch_size: int = 256) -> list[npt.NDArray[np.int64]]:
    """Turn numbers of all dialogues, shortest first, in few large padded batches of shape (≤ batch_size, time)."""
    order = np.argsort(encoded.lengths, kind="stable")
    return [encoded.padded_turns(order[i : i + batch_size]) for i in range(0, len(order), batch_size)]
