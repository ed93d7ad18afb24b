"""How corpora name their parts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import TypeVar

import msgspec

from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.part_labels import USUAL_PARTS

__all__ = ["PARTS", "in_part", "part_of", "parts_of_files", "train_first"]

# In the order in which they are read.
PARTS = ("train", "dev", "test")

# What is behind the name where a part is divided, as in train-00001-of-00004.parquet.
_NUMBER = re.compile(r"([-_.]\d+(-of-\d+)?)+")

_Part = TypeVar("_Part", str, str | None)


def part_of(name: str) -> str | None:
    """Return ``"train"``, ``"dev"`` or ``"test"`` for a corpus' own name of that part; None for any other name."""
    return USUAL_PARTS.get(name.casefold())


def parts_of_files(names: Iterable[str]) -> dict[str, str]:
    """Return the parts of files by their names, or by those of their folders.

    Parameters
    ----------
    names
        Paths, with ``/`` between folders.

    Returns
    -------
    dict
        A path to ``"train"``, ``"dev"`` or ``"test"``; empty unless train and another part are among the files.
    """
    found = {name: part for name in names if (part := _part_of_path(PurePosixPath(name)))}
    parts = set(found.values())
    return found if "train" in parts and len(parts) > 1 else {}


def in_part(dialogue: Dialogue, part: str | None) -> Dialogue:
    """Return a dialogue in the part of its file, unless it says its own."""
    return msgspec.structs.replace(dialogue, split=part) if part and dialogue.split is None else dialogue


def _part_of_path(path: PurePosixPath) -> str | None:
    stem = path.name.partition(".")[0]
    said = [_NUMBER.sub("", stem), *(folder.name for folder in path.parents)]
    return next((USUAL_PARTS[name.casefold()] for name in said if name.casefold() in USUAL_PARTS), None)


def train_first(files: Iterable[tuple[str, _Part]]) -> list[tuple[str, _Part]]:
    """Sort members with their parts: train, dev, test, then those of any other part or of none."""
    return sorted(files, key=lambda item: PARTS.index(item[1]) if item[1] in PARTS else len(PARTS))
