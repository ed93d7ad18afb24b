"""The lengths of batches, where there are to be few."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["few_lengths"]


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
