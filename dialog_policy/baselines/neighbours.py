"""The nearest turn of the training part: what was done there is what to do here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from dialog_policy.text.table import FloatArray

__all__ = ["Neighbours", "WeightedTerms", "fit_neighbours"]

# Of each field that is compared: terms of a turn, and their weights, of length 1.
WeightedTerms = Sequence[tuple[npt.NDArray[np.intp], FloatArray]]

_View = TypeVar("_View", bound=Hashable)

# Distinct training turns that are kept; documented in docs/evaluation.md.
_MOST = 5_000


class Neighbours:
    """Training turns as an inverted index: a term to the turns that have it.

    Parameters
    ----------
    widths
        Number of terms of each field.
    starts
        Shape (n_terms + 1,), over the terms of all fields: where the turns of each term begin.
    turns, weights
        Shape (n_entries,): turns that have a term, and the term's weight in them, float16.
    chosen
        Shape (n_turns,): what was done in each turn.
    """

    def __init__(
        self,
        widths: npt.NDArray[np.int32],
        starts: npt.NDArray[np.int32],
        turns: npt.NDArray[np.uint16],
        weights: npt.NDArray[np.float16],
        chosen: npt.NDArray[np.int32],
    ) -> None:
        self._widths, self._starts, self._turns, self._weights, self._chosen = widths, starts, turns, weights, chosen
        self._offsets = np.cumsum(widths) - widths

    def nearest(self, terms: WeightedTerms) -> int:
        """Return what was done in the most similar turn: the sum of the fields' cosines; of equals, the most frequent."""
        similarity = np.zeros(len(self._chosen))
        for offset, (rows, weights) in zip(self._offsets, terms, strict=True):
            for term, weight in zip((rows + offset).tolist(), weights.tolist(), strict=True):
                entries = slice(self._starts[term], self._starts[term + 1])
                # No turn has a term twice, so that the indices are distinct.
                similarity[self._turns[entries]] += weight * self._weights[entries].astype(np.float64)
        return int(self._chosen[similarity.argmax()])

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return what a run folder stores."""
        names = ("widths", "starts", "turns", "weights", "chosen")
        return {name: getattr(self, f"_{name}") for name in names}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Neighbours:
        """Undo :meth:`to_arrays`."""
        return cls(**arrays)


def fit_neighbours(
    terms_of: Callable[[_View], WeightedTerms],
    views: Sequence[_View],
    chosen: Sequence[int],
    *,
    widths: Sequence[int],
    seed: int,
) -> Neighbours:
    """Index the distinct turns of the training part, at most 5,000 of them, drawn by seed.

    Where the same was seen several times and different things were done, the most frequent counts.

    Parameters
    ----------
    terms_of
        From a view to its terms.
    views
        What is seen in each turn.
    chosen
        What was done in each turn; of equally frequent ones the smaller number counts.
    widths
        Number of terms of each field.
    seed
        Of the draw.
    """
    seen: dict[_View, Counter[int]] = {}
    for view, done in zip(views, chosen, strict=True):
        seen.setdefault(view, Counter())[done] += 1
    examples = list(seen.items())
    if len(examples) > _MOST:
        sample = np.sort(np.random.default_rng(seed).choice(len(examples), _MOST, replace=False))
        examples = [examples[i] for i in sample]
    # The most frequent first: the first of equally similar turns wins.
    examples.sort(key=lambda item: -item[1].total())
    best = [min(counts, key=lambda done: (-counts[done], done)) for _, counts in examples]
    offsets = np.cumsum(widths) - widths
    rows, turns, weights = [], [], []
    for turn, (view, _) in enumerate(examples):
        for offset, (own, shares) in zip(offsets, terms_of(view), strict=True):
            rows.append(own + offset)
            turns.append(np.full(len(own), turn, dtype=np.uint16))
            weights.append(shares.astype(np.float16))
    term = np.concatenate(rows)
    order = np.argsort(term, kind="stable")
    starts = np.searchsorted(term[order], np.arange(sum(widths) + 1))
    return Neighbours(
        np.array(widths, dtype=np.int32),
        starts.astype(np.int32),
        np.concatenate(turns)[order],
        np.concatenate(weights)[order],
        np.array(best, dtype=np.int32),
    )
