"""One thread for many small products of matrices."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from dialog_policy.errors import require

__all__ = ["one_thread"]


def one_thread() -> AbstractContextManager[Any]:
    """Have BLAS, and so NumPy and scikit-learn, use one thread within a ``with`` block.

    Where products are small a second thread gains nothing, and where other programs run the threads wait for each other: two
    took twice to three times as long as one.
    """
    limits: AbstractContextManager[Any] = require(
        "threadpoolctl", extra="train", purpose="training a policy"
    ).threadpool_limits(1, "blas")
    return limits
