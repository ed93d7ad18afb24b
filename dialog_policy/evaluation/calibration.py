"""Whether a stated probability of p is right p of the time: reliability bins and the expected calibration error."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["BINS", "Reliability", "bin_of", "expected_calibration_error", "reliability_rows"]

Doubles = npt.NDArray[np.float64]

# Bins of equal width over (0, 1], as scikit-learn's `calibration_curve` has them: a border belongs to the bin below it.
BINS = 10
_EDGES = np.linspace(0, 1, BINS + 1)


class Reliability(NamedTuple):
    """What falls into each bin: how many, the sum of their probabilities, how many of them are right; shape (BINS,)."""

    n: Doubles
    confidence: Doubles
    right: Doubles

    @classmethod
    def of(cls, shares: Doubles, right: npt.NDArray[np.bool_]) -> Reliability:
        """Count probabilities and whether each came true, both of shape (n,)."""
        bins = bin_of(shares)

        def sums(weights: npt.NDArray[Any]) -> Doubles:
            return np.bincount(bins, weights, minlength=BINS).astype(np.float64)

        return cls(sums(np.ones(len(shares))), sums(shares), sums(right))

    def with_zeros(self, n: int, right: int) -> Reliability:
        """Add `n` probabilities of 0, of which `right` came true."""
        first = np.arange(BINS) == 0
        return Reliability(self.n + first * n, self.confidence, self.right + first * right)


def bin_of(shares: Doubles) -> npt.NDArray[np.intp]:
    """Return the bin of each probability."""
    return np.searchsorted(_EDGES[1:-1], shares, side="left")


def expected_calibration_error(found: Reliability) -> float:
    """Return Σ |right − confidence| / n over the bins (Naeini, Cooper & Hauskrecht 2015; Guo et al. 2017, equation 3)."""
    return float(np.abs(found.right - found.confidence).sum() / max(1.0, found.n.sum()))


def reliability_rows(found: Reliability) -> list[dict[str, Any]]:
    """Describe the bins that hold something, the lowest first."""
    return [
        {
            "low": float(_EDGES[i]),
            "high": float(_EDGES[i + 1]),
            "count": int(found.n[i]),
            "confidence": float(found.confidence[i] / found.n[i]),
            "accuracy": float(found.right[i] / found.n[i]),
        }
        for i in np.flatnonzero(found.n)
    ]
