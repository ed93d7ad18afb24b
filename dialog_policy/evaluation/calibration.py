"""Whether a stated probability of p is right p of the time: reliability bins and the expected calibration error."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.arrays import Doubles
from dialog_policy.evaluation.evaluation import CalibrationBin

__all__ = ["BINS", "Reliability", "bin_of", "expected_calibration_error", "reliability_rows"]


# Bins of equal width over (0, 1], as scikit-learn's `calibration_curve` has them: a border belongs to the bin below it.
BINS = 10
_EDGES = np.linspace(0, 1, BINS + 1)


class Reliability(NamedTuple):
    """What falls into each bin: how many, the sum of their probabilities, how many of them are right; shape (BINS,)."""

    n: Doubles
    confidence: Doubles
    right: Doubles

    @classmethod
    def of(cls, probabilities: Doubles, right: npt.NDArray[np.bool_]) -> Reliability:
        """Count probabilities and whether each came true, both of shape (n,)."""
        bins = bin_of(probabilities)

        def sums(weights: npt.NDArray[Any]) -> Doubles:
            return np.bincount(bins, weights, minlength=BINS).astype(np.float64)

        return cls(sums(np.ones(len(probabilities))), sums(probabilities), sums(right))

    def with_zeros(self, n: int, right: int) -> Reliability:
        """Add `n` probabilities of 0, of which `right` came true."""
        first = np.arange(BINS) == 0
        return Reliability(self.n + first * n, self.confidence, self.right + first * right)


def bin_of(probabilities: Doubles) -> npt.NDArray[np.intp]:
    """Return the bin of each probability."""
    return np.searchsorted(_EDGES[1:-1], probabilities, side="left")


def expected_calibration_error(reliability: Reliability) -> float:
    """Return Σ |right − confidence| / n over the bins (Naeini, Cooper & Hauskrecht 2015; Guo et al. 2017, equation 3)."""
    return float(np.abs(reliability.right - reliability.confidence).sum() / max(1.0, reliability.n.sum()))


def reliability_rows(reliability: Reliability) -> list[CalibrationBin]:
    """Describe the bins that hold something, the lowest first."""
    return [
        CalibrationBin(
            low=float(_EDGES[i]),
            high=float(_EDGES[i + 1]),
            count=int(reliability.n[i]),
            confidence=float(reliability.confidence[i] / reliability.n[i]),
            accuracy=float(reliability.right[i] / reliability.n[i]),
        )
        for i in np.flatnonzero(reliability.n)
    ]
