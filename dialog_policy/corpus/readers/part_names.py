"""How corpora name their parts."""

from __future__ import annotations

__all__ = ["part_of"]

_PARTS = {"train": "train", "val": "dev", "valid": "dev", "validation": "dev", "dev": "dev", "test": "test"}


def part_of(name: str) -> str | None:
    """Return ``"train"``, ``"dev"`` or ``"test"`` for a corpus' own name of that part; None for any other name."""
    return _PARTS.get(name.casefold())
