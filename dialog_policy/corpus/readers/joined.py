"""Several corpora read as one: their dialogues one after the other, ids made unique, parts as in each by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.splits import hash_fraction, part_of

__all__ = ["Part", "joined"]


class Part(NamedTuple):
    """One of several corpora.

    Attributes
    ----------
    name
        Its name.
    dialogues
        Yields its dialogues; can be called again.
    label
        The part of all its dialogues, if none of them says its own.
    source
        What it was read from; those of one source, such as a folder with files of several formats, share their parts.
    """

    name: str
    dialogues: Callable[[], Iterator[Dialogue]]
    label: str | None = None
    source: str = ""


def joined(parts: Sequence[Part]) -> Iterator[Dialogue]:
    """Yield the dialogues of several corpora. Each is read twice; ids are kept.

    An id that an earlier corpus has gets the name of its own corpus: ``new.csv:7``. Where the corpora's own parts differ, or an
    id changed, every dialogue says its part, as its corpus by itself would have it.
    """
    labels: list[set[str]] = []
    ids: set[str] = set()
    is_taken = False
    for part in parts:
        own_ids, own_labels = set(), set()
        for dialogue in part.dialogues():
            own_ids.add(dialogue.id)
            if dialogue.split is not None:
                own_labels.add(dialogue.split)
        is_taken = is_taken or not ids.isdisjoint(own_ids)
        ids |= own_ids
        labels.append(own_labels)
    says_parts = is_taken or any(part.label for part in parts) or any(own != labels[0] for own in labels)
    of_source: dict[str, set[str]] = {}
    for number, (part, own) in enumerate(zip(parts, labels, strict=True)):
        of_source.setdefault(part.source or str(number), set()).update(own)
    earlier: set[str] = set()
    for number, (part, own) in enumerate(zip(parts, labels, strict=True)):
        shared = own and of_source[part.source or str(number)]
        here: list[str] = []
        for dialogue in part.dialogues():
            name = dialogue.id
            if name in earlier:
                name = f"{part.name}:{name}"
                while name in ids:
                    name += "'"
                ids.add(name)
            here.append(name)
            if says_parts:
                split = part_of(dialogue.split, hash_fraction(dialogue.id), shared)
                split = part.label if part.label and not own else split
                dialogue = msgspec.structs.replace(dialogue, id=name, split=split)
            yield dialogue
        earlier.update(here)
