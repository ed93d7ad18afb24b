"""What a run, or the cache, stores of a table of terms, and whether it fits together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from dialog_policy.text.tokens import Analyzer

__all__ = ["LARGEST", "StoredTable", "check_array", "stored_table"]

# No number of a trained table or network comes near it; products of several stay far from the largest float32.
LARGEST = 1e8
# Longer n-grams than this are none that anybody trained.
_LONGEST = 64
# Tables whose texts are scaled to unit length divide by the weights.
_SMALLEST_WEIGHT = 1e-6

_Length = Annotated[int, msgspec.Meta(ge=1, le=_LONGEST)]


class _Ngrams(msgspec.Struct):
    unit: Literal["word", "character", "subword", "term"]
    shortest: _Length
    longest: _Length


class StoredTable(msgspec.Struct):
    """The JSON object of a table; its arrays are ``vectors``, ``weights`` and ``component``, each of which may be missing."""

    analyzer: _Ngrams
    terms: list[str]
    pools: Annotated[tuple[Literal["sum", "mean", "sif", "max"], ...], msgspec.Meta(min_length=1, max_length=4)]
    frequency: Literal["count", "log", "binary"]
    unit_length: bool
    scale: Annotated[float, msgspec.Meta(ge=-LARGEST, le=LARGEST)]

    def analysis(self) -> Analyzer:
        """Return the analyser."""
        return Analyzer(self.analyzer.unit, self.analyzer.shortest, self.analyzer.longest)


def check_array(
    name: str, array: npt.NDArray[Any], *shapes: tuple[int, ...], dtype: str = "float32", largest: float = LARGEST
) -> None:
    """Check type, shape and numbers of an array.

    Parameters
    ----------
    name
        What it is called in messages.
    array
        The array.
    *shapes
        The shapes that it may have.
    dtype
        The type that it must have.
    largest
        Of the numbers, without their signs.

    Raises
    ------
    ValueError
        If it is another one, or a number is NaN, infinite or larger.
    """
    if array.dtype != dtype:
        raise ValueError(f"expected {name} of type {dtype}, found {array.dtype}")
    if array.shape not in shapes:
        raise ValueError(f"expected {name} of shape {' or '.join(map(str, shapes))}, found {array.shape}")
    # A NaN is neither the least nor the greatest of anything: the comparison fails for it, too.
    if array.size and not (-largest <= float(array.min()) and float(array.max()) <= largest):
        raise ValueError(f"expected finite numbers up to {largest:g} in {name}, found NaN, infinity or larger ones")


def stored_table(described: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> StoredTable:
    """Check the two parts of a stored table.

    Raises
    ------
    ValueError
        If a part of it is missing, of another type, out of range, or does not fit the others.
    """
    table = msgspec.convert(described, StoredTable)
    n_terms = len(table.terms)
    if len(set(table.terms)) != n_terms:
        raise ValueError("a table has a term twice")
    if table.analyzer.shortest > table.analyzer.longest:
        raise ValueError(f"a table has n-grams from {table.analyzer.shortest} to {table.analyzer.longest}")
    unknown = sorted(arrays.keys() - {"vectors", "weights", "component"})
    if unknown:
        raise ValueError(f"a table has no array {unknown[0]!r}")
    vectors, weights, component = map(arrays.get, ("vectors", "weights", "component"))
    if weights is not None:
        check_array("the weights of a table", weights, (n_terms,))
        if table.unit_length and n_terms and weights.min() < _SMALLEST_WEIGHT:
            raise ValueError(f"expected weights from {_SMALLEST_WEIGHT:g} on in a table of unit length")
    if vectors is None:
        if table.pools != ("sum",) or component is not None:
            raise ValueError("a table without vectors has bits, which can only be added")
        return table
    dim = vectors.shape[1] if vectors.ndim == 2 else 0
    check_array("the vectors of a table", vectors, (n_terms, dim), (n_terms + 1, dim))
    if component is not None:
        check_array("the common component of a table", component, (dim,))
        if dim and np.linalg.norm(component.astype(np.float64)) > 1.001:
            raise ValueError("expected a common component of length 1")
    return table
