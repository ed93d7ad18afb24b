"""How what is wrong with a corpus is told."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Literal

import msgspec

from dialog_policy.errors import CorpusError, CorpusWarning, counted

__all__ = ["LEVELS", "SHOWN_PLACES", "Level", "Place", "Problem", "of_reading", "warn_of"]

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
# Places that are kept of a problem, however often it occurs.
SHOWN_PLACES = 20
# Problems of which reading warns one by one.
_SHOWN_PROBLEMS = 3


class Place(msgspec.Struct, omit_defaults=True):
    """Where a problem is; a turn is counted from 0."""

    dialogue: str | None = None
    turn: int | None = None
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        parts = [self.file, self.line and f"line {self.line}", self.dialogue and f"dialogue {self.dialogue!r}"]
        return ", ".join([str(part) for part in parts if part] + ([] if self.turn is None else [f"turn {self.turn}"]))


class Problem(msgspec.Struct):
    """Something wrong with a corpus.

    Attributes
    ----------
    level
        Errors make a corpus unfit; warnings are for a person to look at; notes only tell.
    check
        The check's name, for programs.
    message, remedy
        What is wrong (without a full stop), and what to do about it, for people.
    count
        How often it is wrong.
    places
        The first places.
    """

    level: Level
    check: str
    message: str
    remedy: str
    count: int = 1
    places: list[Place] = []

    def __str__(self) -> str:
        shown = [str(place) for place in self.places[:3]]
        where = f" ({'; '.join(shown)}{'; …' if len(shown) == 3 < self.count else ''})" if shown else ""
        return f"{self.message}{where}. {self.remedy}"


def of_reading(error: CorpusError) -> Problem:
    """Return the problem that something cannot be read."""
    place = Place(error.dialogue, error.turn, None if error.path is None else str(error.path), error.line)
    message = f"Reading broke off: {error.problem.rstrip('.')}"
    return Problem("error", "unreadable", message, error.remedy or "Repair it and look again.", 1, [place])


def warn_of(problems: Iterable[Problem]) -> None:
    """Warn the caller's caller of problems, the gravest first; of many of them `validate` tells."""
    grave = sorted((p for p in problems if p.level != "note"), key=lambda problem: LEVELS.index(problem.level))
    for problem in grave[:_SHOWN_PROBLEMS]:
        warnings.warn(str(problem), CorpusWarning, stacklevel=3)
    if len(grave) > _SHOWN_PROBLEMS:
        more = counted(len(grave) - _SHOWN_PROBLEMS, "more problem")
        warnings.warn(f"Besides: {more}; `dialog-policy validate` lists all.", CorpusWarning, stacklevel=3)
