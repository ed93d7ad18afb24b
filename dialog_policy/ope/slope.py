"""SLOPE: which of a sequence of estimates, ever more biased and ever less spread, to take."""

from __future__ import annotations

import numpy as np

from dialog_policy.arrays import Floats

__all__ = ["slope"]


def slope(values: Floats, widths: Floats) -> int:
    """Choose an estimate by Lepski's principle (Su, Srinath & Krishnamurthy 2020, "Adaptive estimator selection").

    The last estimate whose interval, value ± 2 width, still meets the common part of the intervals before it: what moved further
    than chance explains is biased.

    Parameters
    ----------
    values
        Shape (k,): from the least to the most biased.
    widths
        Shape (k,): standard errors. They are to decrease; a width that is smaller than a later one is raised to it, as in the
        experiments of the paper.

    Returns
    -------
    int
        The number of the estimate.
    """
    decreasing = np.maximum.accumulate(widths[::-1])[::-1]
    lower, upper = np.maximum.accumulate(values - 2 * decreasing), np.minimum.accumulate(values + 2 * decreasing)
    disjoint = np.flatnonzero(lower > upper)
    return int(disjoint[0]) - 1 if len(disjoint) else len(values) - 1
