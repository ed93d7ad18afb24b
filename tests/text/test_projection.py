"""A compiled projection is the product of a text's vector and the matrix, and refuses tables that do not fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog_policy.compiled import lookup
from dialog_policy.text.projection import as_bytes, compile_projection
from dialog_policy.text.table import TermTable
from dialog_policy.text.tokens import Analyzer

pytestmark = pytest.mark.skipif(lookup is None, reason="the package was installed without a C compiler")


@settings(max_examples=80, deadline=None)
@given(
    texts=st.lists(st.lists(st.sampled_from(["a", "ab", "abc", "b", "é"]), max_size=9), min_size=1, max_size=4),
    kinds=st.lists(st.sampled_from(["bits", "word", "character", "term"]), max_size=4),
    frequency=st.sampled_from(["count", "log", "binary"]),
    unit_length=st.booleans(),
    n_out=st.integers(1, 200),
    seed=st.integers(0, 999),
)
def test_a_projection_is_the_product_of_vector_and_matrix(texts, kinds, frequency, unit_length, n_out, seed):
    random = np.random.default_rng(seed)
    tables, expected, matrices, place = [], np.zeros((len(texts), n_out)), [random.normal(size=(2, n_out))], 2
    for kind in kinds:
        analyzer = Analyzer("word" if kind == "bits" else kind, 1, 2)
        terms = sorted({term for text in texts for term in analyzer.terms(text)} | {"x", "y"})[1:]
        weights = random.uniform(0.1, 2.0, len(terms)).astype(np.float32)
        width = int(random.integers(0, 20))
        vectors = None if kind == "bits" else random.normal(size=(len(terms) + (kind == "term"), width))
        table = TermTable(
            analyzer,
            terms,
            None if vectors is None else vectors.astype(np.float32),
            weights,
            frequency=frequency,
            unit_length=unit_length,
            scale=0.5,
        )
        rows = random.normal(size=(table.dim, n_out)).astype(np.float32)
        before = table.encode(texts)
        expected += before.astype(np.float64) @ rows
        tables.append((table, -1, as_bytes(rows)[0]) if kind == "bits" else (table, place, None))
        if kind != "bits":
            matrices.append(rows)
            place += width
    matrix, start = np.concatenate(matrices).astype(np.float32), random.normal(size=n_out).astype(np.float32)
    made = compile_projection(tables, matrix.tobytes(), start.tobytes(), 2)
    assert made is not None
    expected += start + np.array([1.0, 0.25]) @ matrix[:2]
    for text, row in zip(texts, expected, strict=True):
        np.testing.assert_allclose(np.frombuffer(made.project(text, (1.0, 0.25)), np.float32), row, atol=1e-4)


def test_tables_of_other_kinds_are_not_compiled():
    vectors = np.ones((2, 3), dtype=np.float32)
    for table in (
        TermTable(Analyzer("subword", 3, 5), ["a", "b"], vectors),
        TermTable(Analyzer(), ["a", "b"], vectors, pools=("mean",)),
    ):
        assert compile_projection([(table, 0, None)], bytes(3 * 4), bytes(4), 0) is None


def test_tables_that_do_not_fit_are_refused():
    index = lookup.Index(0, 1, 1, ("a", "b"), -1)

    def projected(index=index, weights=bytes(8), values=bytes(24), place=1, width=3, frequency=0, matrix=bytes(32)):
        table = index, weights, values, place, width, frequency, False, 1.0
        return lookup.Projection((table,), matrix, bytes(8), 1)

    made = projected()
    assert made.project(["a", "c"], (1.0,)) == bytes(8)
    for wrong in [
        {"weights": bytes(4)}, {"values": bytes(20)}, {"values": bytes(28)}, {"place": 0}, {"place": -2}, {"place": 2},
        {"width": -1}, {"width": 2**62}, {"frequency": 3}, {"matrix": bytes(28)}, {"place": -1},
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=r"expected|no such"):
            projected(**wrong)
    with pytest.raises(TypeError, match="Index"):
        projected(index="index")
    with pytest.raises(TypeError, match="bytes"):
        projected(values=bytearray(24))
    with pytest.raises(ValueError, match="expected 1 features"):
        made.project(["a"], ())
    with pytest.raises(UnicodeEncodeError):
        made.project(["\ud800"], (1.0,))
    # Widths of tables without terms add up to no place inside the features.
    empty = lookup.Index(0, 1, 1, (), -1)
    huge = (empty, b"", b"", 0, 2**63 - 1, 0, False, 1.0)
    with pytest.raises(ValueError, match="one after the other"):
        lookup.Projection((huge, (empty, b"", b"", 2**63 - 1, 2**63 - 1, 0, False, 1.0)), b"", bytes(8), 0)
