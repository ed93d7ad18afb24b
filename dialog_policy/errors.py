"""What can go wrong because of the user's data or options, said for people.

Every error that this package raises on purpose is a :class:`DialogPolicyError`. Its text says what was expected, what was
found, where, and what to do; the command line prints it without a traceback and exits with code 2.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from numbers import Integral
from types import ModuleType
from typing import Any

__all__ = [
    "CorpusError",
    "CorpusWarning",
    "DialogPolicyError",
    "DivergenceError",
    "GroupError",
    "MissingExtraError",
    "OptionError",
    "RunError",
    "SessionError",
    "check_known",
    "check_whole",
    "closest",
    "counted",
    "did_you_mean",
    "require",
]


class DialogPolicyError(Exception):
    """Base of every error of this package."""


class CorpusError(DialogPolicyError):
    """Something is wrong in a corpus.

    Parameters
    ----------
    problem
        What was expected and what was found.
    path, line, dialogue, turn
        Where, as far as it is known: a file (with the member's name inside an archive), a line counted from 1, a dialogue's
        id, a turn counted from 0.
    remedy
        What to do about it.
    """

    def __init__(
        self,
        problem: str,
        *,
        path: object = None,
        line: int | None = None,
        dialogue: str | None = None,
        turn: int | None = None,
        remedy: str = "",
    ) -> None:
        place = [str(path)] if path is not None else []
        if line is not None:
            place.append(f"line {line}")
        if dialogue is not None:
            place.append(f"dialogue {dialogue!r}")
        if turn is not None:
            place.append(f"turn {turn} (counted from 0)")
        message = f"{', '.join(place)}: {problem}" if place else problem
        super().__init__(f"{message} {remedy}" if remedy else message)
        self.problem, self.path, self.line, self.dialogue, self.turn, self.remedy = (
            problem,
            path,
            line,
            dialogue,
            turn,
            remedy,
        )


class CorpusWarning(UserWarning):
    """A corpus was read, and something in it needs a person's look."""


class OptionError(DialogPolicyError):
    """An option, a setting or an argument is unknown or has an impossible value."""


class RunError(DialogPolicyError):
    """A run folder is missing, was changed, or belongs to another version."""


class DivergenceError(DialogPolicyError):
    """A training has left what can be computed or learnt: its result would be worth nothing.

    Parameters
    ----------
    problem
        What was found, in which epoch and batch.
    kept
        What of the training is kept, and how to use it.
    """

    def __init__(self, problem: str, kept: str = "") -> None:
        super().__init__(f"{problem} {kept}" if kept else problem)
        self.problem = problem


class GroupError(DialogPolicyError):
    """Processes that train together have not found each other, have lost one another, or do not do the same."""


class SessionError(DialogPolicyError):
    """Saved bytes are no session, are damaged, or come from another version."""


class MissingExtraError(DialogPolicyError):
    """A library is needed that the core install does not bring."""


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return ``"1 dialogue"`` or ``"1,234 dialogues"``; `plural` where it is not the noun with an s."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def did_you_mean(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return ``" Did you mean 'x'?"`` for the known word closest to `word`, or an empty string.

    Parameters
    ----------
    word, known
        The word, and those that it may stand for.
    cutoff
        Least similarity, from 0 to 1 (:func:`difflib.get_close_matches`); higher for names with a common prefix.
    """
    close = closest(word, known, cutoff=cutoff)
    return f" Did you mean {close[0]!r}?" if close else ""


def closest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> list[str]:
    """Return the known word closest to `word` in a list, which is empty if none is close: parameters of :func:`did_you_mean`."""
    return difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)


def check_known(noun: str, name: str, known: Iterable[str]) -> None:
    """Refuse a name that is none of the known ones.

    Raises
    ------
    OptionError
        If there is no such `noun`: with the known names, and the one that may be meant.
    """
    names = list(known)
    if name not in names:
        raise OptionError(f"there is no {noun} {name!r}; known: {', '.join(names)}.{did_you_mean(name, names)}")


def check_whole(name: str, number: object, least: int) -> None:
    """Refuse what is not a whole number from `least` on.

    Raises
    ------
    OptionError
        If it is none: with the option's `name`.
    """
    if not isinstance(number, Integral) or number < least:
        raise OptionError(f"{name}: expected a whole number from {least}, found {number!r}.")


def require(module: str, *, extra: str, purpose: str) -> Any:
    """Import `module`, or say which extra brings it.

    Parameters
    ----------
    module
        Dotted name of the module.
    extra
        Name of the extra of this package that installs it.
    purpose
        What it is needed for, as the subject of a sentence: ``"training"``.

    Raises
    ------
    MissingExtraError
        If the library that `module` belongs to is not installed.
    """
    try:
        loaded: ModuleType = importlib.import_module(module)
    except ModuleNotFoundError as error:
        library = (error.name or module).partition(".")[0]
        if library != module.partition(".")[0]:
            raise
        message = (
            f"{purpose} needs {library}, which is not installed. Install it with: pip install 'dialog-policy[{extra}]'"
        )
        raise MissingExtraError(message) from None
    return loaded
