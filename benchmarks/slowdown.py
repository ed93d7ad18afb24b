"""A fixed piece of work, of the kind that a decision is made of, to compare decisions with."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

__all__ = ["fixed_work", "processor_seconds", "unit_seconds"]

_UNITS = 200
_TEXT = "a table for two in the north, please, at seven o'clock on friday"
_TERMS = {word: number for number, word in enumerate(_TEXT.split())}
_MATRIX = np.random.default_rng(0).normal(size=(128, 512)).astype(np.float32)


def fixed_work() -> None:
    """Do two hundred units of work, each of small products, element-wise steps, words looked up in a dict."""
    state = np.zeros(128, dtype=np.float32)
    for _ in range(_UNITS):
        for _ in range(4):
            gates = state.dot(_MATRIX)
            np.tanh(gates, out=gates)
            state = gates[:128] * gates[128:256] + gates[256:384]
        rows = [number for word in _TEXT.lower().split() if (number := _TERMS.get(word)) is not None]
        state += _MATRIX.take(rows, axis=0)[:, :128].sum(axis=0)
        np.sort(np.array(rows, dtype=np.intp))


def unit_seconds() -> float:
    """Return the processor time of one unit of the fixed work."""
    return processor_seconds(fixed_work) / _UNITS


def processor_seconds(work: Callable[[], object]) -> float:
    """Return the processor time that this thread takes for a piece of work."""
    start = time.thread_time()
    work()
    return time.thread_time() - start
