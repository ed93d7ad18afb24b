"""One part of a turn's features times a matrix: what an utterance, a context or an action set adds to a layer's input."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from dialog_policy.features.encoder import TurnEncoder
from dialog_policy.text.table import FloatArray, TermTable

__all__ = ["Projector"]

# Values that are remembered; what one adds takes 4 bytes a column. Longer texts are not remembered.
_REMEMBERED, _LONGEST = 4_096, 2_000
# From so many new values on they are encoded together.
_TOGETHER = 4


class Projector:
    """Projects values of one part of a turn, and remembers what came of those that it has seen.

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
        self._bits = [(table, np.ascontiguousarray(rows)) for table, rows in pieces if table.vectors is None]
        dense = [(table, rows) for table, rows in pieces if table.vectors is not None]
        self._weights = np.concatenate([matrix[: self._own], *(rows for _, rows in dense)])
        ends = np.cumsum([self._own, *(table.dim for table, _ in dense)]).tolist()
        self._dense: list[tuple[TermTable, slice]] = [
            (table, slice(start, end)) for (table, _), (start, end) in zip(dense, itertools.pairwise(ends), strict=True)
        ]

    def one(self, value: Any) -> FloatArray:
        """Project a value: shape (n,). Nobody may change the result."""
        projected = self._known.get(value)
        if projected is None:
            projected = self._project(value) if self.encoder.tables.get(self.part) else self._project_many([value])[0]
            if self.bias is not None:
                projected = projected + self.bias
            self._remember(value, projected)
        return projected

    def many(self, values: Sequence[Any]) -> FloatArray:
        """Project values: shape (n_values, n)."""
        found: list[FloatArray | None] = list(map(self._known.get, values))
        new = list(dict.fromkeys(value for value, known in zip(values, found, strict=True) if known is None))
        made: dict[Any, FloatArray] = {}
        if len(new) >= _TOGETHER:
            projected = self._project_many(new)
            if self.bias is not None:
                projected += self.bias
            for value, row in zip(new, projected, strict=True):
                made[value] = row.copy()  # a view would keep all of them alive
                self._remember(value, made[value])
        else:
            made = {value: self.one(value) for value in new}
        rows = [made[value] if known is None else known for value, known in zip(values, found, strict=True)]
        return np.concatenate(rows).reshape(len(rows), -1)

    def _remember(self, value: Any, projected: FloatArray) -> None:
        if isinstance(value, str) and len(value) > _LONGEST:
            return
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[value] = projected

    def _project(self, value: str) -> FloatArray:
        terms = self.encoder.terms(self.part, value)
        features = np.zeros(len(self._weights), dtype=np.float32)
        features[: self._own] = self.encoder.flags(self.part, terms)
        for table, place in self._dense:
            table.encode_into(features[place], terms)
        projected: FloatArray = features.dot(self._weights)
        for table, rows_of_bits in self._bits:
            rows, weights = table.weighted_rows(terms)
            if len(rows):
                projected += weights.dot(rows_of_bits.take(rows, axis=0))
        return projected

    def _project_many(self, values: Sequence[Any]) -> FloatArray:
        if not self.encoder.tables.get(self.part):
            projected: FloatArray = self.encoder.encode(self.part, values).dot(self._weights)
            return projected
        terms, flags = self.encoder.terms_and_flags(self.part, values)
        projected = np.concatenate([flags, *(table.encode(terms) for table, _ in self._dense)], axis=1).dot(
            self._weights
        )
        for table, rows_of_bits in self._bits:
            rows, weights = table.weighted_rows_of_many(terms)
            for text, (start, end) in enumerate(itertools.pairwise(rows.offsets.tolist())):
                if start < end:
                    projected[text] += weights[start:end].dot(rows_of_bits.take(rows.values[start:end], axis=0))
        return projected
