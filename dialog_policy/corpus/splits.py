"""Which dialogues belong to which part of a corpus: the authors' parts, or a fixed cut by hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from dialog_policy.errors import CorpusError, counted, did_you_mean

__all__ = ["fold_numbers", "hash_fraction", "hash_range", "in_split", "part_of", "splits_of"]

_DEV_FROM, _TEST_FROM = 0.8, 0.9


def hash_fraction(text: str) -> float:
    """Map a text to [0, 1) by the first eight bytes of its SHA-256: the same on every machine, for ever."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def fold_numbers(ids: Sequence[str], folds: int) -> list[int]:
    """Return the fold of each dialogue by the rank of its id's hash: folds are of equal size, and the same everywhere."""
    numbers = [0] * len(ids)
    for rank, i in enumerate(sorted(range(len(ids)), key=lambda i: (hash_fraction(ids[i]), ids[i]))):
        numbers[i] = rank % folds
    return numbers


def hash_range(dialogue_id: str) -> float:
    """Return the lower bound of the hash range that decides on a dialogue's part: 0, 0.8 or 0.9."""
    fraction = hash_fraction(dialogue_id)
    return _TEST_FROM if fraction >= _TEST_FROM else _DEV_FROM if fraction >= _DEV_FROM else 0.0


def _has_hashed_dev(own: set[str]) -> bool:
    return "train" in own and "dev" not in own


def splits_of(labels: Iterable[str | None]) -> tuple[str, ...]:
    """Names of the parts of a corpus whose dialogues carry these labels."""
    own = {label for label in labels if label is not None}
    if not own:
        return ("train", "dev", "test")
    if _has_hashed_dev(own):
        own.add("dev")
    usual = ("train", "dev", "test")
    return tuple(name for name in usual if name in own) + tuple(sorted(own - set(usual)))


def part_of(label: str | None, fraction: float, own: set[str]) -> str | None:
    """Name the part of a dialogue.

    Parameters
    ----------
    label
        Its own label, if it has one.
    fraction
        :func:`hash_fraction` of its id, or :func:`hash_range`.
    own
        All labels of the corpus.
    """
    if not own:
        return "train" if fraction < _DEV_FROM else "dev" if fraction < _TEST_FROM else "test"
    if label == "train" and _has_hashed_dev(own) and _DEV_FROM <= fraction < _TEST_FROM:
        return "dev"
    return label


def in_split(name: str, ids: Iterable[str], labels: Sequence[str | None], *, corpus: str) -> list[bool]:
    """Say for each dialogue whether it belongs to part `name`.

    Parameters
    ----------
    name
        ``"train"``, ``"dev"``, ``"test"`` or a label of the corpus' own.
    ids, labels
        Id and own label (or None) of every dialogue of the corpus.
    corpus
        The corpus' name, for messages.

    Raises
    ------
    CorpusError
        If there is no such part or nothing is in it.
    """
    own = {label for label in labels if label is not None}
    known = splits_of(own)
    if name not in known:
        listed = ", ".join((*known, "all"))
        raise CorpusError(f"{corpus} has no split {name!r}; it has: {listed}.{did_you_mean(name, known)}")
    chosen = [
        part_of(label, hash_fraction(dialogue_id), own) == name for dialogue_id, label in zip(ids, labels, strict=True)
    ]
    if not any(chosen):
        remedy = "Use --split all, or name the parts in the corpus itself (its `split` field or column)."
        raise CorpusError(
            f"the split {name!r} of {corpus} is empty: the corpus has {counted(len(labels), 'dialogue')}.",
            remedy=remedy,
        )
    return chosen
