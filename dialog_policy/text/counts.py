"""Encoders made from counts: multi-hot bits, TF-IDF, latent semantic analysis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from dialog_policy.errors import require
from dialog_policy.text.table import Analyzer, TermTable

__all__ = ["BIT", "TokenLists", "fit_bits", "fit_lsa", "fit_tfidf", "tfidf_matrix"]

TokenLists = Sequence[Sequence[str]]

# What a bit that is set counts in a turn's features. With 1, the few bits of an utterance are drowned by the hundreds of
# features of a dense encoder beside them, which have variance 1, and are learnt late (docs/training.md has figures).
BIT = 4.0
# Terms that occur in a single text are dropped once there are this many texts; smaller corpora keep every term.
_MANY_TEXTS = 5_000


def _frequent_terms(term_lists: Iterable[Iterable[str]], n_texts: int, max_terms: int) -> tuple[list[str], list[int]]:
    """Terms by falling document frequency (ties by name), and that frequency."""
    counts: Counter[str] = Counter()
    for terms in term_lists:
        counts.update(set(terms))
    least = 2 if n_texts >= _MANY_TEXTS else 1
    kept = sorted(((term, n) for term, n in counts.items() if n >= least), key=lambda item: (-item[1], item[0]))[
        :max_terms
    ]
    return [term for term, _ in kept], [count for _, count in kept]


def fit_bits(analyzer: Analyzer, texts: TokenLists, max_terms: int) -> TermTable:
    """One bit for each of the most frequent terms."""
    terms, _ = _frequent_terms((analyzer.terms(tokens) for tokens in texts), len(texts), max_terms)
    return TermTable(analyzer, terms, frequency="binary", scale=BIT)


def fit_tfidf(analyzer: Analyzer, texts: TokenLists, max_terms: int) -> TermTable:
    """TF-IDF as scikit-learn's ``TfidfVectorizer(sublinear_tf=True)`` computes it: log tf, smooth idf, length 1."""
    terms, document_counts = _frequent_terms((analyzer.terms(tokens) for tokens in texts), len(texts), max_terms)
    idf = np.log((1 + len(texts)) / (1 + np.array(document_counts, dtype=np.float64))) + 1
    return TermTable(analyzer, terms, weights=idf.astype(np.float32), frequency="log", unit_length=True)


def tfidf_matrix(table: TermTable, texts: TokenLists) -> Any:
    """TF-IDF of n texts as a SciPy sparse matrix of shape (n, n_terms), float32."""
    sparse = require("scipy.sparse", extra="train", purpose="fitting TF-IDF")
    parts = [table.weighted_rows(tokens) for tokens in texts]
    ends = np.cumsum([0, *(len(rows) for rows, _ in parts)])
    rows = np.concatenate([np.zeros(0, dtype=np.intp), *(rows for rows, _ in parts)])
    weights = np.concatenate([np.zeros(0, dtype=np.float32), *(weights for _, weights in parts)])
    return sparse.csr_matrix((weights, rows, ends), shape=(len(texts), len(table.terms)))


def fit_lsa(analyzer: Analyzer, texts: TokenLists, max_terms: int, dim: int, seed: int) -> TermTable:
    """TF-IDF reduced to `dim` features by truncated SVD; TF-IDF itself where there are no more terms or texts than that."""
    table = fit_tfidf(analyzer, texts, max_terms)
    if table.dim <= dim or len(texts) <= dim:
        return table
    decomposition = require("sklearn.decomposition", extra="train", purpose="fitting an LSA encoder")
    svd = decomposition.TruncatedSVD(dim, random_state=seed).fit(tfidf_matrix(table, texts))
    table.vectors = np.ascontiguousarray(svd.components_.T, dtype=np.float32)
    return table
