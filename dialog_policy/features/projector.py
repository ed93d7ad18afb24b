"""One part of a turn's features times a matrix: what an utterance, a context or an action set adds to a layer's input."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from dialog_policy.features.encoder import TurnEncoder
from dialog_policy.text.projection import as_bytes, compile_projection
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
    compiled
        Whether the compiled projection is used where it is installed and fits the tables. Both compute the same but for rounding.
    """

    def __init__(
        self,
        encoder: TurnEncoder,
        part: str,
        matrix: FloatArray,
        bias: FloatArray | None = None,
        *,
        compiled: bool = True,
    ) -> None:
        self.encoder, self.part = encoder, part
        self.bias = np.zeros(matrix.shape[1], dtype=np.float32) if bias is None else bias
        self._known: dict[Any, bytes] = {}
        # In the order of the features, as (table, its rows of the matrix); bits are looked up, the others multiplied.
        tables = encoder.tables.get(part, ())
        self._own = encoder.layout[part] - sum(table.dim for table in tables)
        borders = np.cumsum([self._own, *(table.dim for table in tables)]).tolist()
        self._bits: list[tuple[TermTable, FloatArray]] = []
        self._dense: list[tuple[Table, slice]] = []
        weights, column = [matrix[: self._own]], self._own
        parts: list[tuple[Table, int, bytes | None]] = []
        for table, (start, end) in zip(tables, itertools.pairwise(borders), strict=True):
            if isinstance(table, TermTable) and table.vectors is None:
                content, rows = as_bytes(matrix[start:end])
                self._bits.append((table, rows))
                parts.append((table, -1, content))
            else:
                weights.append(matrix[start:end])
                self._dense.append((table, slice(column, column + table.dim)))
                parts.append((table, column, None))
                column += table.dim
        content, self._weights = as_bytes(np.concatenate(weights))
        self._compiled = None
        if compiled and part in encoder.tables:
            self._compiled = compile_projection(parts, content, self.bias.tobytes(), self._own)

    @property
    def is_compiled(self) -> bool:
        """Whether the compiled projection is in use."""
        return self._compiled is not None

    def one(self, value: Any) -> bytes:
        """Project a value: n numbers, float32."""
        projected = self._known.get(value)
        if projected is None:
            projected = self._new([value])[0]
        return projected

    def many(self, values: Sequence[Any]) -> list[bytes]:
        """Project values, each by itself as :meth:`one` does."""
        found: list[bytes | None] = list(map(self._known.get, values))
        new = list(dict.fromkeys(value for value, known in zip(values, found, strict=True) if known is None))
        if not new:
            return found  # type: ignore[return-value]
        made = dict(zip(new, self._new(new), strict=True))
        return [made[value] if known is None else known for value, known in zip(values, found, strict=True)]

    def _new(self, values: Sequence[Any]) -> list[bytes]:
        if self._compiled is not None:
            rows = list(map(self._projected, values))
        else:
            rows = [row.tobytes() for row in self._project(values)]
        for value, row in zip(values, rows, strict=True):
            self._remember(value, row)
        return rows

    def _projected(self, value: str) -> bytes:
        assert self._compiled is not None
        terms = self.encoder.terms(self.part, value)
        try:
            return self._compiled.project(terms, self.encoder.flags(self.part, terms))
        except UnicodeEncodeError:  # half of a pair of surrogates
            return bytes(self._project([value])[0].tobytes())

    def _remember(self, value: Any, projected: bytes) -> None:
        if isinstance(value, str) and len(value) > _LONGEST:
            return
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[value] = projected

    def _project(self, values: Sequence[Any]) -> FloatArray:
        encoder, part = self.encoder, self.part
        if part not in encoder.tables:
            projected: FloatArray = encoder.encode(part, values).dot(self._weights)
            projected += self.bias
            return projected
        terms = [encoder.terms(part, value) for value in values]
        features = np.zeros((len(values), len(self._weights)), dtype=np.float32)
        for row, own in zip(features, terms, strict=True):
            row[: self._own] = encoder.flags(part, own)
            for table, place in self._dense:
                table.encode_into(row[place], own)
        projected = features.dot(self._weights)
        projected += self.bias
        for table, rows_of_bits in self._bits:
            for row, own in zip(projected, terms, strict=True):
                rows, weights = table.weighted_rows(own)
                if len(rows):
                    row += weights.dot(rows_of_bits.take(rows, axis=0))
        return projected
