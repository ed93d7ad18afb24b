"""The distinct values of one part of a turn as matrices: one for each table, dense, sparse or yet to be trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dialog_policy.features.encoder import TurnEncoder
from dialog_policy.features.matrices import MappedRows, Matrix, NewMatrix, SparseRows, release
from dialog_policy.text.embedding import TrainableTable
from dialog_policy.text.ragged import Ragged
from dialog_policy.text.sentence_table import Table
from dialog_policy.text.table import FloatArray, TermTable

__all__ = ["Block", "encode_part", "in_memory"]

# Values that are encoded together.
_TOGETHER = 8_192


class Block(NamedTuple):
    """Features of all values by one table, and a last row of zeros, for padding.

    Where training changes the table, its texts are packed, and the matrix has a shape and no content.
    """

    matrix: Matrix
    table: TrainableTable | None = None
    packed: Ragged | None = None


def in_memory(name: str, shape: tuple[int, int]) -> FloatArray:
    """Make a matrix."""
    return np.zeros(shape, dtype=np.float32)


def encode_part(
    encoder: TurnEncoder,
    part: str,
    values: Sequence[str],
    new_matrix: NewMatrix,
    terms_of: Sequence[list[str]] | None = None,
) -> list[Block]:
    """Encode utterances or contexts, block by block in the order of the part's features.

    `terms_of` are the terms of the values, where they are known.
    """
    tables = encoder.tables[part]
    own = encoder.layout[part] - sum(table.dim for table in tables)
    flags = _Dense(new_matrix(f"{part}.own", (len(values) + 1, own)))
    blocks = [_begin(table, f"{part}.{number}", len(values), new_matrix) for number, table in enumerate(tables)]
    for start in range(0, len(values), _TOGETHER):
        chunk = slice(start, start + _TOGETHER)
        known = None if terms_of is None else terms_of[chunk]
        terms, own_features = encoder.terms_and_flags(part, values[chunk], known)
        flags.add(start, own_features)
        for block in blocks:
            block.add_texts(start, terms)
    return [block.done() for block in (flags, *blocks)]


def _begin(table: Table, name: str, n_values: int, new_matrix: NewMatrix) -> _Dense | _Sparse | _Packed:
    if isinstance(table, TrainableTable):
        return _Packed(table)
    if isinstance(table, TermTable) and table.vectors is None:
        return _Sparse(table)
    return _Dense(new_matrix(name, (n_values + 1, table.dim)), table)


class _Dense:
    def __init__(self, matrix: FloatArray, table: Table | None = None) -> None:
        self.matrix, self.table = matrix, table

    def add(self, start: int, rows: FloatArray) -> None:
        self.matrix[start : start + len(rows)] = rows
        release(self.matrix)

    def add_texts(self, start: int, terms: Sequence[Sequence[str]]) -> None:
        assert self.table is not None
        self.add(start, self.table.encode(terms))

    def done(self) -> Block:
        if not isinstance(self.matrix, np.memmap):
            return Block(self.matrix)
        self.matrix.flush()
        release(self.matrix)
        return Block(MappedRows(Path(str(self.matrix.filename))))


class _Sparse:
    def __init__(self, table: TermTable) -> None:
        self.table = table
        self.columns: list[Ragged] = []
        self.values: list[FloatArray] = []

    def add_texts(self, start: int, terms: Sequence[Sequence[str]]) -> None:
        columns, values = self.table.weighted_rows_of_many(terms)
        self.columns.append(columns)
        self.values.append(values)

    def done(self) -> Block:
        padding = Ragged.of_counts(np.zeros(0, dtype=np.int32), [0])
        values = np.concatenate([np.zeros(0, dtype=np.float32), *self.values])
        return Block(SparseRows(Ragged.concatenate([*self.columns, padding]), values, self.table.dim))


class _Packed:
    def __init__(self, table: TrainableTable) -> None:
        self.table = table
        self.packed: list[Ragged] = []

    def add_texts(self, start: int, terms: Sequence[Sequence[str]]) -> None:
        self.packed.append(self.table.pack(terms))

    def done(self) -> Block:
        packed = Ragged.concatenate(self.packed)
        empty = np.broadcast_to(np.float32(0), (len(packed) + 1, self.table.dim))
        return Block(empty, self.table, packed)
