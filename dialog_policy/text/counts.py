"""Encoders made from counts: multi-hot bits, TF-IDF, latent semantic analysis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from dialog_policy.compiled import lookup
from dialog_policy.errors import require
from dialog_policy.text.bags import Bags, Spell, character_bags, distinct_in_each, make_bags, ngram_bags
from dialog_policy.text.ragged import Ragged
from dialog_policy.text.svd import right_singular_vectors
from dialog_policy.text.table import TermTable
from dialog_policy.text.term_index import UNITS
from dialog_policy.text.tokens import Analyzer

__all__ = [
    "BIT",
    "CountedTexts",
    "TokenLists",
    "document_counts",
    "fit_bits",
    "fit_lsa",
    "fit_tfidf",
    "frequent_terms",
    "svd_step",
    "tfidf_matrix",
]

TokenLists = Sequence[Sequence[str]]

# What a bit that is set counts in a turn's features. With 1, the few bits of an utterance are drowned by the hundreds of
# features of a dense encoder beside them, which have variance 1, and are learnt late (docs/training.md has figures).
BIT = 4.0
# Terms that occur in a single text are dropped once there are this many texts; smaller corpora keep every term.
_MANY_TEXTS = 5_000
# With so many of SGD's texts the SVD explains 98 to 99 % of the variance that it explains with four times as many.
_SVD_TEXTS = 20_000
# Of STAR's and DSTC2's texts the SVD explains over 99 % of what it explains with ten power iterations.
_POWER_ITERATIONS = 3
# Texts whose terms are counted together.
_TOGETHER = 8_192


@runtime_checkable
class CountedTexts(Protocol):
    """Tokens of many texts that are not in memory: how many texts have each term is known, and any of them can be read."""

    def document_counts(self, analyzer: Analyzer) -> Mapping[str, int]:
        """Return the number of texts that have each term."""
        ...


def document_counts(analyzer: Analyzer, texts: TokenLists) -> dict[str, int]:
    """Return the number of texts that have each term; texts that are one object are looked at once."""
    counts, spell = _count(analyzer, texts)
    kept = np.flatnonzero(counts)
    return dict(zip(spell(kept), counts[kept].tolist(), strict=True))


def frequent_terms(analyzer: Analyzer, texts: TokenLists, least: int, max_terms: int) -> tuple[list[str], list[int]]:
    """Terms of at least `least` texts by falling document frequency (ties by name), and that frequency."""
    if isinstance(texts, CountedTexts):
        counted = texts.document_counts(analyzer)
        ranked = sorted((-count, term) for term, count in counted.items() if count >= least)[:max_terms]
    else:
        counts, spell = _count(analyzer, texts)
        if len(counts) > max_terms:  # what cannot be among the first need not be spelt
            least = max(least, int(np.partition(counts, -max_terms)[-max_terms]))
        kept = np.flatnonzero(counts >= least)
        ranked = sorted(zip((-counts[kept]).tolist(), spell(kept), strict=True))[:max_terms]
    return [term for _, term in ranked], [-count for count, _ in ranked]


def _count(analyzer: Analyzer, texts: TokenLists) -> tuple[npt.NDArray[np.int64], Spell]:
    """Return the number of texts that have each term, by the terms' numbers, and what spells these."""
    distinct = {id(tokens): tokens for tokens in texts}
    multiplicity = np.fromiter(Counter(map(id, texts)).values(), dtype=np.int64)
    counted = _count_compiled(analyzer, list(distinct.values()), multiplicity)
    if counted is not None:
        return counted
    bags = make_bags(list(distinct.values()))
    cut: Callable[[Bags], Bags] = lambda part: part  # noqa: E731
    if analyzer.unit == "character":
        cut = character_bags(bags, analyzer.shortest, analyzer.longest)
    elif analyzer.unit == "word":
        bags = ngram_bags(bags, analyzer.shortest, analyzer.longest)
    counts, spell = np.zeros(0, dtype=np.int64), bags.spell
    for which, part in bags.chunks(_TOGETHER):
        terms = cut(part)
        distinct_terms, _ = distinct_in_each(terms)
        weights = np.repeat(multiplicity[which], distinct_terms.counts)
        counts = np.bincount(distinct_terms.values, weights, terms.n_terms).astype(np.int64) + (
            counts if len(counts) else 0
        )
        spell = terms.spell
    return counts, spell


