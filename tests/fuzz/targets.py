"""What is fuzzed: one target for each parser of bytes that may come from strangers.

A target is made in a folder of its own, and is then a function of bytes that returns, or raises a documented error. Anything else
is a fault: another exception, or an AssertionError where what was accepted is wrong. Its seeds are small and written by the same
code that the tests use. Where several files belong together, the first byte of an input says which of them the rest replaces.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.fuzz import corpora, runs, texts

__all__ = ["TARGETS", "Target"]


class Target(NamedTuple):
    """What is fuzzed.

    Attributes
    ----------
    name
        What scripts and files call it.
    make
        Takes an empty folder; returns the function of bytes, and the seeds.
    """

    name: str
    make: Callable[[Path], tuple[Callable[[bytes], None], list[bytes]]]


TARGETS = {name: Target(name, make) for name, make in {**corpora.MAKERS, **runs.MAKERS, **texts.MAKERS}.items()}
