"""Whether a difference between two policies on the same dialogues may be chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from dialog_policy.arrays import Floats
from dialog_policy.evaluation.intervals import dialogue_weights

__all__ = ["bootstrap_p", "holm", "mcnemar_p", "randomisation_p", "resampled"]


# Numbers that are held in memory at once.
_AT_ONCE = 1 << 23
# Differences that floating point alone can make.
_EQUAL = 1e-9


def resampled(totals: Floats, statistic: Callable[[Floats], Floats], *, resamples: int, seed: int) -> Floats:
    """Return the statistic of totals, shape (resamples, …), in bootstrap resamples of dialogues; `totals` of shape (n, columns)."""
    weights = dialogue_weights(len(totals), resamples, seed, totals.shape[1])
    return np.concatenate([statistic(block @ totals) for block in weights])


def bootstrap_p(drawn: Floats, observed: Floats) -> Floats:
    """Two-sided p of no difference, shape (k,), from differences in paired bootstrap resamples, shape (resamples, k).

    The resamples, shifted to a mean of no difference, say how far chance reaches (Efron & Tibshirani 1993, §16.4; for language
    processing Berg-Kirkpatrick, Burkett & Klein 2012). The observed sample counts as one of them.
    """
    as_far = np.abs(drawn - observed) >= np.abs(observed) - _EQUAL
    p: Floats = (1 + as_far.sum(axis=0)) / (1 + len(drawn))
    return p


def randomisation_p(a: Floats, b: Floats, metrics: Callable[[Floats], Floats], *, resamples: int, seed: int) -> Floats:
    """Two-sided p, shape (k,), of the hypothesis that the policies' results on a dialogue may change places.

    Approximate randomisation over dialogues (Noreen 1989; for language processing Yeh 2000): the two results of each dialogue
    are swapped or not, by a coin. Where there are no more ways to swap than `resamples`, all of them are computed: the
    p is then exact; else the observed sample counts as one of the resamples.

    Parameters
    ----------
    a, b
        Shape (n, columns): what each dialogue adds to the totals of either policy.
    metrics
        From totals, shape (m, columns), to metrics, shape (m, k).
    resamples
        Number of resamples.
    seed
        Of the coins.
    """
    differ = np.flatnonzero((a != b).any(axis=1))
    gap = (b[differ] - a[differ]).astype(np.float64)
    total_a, total_b = (x.sum(axis=0, dtype=np.float64) for x in (a, b))
    observed = np.abs(metrics(total_a[None]) - metrics(total_b[None]))[0]

    def count(swaps: Floats) -> Floats:
        moved = swaps @ gap
        reaches = np.abs(metrics(total_a + moved) - metrics(total_b - moved)) >= observed - _EQUAL
        as_far: Floats = reaches.sum(axis=0)
        return as_far

    # Swaps, and totals of them, that fit into memory.
    at_once = max(1, min(resamples, _AT_ONCE // max(1, len(differ), a.shape[1])))
    as_far = np.zeros(len(observed))
    if len(differ) < 63 and 2 ** len(differ) <= resamples:
        n_ways = 2 ** len(differ)
        for start in range(0, n_ways, at_once):
            ways = np.arange(start, min(start + at_once, n_ways))[:, None] >> np.arange(len(differ)) & 1
            as_far += count(ways.astype(np.float64))
        exact: Floats = as_far / n_ways
        return exact
    random = np.random.default_rng(seed)
    for start in range(0, resamples, at_once):
        coins = random.integers(0, 2, size=(min(at_once, resamples - start), len(differ)), dtype=np.int8)
        as_far += count(coins.astype(np.float64))
    p: Floats = (1 + as_far) / (1 + resamples)
    return p


def mcnemar_p(a_only: int, b_only: int) -> float:
    """Exact two-sided p that either is as likely, of cases that only A or only B gets right (McNemar 1947; binomial with ½)."""
    n, fewer = a_only + b_only, min(a_only, b_only)
    if n == 0:
        return 1.0
    logs = [
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2) for k in range(fewer + 1)
    ]
    return min(1.0, 2 * math.fsum(math.exp(log) for log in logs))


def holm(ps: Sequence[float]) -> list[float]:
    """Adjust p values of a family of tests (Holm 1979): valid whatever the tests have to do with each other."""
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    adjusted = [0.0] * len(ps)
    running = 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(ps) - rank) * ps[i]))
        adjusted[i] = running
    return adjusted
