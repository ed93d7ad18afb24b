"""One part of a turn's features times a matrix: what an utterance, a context or an action set adds to a layer's input."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from dialog_policy.features.encoder import TurnEncoder
from dialog_policy.text.sentence_table import Table
from dialog_policy.text.table import FloatArray, TermTable

__all__ = ["Projector"]

# Values that are remembered; what one adds takes 4 bytes a column. Longer texts are not remembered.
_REMEMBERED, _LONGEST = 4_096, 2_000


class Projector:
    """Projects values of one part of a turn, and keeps the projections of recent values.

    The same, but for rounding, as encoding a value and multiplying; quicker, since a few bits of thousands are looked up, not
    multiplied. Any number of threads may share one.

    Parameters
    ----------
    encoder
        Makes the features.
    part
        Of :attr:`~dialog_policy.features.encoder.TurnEncoder.layout`.
    matrix
        Shape (layout[part], n).
    bias
        Shape (n,), added to every projection.
    """

    def __init__(self, encoder: TurnEncoder, part: str, matrix: FloatArray, bias: FloatArray | None = None) -> None:
        self.encoder, self.part, self.bias = encoder, part, bias
        self._known: dict[Any, FloatArray] = {}
        # In the order of the features, as (table, its rows of the matrix); bits are looked up, the others multiplied.
        tables = encoder.tables.get(part, ())
        self._own = encoder.layout[part] - sum(table.dim for table in tables)
        borders = np.cumsum([self._own, *(table.dim for table in tables)]).tolist()
        pieces = [(t, matrix[start:end]) for t, (start, end) in zip(tables, itertools.pairwise(borders), strict=True)]
        self._bits: list[tuple[TermTable, FloatArray]] = []
        dense: list[tuple[Table, FloatArray]] = []
        for table, rows in pieces:
            if isinstance(table, TermTable) and table.vectors is None:
                self._bits.append((table, np.ascontiguousarray(rows)))
            else:
                dense.append((table, rows))
        self._weights = np.concatenate([matrix[: self._own], *(rows for _, rows in dense)])
        ends = np.cumsum([self._own, *(table.dim for table, _ in dense)]).tolist()
        self._dense: list[tuple[Table, slice]] = [
            (table, slice(start, end)) for (table, _), (start, end) in zip(dense, itertools.pairwise(ends), strict=True)
        ]

    def one(self, value: Any) -> FloatArray:
        """Project a value: shape (n,). Nobody may change the result."""
        projected = self._known.get(value)
        if projected is None:
            projected = self._new([value])[0]
        return projected

    def many(self, values: Sequence[Any]) -> FloatArray:
        """Project values: shape (n_values, n)."""
        found: list[FloatArray | None] = list(map(self._known.get, values))
        new = list(dict.fromkeys(value for value, known in zip(values, found, strict=True) if known is None))
        made = dict(zip(new, self._new(new), strict=True)) if new else {}
        rows = [made[value] if known is None else known for value, known in zip(values, found, strict=True)]
        return np.concatenate(rows).reshape(len(rows), -1)

    def _new(self, values: Sequence[Any]) -> list[FloatArray]:
        projected = self._project(values)
        if self.bias is not None:
            projected += self.bias
        # A view would keep all of them alive.
        rows = [row.copy() for row in projected] if len(values) > 1 else [projected[0]]
        for value, row in zip(values, rows, strict=True):
            self._remember(value, row)
        return rows

    def _remember(self, value: Any, projected: FloatArray) -> None:
        if isinstance(value, str) and len(value) > _LONGEST:
            return
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[value] = projected

    def _project(self, values: Sequence[Any]) -> FloatArray:
        encoder, part = self.encoder, self.part
        if part not in encoder.tables:
            projected: FloatArray = encoder.encode(part, values).dot(self._weights)
            return projected
        terms = [encoder.terms(part, value) for value in values]
        features = np.zeros((len(values), len(self._weights)), dtype=np.float32)
        for row, own in zip(features, terms, strict=True):
            row[: self._own] = encoder.flags(part, own)
            for table, place in self._dense:
                table.encode_into(row[place], own)
        projected = features.dot(self._weights)
        for table, rows_of_bits in self._bits:
            for row, own in zip(projected, terms, strict=True):
                rows, weights = table.weighted_rows(own)
                if len(rows):
                    row += weights.dot(rows_of_bits.take(rows, axis=0))
        return projected
