"""From the tokens of a text to the rows of a table of terms: compiled where a compiler was at hand, else in Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from dialog_policy.compiled import lookup
from dialog_policy.text.ragged import Ragged
from dialog_policy.text.tokens import Analyzer

__all__ = ["UNITS", "Rows", "TermIndex"]

Rows = npt.NDArray[np.intp]
_Counts = npt.NDArray[np.float32]

_CACHED_TOKENS = 100_000
_NO_ROWS = np.zeros(0, dtype=np.intp)
UNITS = {"word": 0, "character": 1, "term": 2}


class TermIndex:
    """Knows the row of each term.

    Parameters
    ----------
    analyzer
        How tokens become terms.
    terms
        The terms, each once; the first has row 0.
    unknown
        The row of every other term; None: other terms have none.
    compiled
        Whether the compiled lookup is used where it is installed. Both find the same rows.

    Attributes
    ----------
    compiled
        The compiled lookup; None where it is not in use.
    """

    def __init__(
        self, analyzer: Analyzer, terms: Sequence[str], unknown: int | None = None, *, compiled: bool = True
    ) -> None:
        self.analyzer, self.terms, self.unknown = analyzer, tuple(terms), unknown
        self._rows_by_token: dict[str, Rows] = {}
        self.compiled = self._compile() if compiled else None

    def __reduce__(self) -> tuple[Any, ...]:
        return TermIndex, (self.analyzer, self.terms, self.unknown)

    @property
    def is_compiled(self) -> bool:
        """Whether the compiled lookup is in use."""
        return self.compiled is not None

    def _compile(self) -> lookup.Index | None:
        if lookup is None or self.analyzer.unit == "subword":
            return None
        unknown = -1 if self.unknown is None or self.analyzer.unit == "character" else self.unknown
        lengths = self.analyzer.shortest, self.analyzer.longest
        try:
            return lookup.Index(UNITS[self.analyzer.unit], *lengths, self.terms, unknown)
        except ValueError:  # terms that collide or that UTF-8 cannot spell
            return None

    @cached_property
    def row_of(self) -> Mapping[str, int]:
        """Terms to rows."""
        return {term: row for row, term in enumerate(self.terms)}

    def rows(self, tokens: Sequence[str]) -> Rows:
        """Return the rows of a text's terms, one for each time a term occurs."""
        if self.analyzer.unit == "character":
            return np.concatenate([_NO_ROWS, *map(self.rows_of_token, tokens)])
        get, unknown = self.row_of.get, self.unknown
        return np.array([r for term in self.analyzer.terms(tokens) if (r := get(term, unknown)) is not None], np.intp)

    def rows_of_token(self, token: str) -> Rows:
        """Return the rows of one token's n-grams of characters."""
        token_rows = self._rows_by_token.get(token)
        if token_rows is None:
            if len(self._rows_by_token) >= _CACHED_TOKENS:
                self._rows_by_token.clear()
            rows = map(self.row_of.get, self.analyzer.terms([token]))
            token_rows = np.array([row for row in rows if row is not None], dtype=np.intp)
            self._rows_by_token[token] = token_rows
        return token_rows

    def distinct(self, tokens: Sequence[str]) -> tuple[Rows, _Counts | None]:
        """Return the distinct rows of a text's terms in ascending order, and how often each occurs; None: each once."""
        if self.compiled is not None:
            try:
                rows, counts = self.compiled.distinct(tokens)
            except UnicodeEncodeError:  # half of a pair of surrogates
                return self._distinct(tokens)
            return np.frombuffer(rows, np.int64), None if counts is None else np.frombuffer(counts, np.float32)
        return self._distinct(tokens)

    def distinct_of_many(self, token_lists: Sequence[Sequence[str]]) -> tuple[Ragged, npt.NDArray[np.int32]] | None:
        """Return what :meth:`distinct` returns for each of many texts, with a count for each row; None where it is not compiled."""
        if self.compiled is None:
            return None
        try:
            rows, counts, ends = self.compiled.distinct_of_many(token_lists)
        except UnicodeEncodeError:  # half of a pair of surrogates
            return None
        offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.frombuffer(ends, np.int64)])
        return Ragged(np.frombuffer(rows, np.int32), offsets), np.frombuffer(counts, np.int32)

    def _distinct(self, tokens: Sequence[str]) -> tuple[Rows, _Counts | None]:
        rows = self.rows(tokens)
        rows.sort()
        is_border = np.ones(len(rows) + 1, dtype=np.bool_)
        np.not_equal(rows[1:], rows[:-1], out=is_border[1:-1])
        if np.count_nonzero(is_border) == len(is_border):
            return rows, None
        borders = is_border.nonzero()[0]
        return rows.take(borders[:-1]), (borders[1:] - borders[:-1]).astype(np.float32)
