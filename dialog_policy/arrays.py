"""Names of arrays that several rooms judge by; an array of features or weights is a ``FloatArray`` (float32) of `text`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Doubles", "Floats"]

# Of any precision: what is computed with keeps the precision that it came with.
Floats = npt.NDArray[np.floating[Any]]
Doubles = npt.NDArray[np.float64]
