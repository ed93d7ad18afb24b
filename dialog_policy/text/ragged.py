"""Rows of different lengths without padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["IntArray", "Ragged"]

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of numbers, one after the other and nothing between: row i is ``values[offsets[i]:offsets[i + 1]]``.

    Attributes
    ----------
    values
        Shape (n_values,).
    offsets
        Shape (n_rows + 1,): 0 first, the number of values last.
    """

    values: npt.NDArray[np.int32]
    offsets: IntArray

    @classmethod
    def of_counts(cls, values: npt.NDArray[np.int32], counts: npt.ArrayLike) -> Ragged:
        """Make rows of so many values each."""
        return cls(values, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))

    @classmethod
    def concatenate(cls, parts: Sequence[Ragged]) -> Ragged:
        """Put the rows of several one after the other."""
        none = np.zeros(0, dtype=np.int32)
        values = np.concatenate([none, *(part.values for part in parts)])
        return cls.of_counts(values, np.concatenate([none, *(part.counts for part in parts)]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def counts(self) -> IntArray:
        """Values of each row, shape (n_rows,)."""
        return np.diff(self.offsets)

    def row_of_each(self) -> IntArray:
        """Row of each value, shape (n_values,)."""
        return np.repeat(np.arange(len(self)), self.counts)

    def places(self, rows: npt.NDArray[np.integer]) -> tuple[IntArray, IntArray]:
        """Return where in `values` the values of some rows are, row after row, and how many each row has."""
        starts = self.offsets[rows]
        counts = self.offsets[rows + 1] - starts
        before = np.cumsum(counts) - counts
        return np.repeat(starts - before, counts) + np.arange(counts.sum()), counts

    def take(self, rows: npt.NDArray[np.integer]) -> Ragged:
        """Return some rows, in this order."""
        places, counts = self.places(rows)
        return Ragged.of_counts(self.values[places], counts)

    def between(self, start: int, stop: int) -> Ragged:
        """Return the rows from `start` to before `stop`."""
        offsets = self.offsets[start : stop + 1]
        return Ragged(self.values[offsets[0] : offsets[-1]], offsets - offsets[0])
