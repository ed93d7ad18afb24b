"""The features of a text times a matrix, compiled, for tables whose terms the compiled lookup finds."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dialog_policy.compiled import lookup
from dialog_policy.text.sentence_table import Table
from dialog_policy.text.table import FloatArray, TermTable

__all__ = ["as_bytes", "compile_projection"]

_FREQUENCIES = ("count", "log", "binary")


def as_bytes(matrix: FloatArray) -> tuple[bytes, FloatArray]:
    """Return a matrix as bytes, and as an array that uses them: it is in memory once."""
    content = matrix.tobytes()
    return content, np.frombuffer(content, np.float32).reshape(matrix.shape)


def compile_projection(
    tables: Iterable[tuple[Table, int, bytes | None]], matrix: bytes, start: bytes, n_flags: int
) -> lookup.Projection | None:
    """Return what projects the terms of a text; None where that is not compiled, or one of the tables is of another kind.

    Parameters
    ----------
    tables
        With the first column of each among the features, after `n_flags` others; or, for a table of bits, with the rows of the
        matrix that these stand for, as float32.
    matrix
        Shape (number of features without those of bits, n), float32.
    start
        What every projection begins with, shape (n,), float32.
    n_flags
        Number of features before those of the tables.
    """
    parts = []
    for table, place, bits in tables:
        if type(table) is not TermTable or table.index.compiled is None or table.pools != ("sum",):
            return None
        values = bits
        if values is None:
            assert table.vectors is not None
            values, table.vectors = as_bytes(table.vectors)
        frequency = _FREQUENCIES.index(table.frequency)
        own = (place, table.dim, frequency, table.unit_length, table.scale)
        parts.append((table.index.compiled, table.row_weights.tobytes(), values, *own))
    return None if lookup is None else lookup.Projection(tuple(parts), matrix, start, n_flags)
