"""The apply side of every frozen text encoder: look terms up in a table, weigh them, pool them.

Word2Vec and FastText averages, SIF, TF-IDF with truncated SVD and multi-hot bits differ only in the table and its weights.
Training and serving both use :meth:`TermTable.encode`, so they cannot drift apart, and it computes each text by itself, so
that a text's vector is the same to the bit whatever else is encoded with it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from dialog_policy.text.tokens import character_ngrams, word_ngrams

__all__ = ["GRAM", "Analyzer", "FloatArray", "Pool", "TermTable"]

FloatArray = npt.NDArray[np.float32]
Pool = Literal["sum", "mean", "sif", "max"]

# Marks a character n-gram among the words of a "subword" table, where both may be spelt alike.
GRAM = "\x1f"

_CACHED_TOKENS = 100_000


class Analyzer(msgspec.Struct, frozen=True):
    """How tokens become the terms of a table.

    Attributes
    ----------
    unit
        ``"word"``: n-grams of words. ``"character"``: n-grams of the characters of each word. ``"subword"``: each word, or,
        if the table does not have it, the mean of the character n-grams of it that the table has. ``"term"``: the tokens
        are terms already.
    shortest, longest
        Lengths of the n-grams.
    """

    unit: Literal["word", "character", "subword", "term"] = "word"
    shortest: int = 1
    longest: int = 1

    def terms(self, tokens: Sequence[str]) -> Sequence[str]:
        """Return the terms of a text, repeated as often as they occur."""
        if self.unit == "word":
            return word_ngrams(tokens, self.shortest, self.longest)
        if self.unit == "character":
            return [gram for token in tokens for gram in character_ngrams(token, self.shortest, self.longest)]
        return tokens


class TermTable:
    """A table from terms to vectors, with a weight a term and a way to pool.

    Parameters
    ----------
    analyzer
        How tokens become terms.
    terms
        The V terms of the table.
    vectors
        Shape (V, D), or (V + 1, D) where the last row stands for every unknown term. None: the identity, one bit a term.
    weights
        Shape (V,), the weight of each term in the pools ``"sum"`` and ``"sif"``; None: all 1.
    pools
        What is computed, concatenated in this order. ``"sum"``: Σ f(tf) w v. ``"mean"`` and ``"max"`` of the vectors.
        ``"sif"``: Σ w v / n less its projection on `component` (Arora, Liang & Ma 2017, "A simple but tough-to-beat baseline
        for sentence embeddings").
    frequency
        f(tf) in the sum: ``"count"``, ``"log"`` (1 + ln tf) or ``"binary"``.
    unit_length
        Whether the weighted frequencies of a text are scaled to length 1 before the sum, as in TF-IDF with the l2 norm.
    component
        Shape (D,), the common component that ``"sif"`` removes.
    scale
        The result is multiplied by it.
    """

    def __init__(
        self,
        analyzer: Analyzer,
        terms: Sequence[str],
        vectors: FloatArray | None = None,
        weights: FloatArray | None = None,
        *,
        pools: Sequence[Pool] = ("sum",),
        frequency: Literal["count", "log", "binary"] = "count",
        unit_length: bool = False,
        component: FloatArray | None = None,
        scale: float = 1.0,
    ) -> None:
        self.analyzer, self.vectors, self.weights = analyzer, vectors, weights
        self.pools, self.frequency, self.unit_length = tuple(pools), frequency, unit_length
        self.component, self.scale = component, scale
        self._row = {term: row for row, term in enumerate(terms)}
        self._unknown = len(self._row) if vectors is not None and len(vectors) == len(self._row) + 1 else None
        self._token_rows: dict[str, list[int]] = {}
        self._made_up: dict[str, FloatArray] = {}

    @property
    def terms(self) -> tuple[str, ...]:
        """The terms, in the order of the rows."""
        return tuple(self._row)

    @property
    def dim(self) -> int:
        """Number of features of a text."""
        width = len(self._row) if self.vectors is None else self.vectors.shape[1]
        return width * len(self.pools)

    def knows(self, term: str) -> bool:
        """Whether the table has a row for this term."""
        return term in self._row

    def encode(self, token_lists: Sequence[Sequence[str]]) -> FloatArray:
        """Encode texts.

        Parameters
        ----------
        token_lists
            The tokens of each of n texts.

        Returns
        -------
        ndarray of shape (n, dim), float32
            Zeros for a text without a known term.
        """
        encoded = np.zeros((len(token_lists), self.dim), dtype=np.float32)
        for row, tokens in enumerate(token_lists):
            self._encode_into(encoded[row], tokens)
        return encoded

    def project(self, tokens: Sequence[str], matrix: FloatArray) -> FloatArray | None:
        """Return ``encode([tokens])[0] @ matrix`` without making the bits of a table that is all bits.

        Parameters
        ----------
        tokens
            The tokens of one text.
        matrix
            Shape (dim, n), C-contiguous.

        Returns
        -------
        ndarray of shape (n,), float32, or None where the text has no known term
        """
        if self.vectors is None:
            rows, weights = self.weighted_rows(tokens)
            return (weights * np.float32(self.scale)) @ matrix.take(rows, axis=0) if rows else None
        encoded = np.zeros(self.dim, dtype=np.float32)
        return encoded @ matrix if self._encode_into(encoded, tokens) else None

    def _encode_into(self, out: FloatArray, tokens: Sequence[str]) -> bool:
        """Write a text's vector into `out`, shape (dim,); False, and nothing is written, where no term is known.

        Each text by itself: what it becomes cannot depend on the texts beside it.
        """
        if self.vectors is None:
            rows, weights = self.weighted_rows(tokens)
            out[rows] = weights * np.float32(self.scale)
            return bool(rows)
        if self.pools == ("sum",):
            rows, weights = self.weighted_rows(tokens)
            if rows:
                np.matmul(weights * np.float32(self.scale), self.vectors.take(rows, axis=0), out=out)
            return bool(rows)
        found = self._gather(tokens)
        if found is None:
            return False
        vectors, weights = found
        start = 0
        for pool in self.pools:
            part = out[start : start + vectors.shape[1]]
            start += vectors.shape[1]
            if pool == "max":
                vectors.max(axis=0, out=part)
            elif pool == "mean":
                vectors.mean(axis=0, out=part)
            else:
                np.matmul(weights, vectors, out=part)
                if pool == "sif":
                    part /= np.float32(len(vectors))
                    if self.component is not None:
                        part -= (part @ self.component) * self.component
        out *= np.float32(self.scale)
        return True

    def _gather(self, tokens: Sequence[str]) -> tuple[FloatArray, FloatArray] | None:
        """Vectors and weights of a text's terms, one row for each time a term occurs."""
        assert self.vectors is not None
        if self.analyzer.unit == "subword":
            found = [pair for token in tokens if (pair := self._subword(token)) is not None]
            if not found:
                return None
            return np.stack([vector for vector, _ in found]), np.array(
                [weight for _, weight in found], dtype=np.float32
            )
        rows = self._rows(tokens)
        if not rows:
            return None
        return self.vectors.take(rows, axis=0), np.array([self._weight[row] for row in rows], dtype=np.float32)

    def _rows(self, tokens: Sequence[str]) -> list[int]:
        if self.analyzer.unit == "character":
            rows: list[int] = []
            for token in tokens:
                found = self._token_rows.get(token)
                if found is None:
                    if len(self._token_rows) >= _CACHED_TOKENS:
                        self._token_rows.clear()
                    get = self._row.get
                    grams = (get(gram) for gram in self.analyzer.terms([token]))
                    found = self._token_rows[token] = [row for row in grams if row is not None]
                rows += found
            return rows
        get, unknown = self._row.get, self._unknown
        if unknown is not None:
            return [get(term, unknown) for term in self.analyzer.terms(tokens)]
        return [row for term in self.analyzer.terms(tokens) if (row := get(term)) is not None]

    def _subword(self, token: str) -> tuple[FloatArray, float] | None:
        assert self.vectors is not None
        row = self._row.get(token)
        if row is not None:
            return self.vectors[row], self._weight[row]
        vector = self._made_up.get(token)
        if vector is None:
            grams = character_ngrams(token, self.analyzer.shortest, self.analyzer.longest)
            rows = [self._row[GRAM + gram] for gram in grams if GRAM + gram in self._row]
            if not rows:
                return None if self._unknown is None else (self.vectors[self._unknown], 1.0)
            if len(self._made_up) >= _CACHED_TOKENS:
                self._made_up.clear()
            vector = self._made_up[token] = self.vectors[rows].mean(axis=0, dtype=np.float32)
        return vector, 1.0

    @cached_property
    def _weight(self) -> list[float]:
        """Weight of each row as Python floats: for a handful of terms that is quicker than an array."""
        n_rows = len(self._row) + (self._unknown is not None)
        known = [1.0] * len(self._row) if self.weights is None else self.weights.tolist()
        return known + [1.0] * (n_rows - len(known))

    def weighted_rows(self, tokens: Sequence[str]) -> tuple[list[int], FloatArray]:
        """Return the distinct rows of a text's terms, and the weighted frequency of each as ``"sum"`` uses it."""
        counts = Counter(self._rows(tokens))
        weight = self._weight
        if self.frequency == "binary":
            weighted = [weight[row] for row in counts]
        elif self.frequency == "log":
            weighted = [weight[row] if n == 1 else weight[row] * (1.0 + math.log(n)) for row, n in counts.items()]
        else:
            weighted = [weight[row] * n for row, n in counts.items()]
        if self.unit_length and weighted:
            norm = math.hypot(*weighted)
            weighted = [value / norm for value in weighted]
        return list(counts), np.array(weighted, dtype=np.float32)

    def to_parts(self) -> tuple[dict[str, Any], dict[str, FloatArray]]:
        """Return what a run folder stores: a JSON object and named arrays."""
        described = {
            "analyzer": msgspec.to_builtins(self.analyzer),
            "terms": list(self._row),
            "pools": list(self.pools),
            "frequency": self.frequency,
            "unit_length": self.unit_length,
            "scale": self.scale,
        }
        arrays = {"vectors": self.vectors, "weights": self.weights, "component": self.component}
        return described, {name: array for name, array in arrays.items() if array is not None}

    @classmethod
    def from_parts(cls, described: Mapping[str, Any], arrays: Mapping[str, FloatArray]) -> TermTable:
        """Undo :meth:`to_parts`."""
        options: dict[str, Any] = {**described, **arrays}
        analyzer = msgspec.convert(options.pop("analyzer"), Analyzer)
        return cls(analyzer, options.pop("terms"), **options)