def _count_compiled(
    analyzer: Analyzer, texts: TokenLists, multiplicity: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], Spell] | None:
    """Count the terms of distinct texts; None where that is not compiled."""
    if lookup is None or analyzer.unit not in UNITS:
        return None
    cut = UNITS[analyzer.unit], analyzer.shortest, analyzer.longest
    try:
        counts, spelt, ends = lookup.count_terms(*cut, texts, multiplicity.tobytes())
    except (UnicodeEncodeError, ValueError):  # half of a pair of surrogates, or terms that collide
        return None
    borders = np.concatenate([np.zeros(1, dtype=np.int64), np.frombuffer(ends, np.uintp).astype(np.int64)])

    def spell(numbers: npt.NDArray[np.integer]) -> list[str]:
        places = zip(borders[numbers].tolist(), borders[numbers + 1].tolist(), strict=True)
        return [spelt[start:end].decode() for start, end in places]

    return np.frombuffer(counts, np.int64), spell


def _least(texts: TokenLists) -> int:
    return 2 if len(texts) >= _MANY_TEXTS else 1


def fit_bits(analyzer: Analyzer, texts: TokenLists, max_terms: int) -> TermTable:
    """One bit for each of the most frequent terms."""
    terms, _ = frequent_terms(analyzer, texts, _least(texts), max_terms)
    return TermTable(analyzer, terms, frequency="binary", scale=BIT)


def fit_tfidf(analyzer: Analyzer, texts: TokenLists, max_terms: int) -> TermTable:
    """TF-IDF as scikit-learn's ``TfidfVectorizer(sublinear_tf=True)`` computes it: log tf, smooth idf, length 1."""
    terms, document_counts = frequent_terms(analyzer, texts, _least(texts), max_terms)
    idf = np.log((1 + len(texts)) / (1 + np.array(document_counts, dtype=np.float64))) + 1
    return TermTable(analyzer, terms, weights=idf.astype(np.float32), frequency="log", unit_length=True)


def tfidf_matrix(table: TermTable, texts: TokenLists) -> Any:
    """TF-IDF of n texts as a SciPy sparse matrix of shape (n, n_terms), float32."""
    sparse = require("scipy.sparse", extra="train", purpose="fitting TF-IDF")
    parts = [table.weighted_rows_of_many(texts[i : i + _TOGETHER]) for i in range(0, len(texts), _TOGETHER)]
    rows = Ragged.concatenate([rows for rows, _ in parts])
    weights = np.concatenate([np.zeros(0, dtype=np.float32), *(weights for _, weights in parts)])
    return sparse.csr_matrix((weights, rows.values, rows.offsets), shape=(len(texts), len(table.terms)))


def svd_step(n_texts: int) -> int:
    """Return every how manieth text the SVD sees: all of few, of many some 20,000, evenly spread."""
    return max(1, -(-n_texts // _SVD_TEXTS))


def fit_lsa(
    analyzer: Analyzer, texts: TokenLists, max_terms: int, dim: int, seed: int, *, variance: float = 1.0
) -> TermTable:
    """TF-IDF reduced to `dim` features by truncated SVD; TF-IDF itself where there are no more terms or texts than that.

    Where fewer features explain a share `variance` of the texts' squared length, there are no more of them. Of many texts the
    SVD sees some 20,000, evenly spread.
    """
    table = fit_tfidf(analyzer, texts, max_terms)
    if table.dim <= dim or len(texts) <= dim:
        return table
    matrix = tfidf_matrix(table, texts[:: svd_step(len(texts))])
    vectors = right_singular_vectors(matrix, dim, power_iterations=_POWER_ITERATIONS, seed=seed)
    if variance < 1:
        explained = np.cumsum(np.square(matrix @ vectors.T, dtype=np.float64).sum(axis=0))
        vectors = vectors[
            : 1 + int(np.searchsorted(explained, variance * np.square(matrix.data, dtype=np.float64).sum()))
        ]
    table.vectors = np.ascontiguousarray(vectors.T, dtype=np.float32)
    return table
