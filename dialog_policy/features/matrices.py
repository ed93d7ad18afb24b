"""Matrices that are asked for rows: few values a row (sparse), or more rows than are to be kept in memory (on disk)."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dialog_policy.text.ragged import Ragged
from dialog_policy.text.table import FloatArray

__all__ = ["MappedRows", "Matrix", "NewMatrix", "SparseRows", "new_file", "release"]

# From a name and a shape to an array of zeros, in memory or a mapped file.
NewMatrix = Callable[[str, tuple[int, int]], FloatArray]

# A file's pages are given back when about so many bytes may have become resident. Around each row that is read the system maps
# more: 64 KiB on average were measured (Linux 6.18).
_RESIDENT = 128 << 20
_AROUND = 64 << 10


class Matrix(Protocol):
    """What a part of the features is taken from: an array, or what looks like one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        ...

    def __getitem__(self, rows: npt.NDArray[np.int64], /) -> FloatArray:
        """Rows by number, shape (*rows.shape, columns); -1 is the last one."""
        ...


class SparseRows:
    """A matrix by the values of each row that are not zero.

    Parameters
    ----------
    columns
        The columns that each row has values in.
    values
        The values, in the order of `columns.values`.
    width
        Number of columns.
    """

    def __init__(self, columns: Ragged, values: FloatArray, width: int) -> None:
        self.columns, self.values, self.width = columns, values, width

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.columns), self.width

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> FloatArray:
        """Rows by number, shape (*rows.shape, width), dense."""
        flat = rows.reshape(-1)
        places, counts = self.columns.places(np.where(flat < 0, flat + self.shape[0], flat))
        dense = np.zeros((len(flat), self.width), dtype=np.float32)
        dense[np.repeat(np.arange(len(flat)), counts), self.columns.values[places]] = self.values[places]
        return dense.reshape(*rows.shape, self.width)


class MappedRows:
    """A matrix in a ``.npy`` file, mapped into memory; pages are given back to the system after some reading.

    So a matrix of gigabytes takes some hundred megabytes of resident memory at the most, while the system keeps in its page
    cache what it has room for.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._array = np.lib.format.open_memmap(path, mode="r")
        self._view: FloatArray = np.asarray(self._array)
        self._touched = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        return self._view.shape

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> FloatArray:
        """Rows by number, shape (*rows.shape, columns)."""
        picked: FloatArray = self._view[rows]
        self._touched += rows.size * _AROUND
        if min(self._touched, self._view.nbytes) > _RESIDENT:
            self._touched = 0
            release(self._array)
        return picked


def new_file(path: Path, shape: tuple[int, int]) -> FloatArray:
    """Create a ``.npy`` file of float32 zeros that is written by writing into the array.

    Raises
    ------
    OSError
        If the disk has no room for it.
    """
    array: FloatArray = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    if hasattr(os, "posix_fallocate"):  # a mapped file that outgrows its disk while it is written ends the process
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def release(array: npt.NDArray[np.float32]) -> None:
    """Give the pages of a mapped file back: what was written stays in the file, what is read next is mapped again."""
    mapped = array.base
    if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
