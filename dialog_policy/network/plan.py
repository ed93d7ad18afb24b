"""Which dialogues share a batch, how long it is, and in which order batches come."""

from __future__ import annotations

import heapq
import itertools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.features.encoded import EncodedDialogues
from dialog_policy.network.config import Strategy
from dialog_policy.network.lengths import evenly, few_lengths, sizes_and_lengths

__all__ = ["NOBODY", "Batch", "BatchPlan", "ceil_div"]

_IntArray = npt.NDArray[np.int64]

# Turns by which a dialogue may be moved when dialogues are sorted by length: dialogues of neighbouring lengths meet in new
# company every epoch, for hardly any padding.
_JITTER = 1.0
# The same where lengths are few: only dialogues of equal length change places, and then all that are padded to the same length.
_TIES = 0.5
# The row of a batch that has no dialogue.
NOBODY = -1


def ceil_div(dividend: int, divisor: int) -> int:
    """Divide and round up."""
    return -(-dividend // divisor)


class Batch(NamedTuple):
    """What the rows of a batch hold.

    Attributes
    ----------
    dialogues
        The dialogue of each row, or :data:`NOBODY`.
    starts
        The step of each dialogue at which the batch begins.
    length
        How many steps the batch has.
    """

    dialogues: _IntArray
    starts: _IntArray
    length: int


class BatchPlan:
    """Divides dialogues anew in every epoch, by their lengths alone.

    Parameters
    ----------
    encoded
        The dialogues.
    batch_size, strategy, max_lengths, window, seed
        As :class:`dialog_policy.network.batches.DialogueBatches` has them.
    devices
        The rows of a batch are a multiple of this.
    same_sizes
        Whether all batches must have as many dialogues, or one less.

    Attributes
    ----------
    batch_size
        Rows of a batch; with `max_lengths` one batch may have fewer.
    """

    def __init__(
        self,
        encoded: EncodedDialogues,
        batch_size: int,
        *,
        strategy: Strategy,
        max_lengths: int | None,
        window: int,
        seed: int,
        devices: int,
        same_sizes: bool,
    ) -> None:
        self._encoded, self._lengths = encoded, encoded.lengths
        self._strategy, self._window, self._seed, self._devices = strategy, window, seed, devices
        self._at_once = 1 if strategy == "single" else min(batch_size, len(encoded))
        # Dialogues are shuffled together that are read together: whole batches of them, and so as many in every epoch.
        self._pool = len(encoded)
        if strategy in ("bucket", "pad", "single") and encoded.pool_size < len(encoded):
            self._pool = max(1, encoded.pool_size // self._at_once) * self._at_once
        if strategy in ("bucket", "pad"):
            pool = min(self._pool, len(encoded))
            self._at_once = ceil_div(pool, ceil_div(pool, batch_size))
        self._padded: list[int] | None = None
        self._sizes: list[int] | None = None
        if strategy == "pad":
            self._padded = [int(self._lengths.max())]
        elif strategy == "bucket" and max_lengths is not None:
            if self._pool < len(encoded):
                self._padded = few_lengths(self._lengths_of_batches(), max_lengths)
            else:
                self._sizes, self._padded = sizes_and_lengths(self._lengths, batch_size, max_lengths, even=same_sizes)
                self._at_once = self._sizes[0]
        self.batch_size = self._rounded(self._at_once)

    def _rounded(self, rows: int) -> int:
        return ceil_div(rows, self._devices) * self._devices

    def batches(self, epoch: int) -> list[Batch]:
        """Return the batches of an epoch, in their order; they depend only on (seed, epoch)."""
        random = np.random.default_rng((self._seed, epoch))
        if self._strategy == "window":
            return self._windows(random)
        batches = []
        for pool in self._pools(random):
            groups = self._groups(random, pool)
            batches += [self._batch(groups[i]) for i in random.permutation(len(groups))]
        # Keras takes the shapes of the first two batches for those of all, with None where these two differ.
        other = next((i for i, batch in enumerate(batches) if batch.length != batches[0].length), None)
        if other is not None:
            batches[1], batches[other] = batches[other], batches[1]
        elif len(batches) > 1 and self._strategy == "bucket" and len(set(self._lengths.tolist())) > 1:
            batches[1] = batches[1]._replace(length=batches[1].length + 1)
        return batches

    def _lengths_of_batches(self) -> list[int]:
        """Return the longest length of every batch of an epoch, whose pools are like those of any other."""
        random = np.random.default_rng(self._seed)
        return [
            int(length)
            for pool in self._pools(random)
            for length in np.sort(self._lengths[pool])[np.cumsum(evenly(len(pool), self._at_once)) - 1]
        ]

    def _pools(self, random: np.random.Generator) -> list[_IntArray]:
        """Deal the dialogues into pools that are shuffled one after the other: shards in a new order, a pool full at a time."""
        if self._pool >= len(self._lengths):
            return [np.arange(len(self._lengths))]
        dealt = self._encoded.shuffled_shards(random)
        return [np.sort(dealt[start : start + self._pool]) for start in range(0, len(dealt), self._pool)]

    def _groups(self, random: np.random.Generator, pool: _IntArray) -> list[_IntArray]:
        """Deal the dialogues of a pool into groups that share a batch."""
        size, lengths = self._at_once, self._lengths[pool]
        if self._strategy == "exact":
            order = random.permutation(len(lengths))
            order = order[np.argsort(lengths[order], kind="stable")]
            ends = np.flatnonzero(np.diff(lengths[order])) + 1
            return [pool[part[i : i + size]] for part in np.split(order, ends) for i in range(0, len(part), size)]
        if self._strategy == "bucket":
            jitter = _JITTER if self._padded is None else _TIES
            order = np.argsort(lengths + random.uniform(-jitter, jitter, len(lengths)), kind="stable")
        else:
            order = random.permutation(len(lengths))
        groups = np.split(pool[order], np.cumsum(self._sizes or evenly(len(order), size))[:-1])
        return groups if self._padded is None or self._strategy == "pad" else self._mixed(random, groups)

    def _mixed(self, random: np.random.Generator, groups: list[_IntArray]) -> list[_IntArray]:
        """Deal the dialogues anew of neighbouring groups that are padded to the same length: that costs no padding."""
        mixed: list[_IntArray] = []
        for _, same in itertools.groupby(groups, key=lambda group: (self._rows(group), self._padded_length(group))):
            alike = list(same)
            ends = np.cumsum([len(group) for group in alike])[:-1]
            mixed += np.split(random.permutation(np.concatenate(alike)), ends)
        return mixed

    def _padded_length(self, dialogues: _IntArray) -> int:
        longest = int(self._lengths[dialogues].max())
        # No backend computes an LSTM of no steps, as of a batch of empty dialogues.
        return max(1, longest if self._padded is None else next(n for n in self._padded if n >= longest))

    def _rows(self, dialogues: _IntArray) -> int:
        """Return how many rows a batch of these dialogues has: all batches the same, but one that is made smaller."""
        if self._sizes is None or len(dialogues) >= self._at_once - 1:
            return self.batch_size
        return self._rounded(len(dialogues))

    def _batch(self, dialogues: _IntArray) -> Batch:
        rows = np.full(self._rows(dialogues), NOBODY, dtype=np.int64)
        rows[: len(dialogues)] = dialogues
        return Batch(rows, np.zeros(len(rows), dtype=np.int64), self._padded_length(dialogues))

    def _windows(self, random: np.random.Generator) -> list[Batch]:
        """Deal the dialogues to the rows, the longest first, each to the row that has least to do; then shuffle each row.

        So every epoch has the same number of batches, about as few as there can be (Graham 1969, longest processing time).
        """
        sizes = -(-self._lengths // self._window)
        order = random.permutation(len(sizes))
        loads = [(0, row) for row in range(self._at_once)]
        rows: list[list[int]] = [[] for _ in loads]
        for dialogue in order[np.argsort(-sizes[order], kind="stable")].tolist():
            load, row = heapq.heappop(loads)
            rows[row].append(dialogue)
            heapq.heappush(loads, (load + int(sizes[dialogue]), row))
        shape = max(loads)[0], self.batch_size
        dialogues, starts = np.full(shape, NOBODY, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        for row, dialogues_of_row in enumerate(rows):
            shuffled = random.permutation(np.array(dialogues_of_row, dtype=np.int64))
            steps = [np.arange(sizes[dialogue]) for dialogue in shuffled]
            n = int(sizes[shuffled].sum())
            dialogues[:n, row] = np.repeat(shuffled, sizes[shuffled])
            starts[:n, row] = (
                np.concatenate([np.arange(0), *steps]) * self._window
            )  # a row may have none, if many are empty
        return [Batch(*both, self._window) for both in zip(dialogues, starts, strict=True)]
