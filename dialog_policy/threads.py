"""Threads: one for many small products of matrices, and one beside the caller's own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Generic, TypeVar

from dialog_policy.errors import require

__all__ = ["InBackground", "one_thread"]

_T = TypeVar("_T")


def one_thread() -> AbstractContextManager[Any]:
    """Have BLAS, and so NumPy and scikit-learn, use one thread within a ``with`` block.

    Where products are small a second thread gains nothing, and where other programs run the threads wait for each other: two
    took twice to three times as long as one.
    """
    require(
        "scipy.linalg", extra="train", purpose="training a policy"
    )  # it brings a BLAS of its own; limited is what is loaded
    limits: AbstractContextManager[Any] = require(
        "threadpoolctl", extra="train", purpose="training a policy"
    ).threadpool_limits(1, "blas")
    return limits


class InBackground(Generic[_T]):
    """A call that a thread of its own makes. A process that ends, or gives up before, does not wait for it.

    Parameters
    ----------
    function
        What to call.
    *arguments, **options
        With what.
    """

    def __init__(self, function: Callable[..., _T], *arguments: Any, **options: Any) -> None:
        self._call = partial(function, *arguments, **options)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=function.__name__, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as error:  # the caller's to handle
            self._error = error

    def result(self) -> _T:
        """Wait for the call, and return what it returned, or raise what it raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result
