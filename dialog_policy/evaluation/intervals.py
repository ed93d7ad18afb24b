"""95 % intervals by resampling whole dialogues: the turns of one dialogue are not independent of each other.

A metric is a function of totals over dialogues, so a resample is a row of weights (how often each dialogue was drawn) and all
resamples are one product of matrices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from numbers import Integral
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from dialog_policy.arrays import Floats
from dialog_policy.errors import OptionError, check_whole

__all__ = [
    "LEVEL",
    "MOST_RESAMPLES",
    "RESAMPLES",
    "Interval",
    "bootstrap_intervals",
    "check_resamples",
    "defined_interval",
    "dialogue_weights",
    "t_quantile",
]

Statistic = Callable[[Floats], Floats]
# Lower and upper end.
Interval = tuple[float, float]

LEVEL = 0.95
RESAMPLES = 2_000
# More resamples change no digit that is shown, and cost time and memory.
MOST_RESAMPLES = 100_000

# Weights that are held in memory at once.
_WEIGHTS_AT_ONCE = 1 << 22
# More dialogues are put into as many groups at random, and the groups are resampled: as good, and quicker.
_RESAMPLED = 10_000
# Likewise for the jackknife, whose acceleration does not depend on the size of the groups.
_LEFT_OUT = 1_000
# Fewer dialogues are not resampled.
_FEW = 10
# Values whose relative difference is smaller differ by the order of their sums alone.
_ROUNDING = 1e-12
_NORMAL = NormalDist()


def check_resamples(resamples: int, least: int = 0, *, seed: int = 0) -> None:
    """Refuse a number of resamples that would not fit into memory, a seed below 0, and what is no whole number.

    Raises
    ------
    OptionError
        If the number is not a whole one from `least` to 100,000, or the seed not a whole number from 0.
    """
    check_whole("seed", seed, 0)
    if not isinstance(resamples, Integral):
        raise OptionError(f"resamples: expected a whole number, found {resamples!r}.")
    if not least <= resamples <= MOST_RESAMPLES:
        raise OptionError(
            f"resamples: expected a number from {least:,} to {MOST_RESAMPLES:,}, found {resamples:,}. More would "
            f"hardly change an interval and not fit into memory; {RESAMPLES:,} are usual."
        )


def defined_interval(ends: Floats) -> Interval | None:
    """Return the lower and the upper end of an interval, shape (2,); None where nothing can be said, which is NaN here."""
    low, high = ends.tolist()
    return None if math.isnan(low) or math.isnan(high) else (low, high)


def dialogue_weights(
    n: int, resamples: int, seed: int, columns: int = 1, dtype: npt.DTypeLike = np.float64
) -> Iterator[Floats]:
    """Yield, in blocks of rows, how often each of `n` dialogues is in each resample, shape (block, n).

    Blocks are so small that their products with `columns` columns fit into memory, too.
    """
    random = np.random.default_rng(seed)
    at_once = max(1, min(resamples, _WEIGHTS_AT_ONCE // max(n, columns)))
    for start in range(0, resamples, at_once):
        weights = np.empty((min(at_once, resamples - start), n), dtype=dtype)
        for row in weights:
            row[:] = np.bincount(random.integers(n, size=n, dtype=np.uint32), minlength=n)
        yield weights


def bootstrap_intervals(
    totals: Floats,
    statistic: Statistic,
    units: npt.ArrayLike,
    *,
    bounded: npt.ArrayLike = True,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Floats:
    """95 % intervals of statistics of totals over dialogues.

    Bias-corrected and accelerated (BCa; Efron 1987, "Better bootstrap confidence intervals"), at levels widened for few
    dialogues (Hesterberg 2015, "What teachers should know about the bootstrap": t quantiles and √(n/(n−1))). More than
    10,000 dialogues are resampled in 10,000 groups of equal size.

    Fewer than ten dialogues are too few to resample: there it is Student's t with the jackknife's standard error. Where all
    of them agree on 0 or 1 no variance is seen; there it is the exact binomial interval of that many dialogues (Clopper &
    Pearson 1934).

    Parameters
    ----------
    totals
        Shape (n_dialogues, n_columns): what each dialogue adds.
    statistic
        From totals, shape (m, n_columns), to values, shape (m, n_statistics); NaN where a statistic is undefined.
    units
        Shape (n_statistics,): how many dialogues bear on each statistic.
    bounded
        Shape (n_statistics,): whether it is between 0 and 1.
    resamples
        Number of bootstrap resamples.
    seed
        Of the resampling.

    Returns
    -------
    ndarray of shape (n_statistics, 2)
        Low and high; NaN where nothing can be said: the statistic is undefined, or one dialogue bears on it and it has no
        bounds.
    """
    check_resamples(resamples)
    point = statistic(totals.sum(axis=0, dtype=np.float64)[None])[0]
    totals = _grouped(totals, _RESAMPLED, seed)
    # Sums of counts have the same bits in single precision, which takes a third of the time.
    precision = np.float32 if _are_counts(totals) else np.float64
    columns = totals.astype(precision, copy=False)
    units = np.broadcast_to(np.asarray(units, dtype=np.int64), point.shape)
    bounded = np.broadcast_to(np.asarray(bounded, dtype=np.bool_), point.shape)
    drawn = np.empty((len(point), resamples))
    done = 0
    for weights in dialogue_weights(len(totals), resamples, seed, totals.shape[1], precision):
        drawn[:, done : done + len(weights)] = statistic((weights @ columns).astype(np.float64, copy=False)).T
        done += len(weights)
    left_out = _jackknife(totals, statistic)
    intervals = np.full((len(point), 2), np.nan)
    for i, at in enumerate(point.tolist()):
        if math.isnan(at) or not units[i]:
            continue
        if units[i] < _FEW:
            intervals[i] = _few(at, left_out[:, i], int(units[i]), bounded=bool(bounded[i]))
        else:
            intervals[i] = _bca(drawn[i], at, left_out[:, i], int(units[i]), bounded=bool(bounded[i]))
    return intervals


def _are_counts(totals: Floats) -> bool:
    """Whether all are whole, and sums of as many rows, whichever, are below 2²⁴, up to which single precision has every number."""
    return bool(len(totals) * np.abs(totals).max(initial=0) < 2**24) and np.array_equal(totals, np.rint(totals))


def _grouped(totals: Floats, most: int, seed: int) -> Floats:
    """Put rows into at most `most` groups of equal size (but for one row more or less) at random; return the totals of each.

    They are of double precision, because rewards may be large beside their spread, or beyond single precision.
    """
    n = len(totals)
    if n <= most:
        return totals.astype(np.float64, copy=False)
    order = np.random.default_rng(seed).permutation(n)
    starts = np.linspace(0, n, most, endpoint=False).astype(np.intp)
    grouped: Floats = np.add.reduceat(totals[order], starts, axis=0, dtype=np.float64)
    return grouped


def _agreed(point: float, units: int) -> tuple[float, float]:
    """Interval of a rate of 0 or 1 that `units` dialogues agree on."""
    reach = ((1 - LEVEL) / 2) ** (1 / units)
    return (0.0, 1 - reach) if point == 0.0 else (reach, 1.0)


def _few(point: float, d: Floats, units: int, *, bounded: bool) -> tuple[float, float]:
    """Student's t with the standard error of the jackknife (Efron & Tibshirani 1993, equation 11.5)."""
    if bounded and point in (0.0, 1.0):
        return _agreed(point, units)
    if units == 1:
        return (0.0, 1.0) if bounded else (math.nan, math.nan)
    reach = t_quantile((1 + LEVEL) / 2, units - 1) * math.sqrt((units - 1) / units * float(np.square(d).sum()))
    low, high = point - reach, point + reach
    return (max(0.0, low), min(1.0, high)) if bounded else (low, high)


