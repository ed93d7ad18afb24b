"""The lengths and sizes of batches, where they are to be few."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["evenly", "few_lengths", "sizes_and_lengths"]

# Of fewer batches none is made smaller: it would be a large part of all steps.
_FEWEST_BATCHES = 8


def few_lengths(lengths: npt.ArrayLike, limit: int) -> list[int]:
    """Choose the lengths to pad to: at most `limit`, such that padding every dialogue to the next of them costs least.

    Parameters
    ----------
    lengths
        Of the dialogues, in turns.
    limit
        At most so many.

    Returns
    -------
    list of int
        Ascending; the last is the longest of `lengths`.
    """
    distinct, counts = np.unique(np.asarray(lengths), return_counts=True)
    if len(distinct) <= limit:
        return [int(length) for length in distinct]
    shorter = np.concatenate([[0], np.cumsum(counts)])  # dialogues among the first n distinct lengths
    # cheapest[n]: least padded turns for the dialogues of the first n distinct lengths, with so many lengths to pad to.
    cheapest = np.concatenate([[0.0], shorter[1:] * distinct])
    choices = []
    for _ in range(limit - 1):
        cost = cheapest[None, :-1] + (shorter[1:, None] - shorter[None, :-1]) * distinct[:, None]
        cost[np.triu_indices(len(distinct), 1)] = np.inf
        choices.append(cost.argmin(axis=1))
        cheapest = np.concatenate([[0.0], cost.min(axis=1)])
    chosen, n = [], len(distinct)
    for choice in (*reversed(choices), None):
        chosen.append(int(distinct[n - 1]))
        n = 0 if choice is None else int(choice[n - 1])
        if n == 0:
            break
    return chosen[::-1]


def evenly(count: int, most: int) -> list[int]:
    """Divide `count` dialogues between as few batches of at most `most` as possible: the sizes, which differ by at most 1."""
    batches = -(-count // most)
    return [count // batches + (number < count % batches) for number in range(batches)]


def sizes_and_lengths(
    lengths: npt.ArrayLike, most: int, limit: int, *, even: bool = False
) -> tuple[list[int], list[int]]:
    """Choose how to divide dialogues, the shortest first, between batches that have few shapes, so that they are padded least.

    The batch of the longest dialogues, whose lengths differ most, may have a half or a quarter of the dialogues of the others.

    Parameters
    ----------
    lengths
        Of the dialogues, in turns.
    most
        Dialogues of a batch at most.
    limit
        At most so many shapes, each a size and a length.
    even
        Whether all batches have as many dialogues, or one less.

    Returns
    -------
    sizes
        Dialogues of each batch.
    lengths
        What batches are padded to, ascending.
    """
    ordered = np.sort(np.asarray(lengths))
    choices = [evenly(len(ordered), most)]
    if not even and limit > 1 and len(choices[0]) >= _FEWEST_BATCHES:
        choices += [[*evenly(len(ordered) - last, most), last] for last in (-(-most // 2), -(-most // 4))]
    padded = [(sizes, _lengths_for(ordered, sizes, limit)) for sizes in choices]
    return min(padded, key=lambda choice: _turns(ordered, *choice))


def _longest(ordered: npt.NDArray[np.integer], sizes: Sequence[int]) -> npt.NDArray[np.integer]:
    longest: npt.NDArray[np.integer] = ordered[np.cumsum(sizes) - 1]
    return longest


def _lengths_for(ordered: npt.NDArray[np.integer], sizes: Sequence[int], limit: int) -> list[int]:
    longest = _longest(ordered, sizes)
    if sizes[-1] >= sizes[0] - 1:
        return few_lengths(longest, limit)
    return sorted({*few_lengths(longest[:-1], limit - 1), int(longest[-1])})


def _turns(ordered: npt.NDArray[np.integer], sizes: Sequence[int], lengths: Sequence[int]) -> int:
    """Count the turns of all batches, padding included."""
    rows = [size if size < sizes[0] - 1 else sizes[0] for size in sizes]
    padded = np.asarray(lengths)[np.searchsorted(lengths, _longest(ordered, sizes))]
    return int(np.dot(rows, padded))
