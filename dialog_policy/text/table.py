"""The apply side of every frozen text encoder: look terms up in a table, weigh them, pool them.

Word2Vec and FastText averages, SIF, TF-IDF with truncated SVD and multi-hot bits differ only in the table and its weights.
Training and serving both use :meth:`TermTable.encode`, so they cannot drift apart, and it computes each text by itself, so
that a text's vector is the same to the bit whatever else is encoded with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
# Rows of a table that are gathered at once: bounds the memory of encoding, not its result.
_GATHERED_ROWS = 1 << 16


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
        if self.vectors is None:
            for text, tokens in enumerate(token_lists):
                rows, weights = self.weighted_rows(tokens)
                encoded[text, rows] = weights * np.float32(self.scale)
            return encoded
        pending: list[tuple[int, FloatArray, FloatArray, int]] = []
        gathered = 0
        for text, tokens in enumerate(token_lists):
            part = self._gather(tokens)
            if part is None:
                continue
            pending.append((text, *part))
            gathered += len(part[0])
            if gathered > _GATHERED_ROWS:
                self._pool(pending, encoded)
                pending, gathered = [], 0
        self._pool(pending, encoded)
        return encoded

    def _gather(self, tokens: Sequence[str]) -> tuple[FloatArray, FloatArray, int] | None:
        """Vectors and weights of a text's terms, and how many terms it has."""
        assert self.vectors is not None
        if self.analyzer.unit == "subword":
            found = [self._subword(token) for token in tokens]
            vectors = [vector for vector, _ in found if vector is not None]
            if not vectors:
                return None
            weights = np.array([weight for vector, weight in found if vector is not None], dtype=np.float32)
            return np.stack(vectors), weights, len(vectors)
        if self.pools == ("sum",):
            rows, weights = self.weighted_rows(tokens)
        else:
            rows = np.array(self._rows(tokens), dtype=np.intp)
            weights = self._weights(rows)
        return (self.vectors[rows], weights, len(rows)) if len(rows) else None

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
        lookup = (self._row.get(term, self._unknown) for term in self.analyzer.terms(tokens))
        return [row for row in lookup if row is not None]

    def _subword(self, token: str) -> tuple[FloatArray | None, float]:
        assert self.vectors is not None
        row = self._row.get(token)
        if row is not None:
            return self.vectors[row], 1.0 if self.weights is None else float(self.weights[row])
        vector = self._made_up.get(token)
        if vector is None:
            grams = character_ngrams(token, self.analyzer.shortest, self.analyzer.longest)
            rows = [self._row[GRAM + gram] for gram in grams if GRAM + gram in self._row]
            if not rows:
                return (None if self._unknown is None else self.vectors[self._unknown]), 1.0
            if len(self._made_up) >= _CACHED_TOKENS:
                self._made_up.clear()
            vector = self._made_up[token] = self.vectors[rows].mean(axis=0, dtype=np.float32)
        return vector, 1.0

    def _weights(self, rows: npt.NDArray[np.intp]) -> FloatArray:
        if self.weights is None:
            return np.ones(len(rows), dtype=np.float32)
        if self._unknown is None:
            return self.weights[rows]
        return np.where(rows < len(self.weights), self.weights[np.minimum(rows, len(self.weights) - 1)], np.float32(1))

    def weighted_rows(self, tokens: Sequence[str]) -> tuple[npt.NDArray[np.intp], FloatArray]:
        """Return the distinct rows of a text's terms, ascending, and the weighted frequency of each as ``"sum"`` uses it."""
        rows, counts = np.unique(np.array(self._rows(tokens), dtype=np.intp), return_counts=True)
        weighted = self._weights(rows)
        if self.frequency == "log":
            weighted = weighted * (1 + np.log(counts)).astype(np.float32)
        elif self.frequency == "count":
            weighted = weighted * counts.astype(np.float32)
        if self.unit_length and len(rows):
            weighted /= np.sqrt(np.dot(weighted, weighted))
        return rows, weighted

    def _pool(self, pending: list[tuple[int, FloatArray, FloatArray, int]], out: FloatArray) -> None:
        if not pending:
            return
        texts = [text for text, *_ in pending]
        vectors = np.concatenate([vectors for _, vectors, _, _ in pending])
        weights = np.concatenate([weights for _, _, weights, _ in pending])[:, None]
        counts = np.array([[count] for *_, count in pending], dtype=np.float32)
        starts = np.cumsum([0, *(len(part) for _, part, _, _ in pending)])[:-1]
        blocks = []
        for pool in self.pools:
            if pool == "max":
                blocks.append(np.maximum.reduceat(vectors, starts))
            elif pool == "mean":
                blocks.append(np.add.reduceat(vectors, starts) / counts)
            else:
                block = np.add.reduceat(vectors * weights, starts)
                if pool == "sif":
                    block /= counts
                    if self.component is not None:
                        # A sum for each text by itself: a matrix product may round differently in a batch of another size.
                        block -= (block * self.component).sum(axis=1, keepdims=True) * self.component
                blocks.append(block)
        out[texts] = np.concatenate(blocks, axis=1) * np.float32(self.scale)

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
