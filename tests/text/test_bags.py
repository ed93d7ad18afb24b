from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialog_policy.features.matrices import SparseRows
from dialog_policy.text import counts, term_index
from dialog_policy.text.counts import document_counts, fit_bits, fit_lsa, fit_tfidf, frequent_terms
from dialog_policy.text.ragged import Ragged
from dialog_policy.text.table import TermTable
from dialog_policy.text.tokens import Analyzer

texts = st.lists(st.lists(st.text("abß\ud800", min_size=1, max_size=6), max_size=7), max_size=12)
analyzers = st.builds(
    lambda unit, shortest, more: Analyzer(unit, shortest, shortest + more),
    st.sampled_from(["word", "character", "term"]),
    st.integers(1, 3),
    st.integers(0, 2),
)


@pytest.fixture(params=[True, False], ids=["compiled", "in Python"])
def _compiled(request, monkeypatch):
    """Whether terms are found and counted by the compiled lookup, where it is installed."""
    if not request.param:
        for module in (counts, term_index):
            monkeypatch.setattr(module, "lookup", None)


in_both_ways = pytest.mark.usefixtures("_compiled")
any_time = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@in_both_ways
@any_time
@given(analyzer=analyzers, texts=texts, repeated=st.integers(0, 3), least=st.integers(1, 2), limit=st.integers(1, 9))
def test_terms_are_counted_as_one_would_by_hand(analyzer, texts, repeated, least, limit):
    texts = texts + texts[:1] * repeated
    found = Counter(term for tokens in texts for term in set(analyzer.terms(tokens)))
    expected = sorted((-count, term) for term, count in found.items() if count >= least)[:limit]
    assert frequent_terms(analyzer, texts, least, limit) == ([t for _, t in expected], [-c for c, _ in expected])


@in_both_ways
@any_time
@given(analyzer=analyzers, train=texts, others=texts, kind=st.sampled_from(["bits", "tfidf", "lsa", "unknown"]))
def test_many_texts_together_are_encoded_as_each_by_itself_to_the_bit(analyzer, train, others, kind):
    if kind == "bits":
        table = fit_bits(analyzer, train, 20)
    elif kind == "tfidf":
        table = fit_tfidf(analyzer, train, 20)
    elif kind == "lsa":
        table = fit_lsa(analyzer, train, 20, 2, 0)
    else:
        vectors = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
        table = TermTable(analyzer, ["a", "ab"], vectors, np.array([0.3, 2], dtype=np.float32), scale=0.7)
    many = [*train, *others]
    alone = np.zeros((len(many), table.dim), dtype=np.float32)
    for row, tokens in zip(alone, many, strict=True):
        table.encode_into(row, tokens)
    np.testing.assert_array_equal(table.encode(many), alone)


@in_both_ways
def test_equal_tokens_need_not_be_one_object():
    """What is found of a token is kept by what it says: an object's place in memory may be taken by the next one."""
    texts = [[f"w{n % 7}", f"{n % 3}é"] for n in range(300)]
    for unit in ("word", "character", "term"):
        analyzer = Analyzer(unit, 1, 1)
        told_apart = Counter(term for tokens in texts for term in set(analyzer.terms(tokens)))
        assert (
            document_counts(analyzer, [["".join(token) for token in map(list, tokens)] for tokens in texts])
            == told_apart
        )


@in_both_ways
@pytest.mark.parametrize("n_tokens", range(7))
def test_there_may_be_fewer_tokens_than_the_longest_n_gram_has(n_tokens):
    """With three tokens and n-grams of five, a slice from the wrong end once failed."""
    for analyzer in (Analyzer("word", 1, 5), Analyzer("word", 5, 6), Analyzer("character", 4, 6)):
        tokens = ["a"] * n_tokens
        terms, found = frequent_terms(analyzer, [tokens], 1, 99)
        assert sorted(terms) == sorted(set(analyzer.terms(tokens)))
        assert found == [1] * len(terms)


@in_both_ways
def test_many_terms_are_counted():
    tokens = [f"w{n}é" for n in range(20_000)]
    texts = [tokens[start : start + 700] for start in range(0, 20_000, 50)] + [["w1é", "\ud800"]]
    expected = Counter(token for text in texts for token in text)
    assert document_counts(Analyzer("word"), texts) == expected
    assert document_counts(Analyzer("word"), texts[:-1]) == expected - Counter(texts[-1])


@pytest.mark.parametrize("shape", [(0,), (5,), (3, 4)])
def test_sparse_rows_are_those_of_the_dense_matrix(shape):
    random = np.random.default_rng(1)
    dense = (random.normal(size=(9, 6)) * (random.random((9, 6)) < 0.3)).astype(np.float32)
    dense[-1] = 0
    rows, columns = np.nonzero(dense)
    ends = np.searchsorted(rows, np.arange(10))
    sparse = SparseRows(Ragged(columns.astype(np.int32), ends), dense[rows, columns], 6)
    wanted = random.integers(-1, 9, shape)
    np.testing.assert_array_equal(sparse[wanted], dense[wanted])
    assert sparse.shape == (9, 6)
