"""The most probable action sets of a turn, in their order."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dialog_policy.runtime.decoder import Decoder

__all__ = ["likeliest_sets"]

FloatArray = npt.NDArray[np.floating[Any]]
BoolArray = npt.NDArray[np.bool_]


def likeliest_sets(
    decoder: Decoder, logits: FloatArray, k: int, impossible: BoolArray | None = None
) -> list[list[frozenset[str]]]:
    """Return the `k` most probable action sets of each turn, the most probable first; fewer where there are fewer.

    They are exact: all 2^K sets of K actions compete, as in :class:`~dialog_policy.runtime.decoder.Decoder`, without the
    empty set where the training part has sets and none is empty, because it is never decided there. With joint decoding the first
    one is what is decided. Sets that leaving out impossible actions makes equal count as one, with the place
    of the more probable.

    Parameters
    ----------
    decoder
        Whose sets.
    logits
        Shape (n, n_actions).
    k
        How many sets of each turn.
    impossible
        Shape (n, n_actions): actions that cannot be taken; None: all can.
    """
    if decoder.single_action:
        order = np.argsort(-logits, axis=1, kind="stable")
        names = decoder.space.classes_
        streams: Iterator[Iterator[frozenset[str]]] = ((frozenset([names[bit]]) for bit in row) for row in order)
    else:
        prior = decoder.prior.tempered(decoder.temperature)
        z = logits.astype(np.float64) / decoder.temperature
        scores = z.dot(decoder.prior.bits.T) + prior.log_weights
        known = {row.tobytes() for row in decoder.prior.bits.astype(np.bool_)}
        streams = (_ranked(decoder, *row, prior.log_new, known) for row in zip(z, scores, strict=True))
    shares = decoder.decide(logits).probabilities if impossible is not None else None
    listed = []
    for row, stream in enumerate(streams):
        own: dict[frozenset[str], None] = {}
        for actions in stream:
            if impossible is not None and shares is not None and impossible[row].any():
                actions = decoder.without(actions, impossible[row], shares[row])
            own[actions] = None
            if len(own) == k:
                break
        listed.append(list(own))
    return listed


def _ranked(
    decoder: Decoder, z: FloatArray, scores: FloatArray, log_new: float, known: set[bytes]
) -> Iterator[frozenset[str]]:
    """Yield all sets of a turn by falling probability: those that training showed and the others, merged."""
    seen = np.argsort(-scores, kind="stable").tolist()
    names = decoder.space.classes_
    place = 0
    for score, bits in _by_falling_sum(z):
        while place < len(seen) and scores[seen[place]] >= score + log_new:
            yield decoder.sets[seen[place]]
            place += 1
        # Doing nothing, where the system always did something, is not decided either.
        if bits.tobytes() not in known and (bits.any() or not known):
            yield frozenset(names[bit] for bit in np.flatnonzero(bits))
    for number in seen[place:]:
        yield decoder.sets[number]


def _by_falling_sum(z: FloatArray) -> Iterator[tuple[float, BoolArray]]:
    """Yield all subsets of numbers with their sums, the greatest sum first.

    The greatest has all positive numbers. The others differ from it by some numbers, whose magnitudes their sums are smaller
    by: subsets of the sorted magnitudes by rising sum, each reached once, from the one without its greatest step (Lawler 1972).
    """
    best = z > 0
    greatest = float(z[best].sum())
    yield greatest, best
    order = np.argsort(np.abs(z), kind="stable")
    costs = np.abs(z)[order].tolist()
    heap: list[tuple[float, tuple[int, ...]]] = [(costs[0], (0,))] if costs else []
    while heap:
        cost, flipped = heapq.heappop(heap)
        bits = best.copy()
        places: Sequence[int] = order[list(flipped)].tolist()
        bits[places] = ~bits[places]
        yield greatest - cost, bits
        last = flipped[-1]
        if last + 1 < len(costs):
            heapq.heappush(heap, (cost + costs[last + 1], (*flipped, last + 1)))
            heapq.heappush(heap, (cost + costs[last + 1] - costs[last], (*flipped[:-1], last + 1)))
