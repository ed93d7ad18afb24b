"""The apply side of every frozen text encoder: look terms up in a table, weigh them, pool them.

Word2Vec and FastText averages, SIF, TF-IDF with truncated SVD and multi-hot bits differ only in the table and its weights.
Training and serving both use :meth:`TermTable.encode`, so they cannot drift apart, and it computes each text by itself, so
that a text's vector is the same to the bit whatever else is encoded with it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from dialog_policy.text.bags import Bags, distinct_in_each, expand, make_bags, ngram_bags
from dialog_policy.text.ragged import Ragged
from dialog_policy.text.stored import stored_table
from dialog_policy.text.term_index import TermIndex
from dialog_policy.text.tokens import Analyzer, character_ngrams

__all__ = ["GRAM", "FloatArray", "Pool", "TermTable"]

FloatArray = npt.NDArray[np.float32]
Pool = Literal["sum", "mean", "sif", "max"]

# Marks a character n-gram among the words of a "subword" table, where both may be spelt alike.
GRAM = "\x1f"

_CACHED_TOKENS = 100_000
# Texts that are looked up together.
_TOGETHER = 8_192
_NO_ROWS = np.zeros(0, dtype=np.intp)
_NO_WEIGHTS = np.zeros(0, dtype=np.float32)


def _squared_lengths(rows: Ragged, weights: FloatArray) -> FloatArray:
    """Return each text's ``own.dot(own)`` to the bit, those of equal length together; 1 for a text without a term."""
    squared = np.ones(len(rows), dtype=np.float32)
    order = np.argsort(rows.counts, kind="stable")
    lengths, starts = np.unique(rows.counts[order], return_index=True)
    for length, texts in zip(lengths.tolist(), np.split(order, starts[1:]), strict=True):
        own = weights[rows.offsets[texts][:, None] + np.arange(length)]
        if length:
            squared[texts] = np.matmul(own[:, None], own[:, :, None])[:, 0, 0]
    return squared


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
        unknown = len(terms) if vectors is not None and len(vectors) == len(terms) + 1 else None
        self.index = TermIndex(analyzer, terms, unknown)
        self._made_up: dict[str, FloatArray] = {}

    @property
    def terms(self) -> tuple[str, ...]:
        """The terms, in the order of the rows."""
        return self.index.terms

    @property
    def dim(self) -> int:
        """Number of features of a text."""
        width = len(self.terms) if self.vectors is None else self.vectors.shape[1]
        return width * len(self.pools)

    def knows(self, term: str) -> bool:
        """Whether the table has a row for this term."""
        return term in self.index.row_of

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
        if self.vectors is not None and self.pools != ("sum",):
            for row, tokens in enumerate(token_lists):
                self.encode_into(encoded[row], tokens)
            return encoded
        for start in range(0, len(token_lists), _TOGETHER):
            rows, weights = self.weighted_rows_of_many(token_lists[start : start + _TOGETHER])
            out = encoded[start : start + _TOGETHER]
            if self.vectors is None:
                out[rows.row_of_each(), rows.values] = weights
                continue
            numbers = rows.values.astype(np.intp)
            for text, (begin, end) in enumerate(itertools.pairwise(rows.offsets.tolist())):
                if begin < end:
                    weights[begin:end].dot(self.vectors.take(numbers[begin:end], axis=0), out=out[text])
        return encoded

    def encode_into(self, out: FloatArray, tokens: Sequence[str]) -> bool:
        """Write a text's vector into `out`, shape (dim,); False, and nothing is written, where no term is known.

        Each text by itself: what it becomes cannot depend on the texts beside it.
        """
        if self.vectors is None or self.pools == ("sum",):
            rows, weights = self.weighted_rows(tokens)
            if self.vectors is None:
                out[rows] = weights
            elif len(rows):
                weights.dot(self.vectors.take(rows, axis=0), out=out)
            return len(rows) > 0
        gathered = self._gather(tokens)
        if gathered is None:
            return False
        vectors, weights = gathered
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
            pairs = [pair for token in tokens if (pair := self._subword(token)) is not None]
            if not pairs:
                return None
            vectors, weights = zip(*pairs, strict=True)
            return np.stack(vectors), np.array(weights, dtype=np.float32)
        rows = self.index.rows(tokens)
        return (self.vectors.take(rows, axis=0), self.row_weights.take(rows)) if len(rows) else None

    def _subword(self, token: str) -> tuple[FloatArray, float] | None:
        assert self.vectors is not None
        row_of, unknown = self.index.row_of, self.index.unknown
        if token in row_of:
            return self.vectors[row_of[token]], float(self.row_weights[row_of[token]])
        vector = self._made_up.get(token)
        if vector is None:
            grams = character_ngrams(token, self.analyzer.shortest, self.analyzer.longest)
            rows = [row_of[GRAM + gram] for gram in grams if GRAM + gram in row_of]
            if not rows:
                return None if unknown is None else (self.vectors[unknown], 1.0)
            if len(self._made_up) >= _CACHED_TOKENS:
                self._made_up.clear()
            vector = self._made_up[token] = self.vectors[rows].mean(axis=0, dtype=np.float32)
        return vector, 1.0

    @cached_property
    def row_weights(self) -> FloatArray:
        """Weight of each row, that of the unknown terms included."""
        n_rows = len(self.terms) + (self.index.unknown is not None)
        weights = np.ones(n_rows, dtype=np.float32)
        if self.weights is not None:
            weights[: len(self.weights)] = self.weights
        return weights

    def weighted_rows(self, tokens: Sequence[str]) -> tuple[npt.NDArray[np.intp], FloatArray]:
        """Return the distinct rows of a text's terms in ascending order, and the weight that ``"sum"`` gives each."""
        rows, tf = self.index.distinct(tokens)
        if not len(rows):
            return rows, _NO_WEIGHTS
        weights = self.row_weights.take(rows)
        if tf is not None and self.frequency != "binary":
            weights *= tf if self.frequency == "count" else 1 + np.log(tf)
        factor = self.scale
        if self.unit_length:
            factor /= math.sqrt(weights.dot(weights))
        weights *= factor
        return rows, weights

    def weighted_rows_of_many(self, token_lists: Sequence[Sequence[str]]) -> tuple[Ragged, FloatArray]:
        """Return what :meth:`weighted_rows` returns for each of many texts: the same bits, many times as fast."""
        rows, counts = self.index.distinct_of_many(token_lists) or distinct_in_each(
            self._row_bags(make_bags(token_lists))
        )
        weights = self.row_weights.take(rows.values)
        if self.frequency != "binary":
            again = np.flatnonzero(counts > 1)
            tf = counts[again].astype(np.float32)
            weights[again] *= tf if self.frequency == "count" else 1 + np.log(tf)
        if not self.unit_length:
            weights *= self.scale
            return rows, weights
        factors = self.scale / np.sqrt(_squared_lengths(rows, weights), dtype=np.float64)
        weights *= np.repeat(factors.astype(np.float32), rows.counts)
        return rows, weights

    def _row_bags(self, bags: Bags) -> Bags:
        """From tokens to rows; terms without a row are dropped."""
        if self.analyzer.unit == "character":
            rows = [self.index.rows_of_token(token) for token in bags.spell(np.arange(bags.n_terms))]
            of_token = Ragged.of_counts(np.concatenate([_NO_ROWS, *rows]).astype(np.int32), list(map(len, rows)))
        else:
            if self.analyzer.unit == "word":
                bags = ngram_bags(bags, self.analyzer.shortest, self.analyzer.longest)
            missing = -1 if self.index.unknown is None else self.index.unknown
            terms = bags.spell(np.arange(bags.n_terms))
            numbers = (self.index.row_of.get(term, missing) for term in terms)
            row_of_term = np.fromiter(numbers, np.int32, count=len(terms))
            known = row_of_term >= 0
            of_token = Ragged.of_counts(row_of_term[known], known)
        return expand(bags, of_token, len(self.row_weights), lambda numbers: [self.terms[i] for i in numbers.tolist()])

    def to_parts(self) -> tuple[dict[str, Any], dict[str, FloatArray]]:
        """Return what a run folder stores: a JSON object and named arrays."""
        described = {
            "analyzer": msgspec.to_builtins(self.analyzer),
            "terms": list(self.terms),
            "pools": list(self.pools),
            "frequency": self.frequency,
            "unit_length": self.unit_length,
            "scale": self.scale,
        }
        arrays = {"vectors": self.vectors, "weights": self.weights, "component": self.component}
        return described, {name: array for name, array in arrays.items() if array is not None}

    @classmethod
    def from_parts(cls, described: Mapping[str, Any], arrays: Mapping[str, FloatArray]) -> TermTable:
        """Undo :meth:`to_parts`.

        Raises
        ------
        ValueError
            If the parts do not fit together.
        """
        table = stored_table(described, arrays)
        return cls(
            table.analysis(), table.terms, **arrays, pools=table.pools, frequency=table.frequency,
            unit_length=table.unit_length, scale=table.scale,
        )  # fmt: skip
