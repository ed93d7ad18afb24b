"""Names that are probably not what somebody meant: one name in two ways, several names in one, a word for nothing."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

__all__ = ["joined_names", "missing_values", "same_but_for_marks", "similar"]

# In shorter names one letter makes another word.
_SHORTEST = 6
# One letter in another's place is a misspelling only where the name is this rare, beside the other.
_RARE, _TIMES = 3, 3
# Between actions that somebody wrote into one name.
_CONNECTORS = re.compile(r"\s+and\s+|\s*[/+&]\s*", re.IGNORECASE)
# What spreadsheets, data frames and databases write where there is nothing.
_NOTHING = frozenset(("null", "none", "nil", "nan", "na", "n/a", "#n/a", "<na>", "undefined", "-", "--", "?"))


def same_but_for_marks(names: Collection[str]) -> list[list[str]]:
    """Return groups of names that differ only in case, spaces, hyphens or underscores."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[_without_marks(name)].append(name)
    return [sorted(group) for group in groups.values() if len(group) > 1]


def _without_marks(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name.casefold()).strip()


def similar(turns: Mapping[str, int]) -> list[tuple[str, str]]:
    """Return pairs of names that differ in one letter: the usual spelling, and the one that is probably a mistake.

    A letter too many, a letter too few or two letters exchanged; one letter in another's place only where one name is rare.
    Digits tell names apart.

    Parameters
    ----------
    turns
        Name to the number of turns that have it.
    """
    names = {_without_marks(name): name for name in turns if len(name) >= _SHORTEST}
    pairs = set()
    for one, other in _one_letter_apart(names):
        common, rare = sorted((names[one], names[other]), key=lambda name: (-turns[name], name))
        if len(one) != len(other) or sorted(one) == sorted(other) or _is_slip(turns[common], turns[rare]):
            pairs.add((common, rare))
    return sorted(pairs)


def _is_slip(common: int, rare: int) -> bool:
    return rare <= _RARE and common >= _TIMES * rare


def _one_letter_apart(names: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs that are equal without one letter of each: all pairs at distance one are among them."""
    without: dict[str, set[str]] = defaultdict(set)
    for name in names:
        for at, letter in enumerate(name):
            if letter.isalpha():
                without[name[:at] + name[at + 1 :]].add(name)
    for shortened, group in without.items():
        candidates = sorted(group | ({shortened} & set(names)))
        for i, one in enumerate(candidates):
            for other in candidates[i + 1 :]:
                if _distance_is_one(one, other):
                    yield one, other


def _distance_is_one(one: str, other: str) -> bool:
    """Whether one letter was left out, exchanged with its neighbour, or replaced."""
    if len(one) != len(other):
        return True  # they share what is left without a letter
    places = [at for at, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    if len(places) == 2 and places[1] == places[0] + 1:
        first, second = places
        return one[first] == other[second] and one[second] == other[first]
    return len(places) == 1


def joined_names(names: Collection[str]) -> list[str]:
    """Return names that seem to be several: a piece between commas or semicolons is in two names, or all pieces between others are names.

    The others are ``and``, ``/``, ``+`` and ``&``, which names of single actions have, too.
    """
    pieces = {name: [piece.strip() for piece in re.split(r"[,;\n]", name)] for name in names}
    listed = {name: parts for name, parts in pieces.items() if len(parts) > 1}
    counts: dict[str, int] = defaultdict(int)
    for parts in pieces.values():
        for piece in set(parts):
            counts[piece] += 1
    several = {name for name, parts in listed.items() if any(piece and counts[piece] > 1 for piece in parts)}
    known = set(names)
    for name in names:
        parts = _CONNECTORS.split(name.strip())
        if len(parts) > 1 and known.issuperset(parts):
            several.add(name)
    return sorted(several)


def missing_values(names: Collection[str]) -> list[str]:
    """Return names that mean in other places that there is no value."""
    return sorted(name for name in names if name.strip().casefold() in _NOTHING)
