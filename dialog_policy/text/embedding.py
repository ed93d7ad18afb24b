"""A table whose vectors are trained with the network: its texts as packed ids, and its initial vectors.

After training it is a table like any other: what a run stores of it, and what serves it, knows of no training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from dialog_policy.errors import require
from dialog_policy.text.counts import TokenLists, frequent_terms
from dialog_policy.text.ragged import Ragged
from dialog_policy.text.table import FloatArray, TermTable
from dialog_policy.text.tokens import Analyzer
from dialog_policy.text.vectors import train_vectors

__all__ = ["PADDING_ID", "TrainableTable", "fit_embedding"]

# Id of no term: it fills packed ids up to a size. Term t of the table has the id t + 1, every unknown term the one after.
PADDING_ID = 0


class TrainableTable(TermTable):
    """A table whose `vectors` training replaces.

    Parameters
    ----------
    analyzer, terms
        As in :class:`~dialog_policy.text.table.TermTable`.
    vectors
        Shape (V + 1, D), to begin with; the last row stands for every unknown term.
    pools
        As in :class:`~dialog_policy.text.table.TermTable`: ``"mean"`` and ``"sum"``.
    word_dropout
        Probability with which training takes a term for unknown.
    """

    vectors: FloatArray

    def __init__(
        self,
        analyzer: Analyzer,
        terms: Sequence[str],
        vectors: FloatArray,
        *,
        pools: Sequence[Literal["mean", "sum"]],
        word_dropout: float,
    ) -> None:
        super().__init__(analyzer, terms, vectors, pools=pools)
        self.word_dropout = word_dropout

    def pack(self, token_lists: TokenLists) -> Ragged:
        """Look the terms of texts up: their ids, one row a text."""
        rows = [self.index.rows(tokens) for tokens in token_lists]
        ids = np.concatenate([np.zeros(0, dtype=np.intp), *rows]) + 1
        return Ragged.of_counts(ids.astype(np.int32), list(map(len, rows)))

    def encode_packed(self, texts: Ragged) -> FloatArray:
        """Do what :meth:`encode` does, for all texts at once: shape (n_texts, dim)."""
        sparse = require("scipy.sparse", extra="train", purpose="training an embedding")
        ones = np.ones(len(texts.values), dtype=np.float32)
        shape = len(texts), len(self.vectors)
        sums: FloatArray = sparse.csr_matrix((ones, texts.values - 1, texts.offsets), shape=shape) @ self.vectors
        lengths = np.maximum(texts.counts, 1)[:, None].astype(np.float32)
        return np.concatenate([sums / lengths if pool == "mean" else sums for pool in self.pools], axis=1)


def fit_embedding(
    analyzer: Analyzer,
    texts: TokenLists,
    sentences: TokenLists,
    dim: int,
    *,
    max_terms: int,
    min_count: int,
    pools: Sequence[Literal["mean", "sum"]],
    init: Literal["word2vec", "random"],
    word_dropout: float,
    seed: int,
) -> TrainableTable:
    """Choose the terms and give them vectors to begin with.

    ``"word2vec"`` begins with skip-gram vectors trained on `sentences`: an n-gram with the mean of its words, the unknown
    terms with the mean of the rarest words. ``"random"`` draws from a normal distribution.
    """
    terms, _ = frequent_terms(analyzer, texts, min_count, max_terms)
    if init == "random":
        vectors = np.random.default_rng(seed).normal(size=(len(terms) + 1, dim)).astype(np.float32)
    else:
        words = train_vectors(sentences, dim, 5, 10, ("mean",), subwords=None, seed=seed)
        unknown = words.encode([[""]])  # no tokenizer yields it
        vectors = np.concatenate([words.encode([term.split(" ") for term in terms]), unknown])
    return TrainableTable(analyzer, terms, vectors, pools=pools, word_dropout=word_dropout)