def _bca(drawn: Floats, point: float, d: Floats, units: int, *, bounded: bool) -> tuple[float, float]:
    values = np.sort(drawn[~np.isnan(drawn)])
    if not len(values) or values[0] == values[-1]:
        return _agreed(point, units) if bounded and point in (0.0, 1.0) else (point, point)
    near = _ROUNDING * float(np.abs(values[[0, -1]]).max())
    ends = np.searchsorted(values, point - near, "left"), np.searchsorted(values, point + near, "right")
    share = float(sum(ends)) / 2 / len(values)
    least = 0.5 / len(values)
    z0 = _NORMAL.inv_cdf(min(max(share, least), 1 - least))
    below = 6 * float(np.square(d).sum()) ** 1.5
    acceleration = float((d**3).sum()) / below if below > 0 else 0.0
    reach = math.sqrt(units / (units - 1)) * t_quantile((1 + LEVEL) / 2, units - 1)
    levels = [_NORMAL.cdf(z0 + _bent(z0 + sign * reach, acceleration)) for sign in (-1, 1)]
    low, high = np.quantile(values, levels)
    return float(low), float(high)


def _bent(z: float, acceleration: float) -> float:
    """Return z / (1 − a z) of the BCa levels; past its pole the level is that of infinity."""
    below = 1 - acceleration * z
    return z / below if below > 0 else math.copysign(math.inf, z)


def _jackknife(totals: Floats, statistic: Statistic) -> Floats:
    """Mean less value of each statistic without one group, shape (n_groups, n_statistics).

    Σd³ / 6(Σd²)^1.5 is the acceleration (Efron & Tibshirani 1993, equation 14.15).
    """
    groups = _grouped(totals, _LEFT_OUT, seed=0)
    with np.errstate(divide="ignore", invalid="ignore"):  # without the only dialogue nothing is left to divide by
        left_out = statistic(groups.sum(axis=0) - groups)
    # A statistic that one group decides is undefined without it; such a group says nothing.
    is_defined = ~np.isnan(left_out)
    mean = np.where(is_defined, left_out, 0.0).sum(axis=0) / np.maximum(1, is_defined.sum(axis=0))
    d: Floats = np.where(is_defined, mean - left_out, 0.0)
    return d


def t_quantile(share: float, freedom: int) -> float:
    """Quantile of Student's t; exact for one or two degrees of freedom, else to 0.1 % (Abramowitz & Stegun 26.7.5)."""
    if freedom == 1:
        return math.tan(math.pi * (share - 0.5))
    if freedom == 2:
        return (2 * share - 1) / math.sqrt(2 * share * (1 - share))
    z = _NORMAL.inv_cdf(share)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    tail: float = sum(term / freedom ** (i + 1) for i, term in enumerate(terms))
    return z + tail
