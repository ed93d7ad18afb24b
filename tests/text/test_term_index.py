"""The compiled lookup of terms finds what Python finds, whatever the text."""

from __future__ import annotations

import copy
import threading
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dialog_policy.text import term_index
from dialog_policy.text.term_index import TermIndex
from dialog_policy.text.tokens import Analyzer

# Few different characters, so that n-grams occur again; of every length in UTF-8, with NUL and halves of surrogate pairs.
_NEAR = st.text(st.sampled_from("ab <>\0é€😀\ud800\udfff"), max_size=6)
_TOKENS = st.lists(_NEAR | st.text(max_size=12), max_size=12)
_ANALYZERS = st.builds(
    lambda unit, ends: Analyzer(unit, min(ends), max(ends)),
    st.sampled_from(["word", "character", "term"]),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
)

needs_compiler = pytest.mark.skipif(
    not TermIndex(Analyzer(), ["a"]).is_compiled, reason="the package was installed without a C compiler"
)


def _expected(analyzer: Analyzer, terms: list[str], unknown: int | None, tokens: list[str]) -> list[tuple[int, int]]:
    """Rows and counts, by the definition of terms alone."""
    row_of = {term: row for row, term in enumerate(terms)}
    missing = None if analyzer.unit == "character" else unknown
    found = Counter(row_of.get(term, missing) for term in analyzer.terms(tokens))
    return sorted((row, count) for row, count in found.items() if row is not None)


@given(_ANALYZERS, _TOKENS, st.lists(_TOKENS, max_size=3), st.booleans(), st.booleans(), st.randoms())
@example(Analyzer("word", 1, 2), [], [], True, True, None)
@example(Analyzer("word", 2, 3), ["x"] * 300, [["x"] * 5], False, True, None)
@example(Analyzer("character", 3, 5), ["ab" * 500, "\0"], [["abab"]], False, True, None)
def test_both_lookups_find_the_terms(analyzer, tokens, others, has_unknown, compiled, random):
    # The table has some of the text's terms and some of others'.
    terms = sorted({term for text in [tokens, *others] for term in analyzer.terms(text)})
    if random is not None:
        terms = random.sample(terms, len(terms) // 2)
    unknown = len(terms) if has_unknown else None
    index = TermIndex(analyzer, terms, unknown, compiled=compiled)
    rows, counts = index.distinct(tokens)
    many = index.distinct_of_many([tokens, [], tokens])
    assert compiled or many is None
    if many is not None:
        assert many[0].offsets.tolist() == [0, len(rows), len(rows), 2 * len(rows)]
        assert many[0].values.tolist() == [*rows.tolist()] * 2
        assert many[1].tolist() == 2 * ([1] * len(rows) if counts is None else counts.tolist())
    times = np.ones(len(rows)) if counts is None else counts
    assert list(zip(rows.tolist(), times.tolist(), strict=True)) == _expected(analyzer, terms, unknown, tokens)
    assert rows.dtype == np.intp
    assert counts is None or (counts.dtype == np.float32 and counts.max() > 1)


@needs_compiler
def test_a_megabyte_is_looked_up_while_other_threads_go_on():
    analyzer = Analyzer("character", 3, 5)
    tokens = [f"word{n % 7_919}é" for n in range(110_000)]
    terms = sorted(set(analyzer.terms(tokens[:2_000])))
    fast, plain = (TermIndex(analyzer, terms, compiled=compiled) for compiled in (True, False))
    assert fast.is_compiled
    assert not plain.is_compiled
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(fast.distinct(tokens))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows, counts = plain.distinct(tokens)
    for own_rows, own_counts in found:
        assert np.array_equal(own_rows, rows)
        assert np.array_equal(own_counts, counts)


@needs_compiler
def test_many_terms_and_texts():
    analyzer = Analyzer("word", 1, 2)
    random = np.random.default_rng(0)
    terms = list(dict.fromkeys(f"w{n}" for n in range(70_000)))
    fast, plain = (TermIndex(analyzer, terms, compiled=compiled) for compiled in (True, False))
    for length in (0, 1, 31, 32, 33, 200):
        tokens = [f"w{n}" for n in random.integers(0, 80_000, length)]
        for ours, theirs in zip(fast.distinct(tokens), plain.distinct(tokens), strict=True):
            assert (ours is None) == (theirs is None)
            assert ours is None or np.array_equal(ours, theirs)


@needs_compiler
@pytest.mark.parametrize("terms", [["a", "\ud800"], ["a", "\ud800b"]])
def test_terms_that_utf8_cannot_spell_are_looked_up_in_python(terms):
    index = TermIndex(Analyzer(), terms)
    assert not index.is_compiled
    assert index.distinct(["\ud800", "a"])[0].tolist()[0] == 0


def test_without_a_compiler_python_is_used(monkeypatch):
    monkeypatch.setattr(term_index, "lookup", None)
    index = TermIndex(Analyzer(), ["b", "a"])
    assert not index.is_compiled
    assert index.distinct(["a", "b", "a"])[0].tolist() == [0, 1]


def test_an_index_can_be_copied():
    index = copy.deepcopy(TermIndex(Analyzer("word", 1, 2), ["a b", "b"], 2))
    assert index.distinct(["a", "b"])[0].tolist() == [0, 1, 2]


@needs_compiler
def test_colliding_terms_are_looked_up_in_python(monkeypatch):
    class Refusing:
        def Index(self, *_):  # noqa: N802
            raise ValueError("too many terms collide")

    monkeypatch.setattr(term_index, "lookup", Refusing())
    assert not TermIndex(Analyzer(), ["a"]).is_compiled
