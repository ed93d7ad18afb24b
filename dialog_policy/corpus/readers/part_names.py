"""How corpora name their parts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

__all__ = ["PARTS", "part_of", "train_first"]

# In the order in which they are read.
PARTS = ("train", "dev", "test")
_NAMES = {"train": "train", "val": "dev", "valid": "dev", "validation": "dev", "dev": "dev", "test": "test"}

_Part = TypeVar("_Part", str, str | None)


def part_of(name: str) -> str | None:
    """Return ``"train"``, ``"dev"`` or ``"test"`` for a corpus' own name of that part; None for any other name."""
    return _NAMES.get(name.casefold())


def train_first(files: Iterable[tuple[str, _Part]]) -> list[tuple[str, _Part]]:
    """Sort members with their parts: train, dev, test, then those of any other part or of none."""
    return sorted(files, key=lambda item: PARTS.index(item[1]) if item[1] in PARTS else len(PARTS))
