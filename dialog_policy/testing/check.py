"""What a check is, and how checks become tests."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

__all__ = ["Check", "check", "checks_of", "parametrize_with_checks", "same"]

_Function = Callable[..., None]


class Check(NamedTuple):
    """One promise, to be checked of one object.

    Attributes
    ----------
    name
        Of the object and the promise, as a test's id: ``"jsonl: reading twice gives the same"``.
    run
        Raises AssertionError if the promise is not kept.
    """

    name: str
    run: Callable[[], None]

    def __call__(self) -> None:
        """Check it."""
        self.run()


def check(promises: list[_Function]) -> Callable[[_Function], _Function]:
    """Add a function to a list of promises; its docstring is the sentence that tests show.

    Parameters
    ----------
    promises
        The list.
    """

    def add(function: _Function) -> _Function:
        promises.append(function)
        return function

    return add


def checks_of(name: str, promises: Sequence[_Function], *arguments: Any) -> list[Check]:
    """Return the checks of one object.

    Parameters
    ----------
    name
        Of the object.
    promises
        Functions of `arguments`.
    *arguments
        The object, and what it is checked with.
    """
    return [Check(f"{name}: {_sentence(function)}", functools.partial(function, *arguments)) for function in promises]


def _sentence(function: _Function) -> str:
    first = (function.__doc__ or function.__name__).strip().splitlines()[0].rstrip(".")
    return first[0].lower() + first[1:]


def same(found: object, expected: object, what: str) -> None:
    """Raise AssertionError, saying what was found, unless two values are equal."""
    if found != expected:
        raise AssertionError(f"{what}: expected {expected!r}, found {found!r}")


def parametrize_with_checks(checks: Iterable[Check]) -> Any:
    """Return a pytest decorator: the test has one argument, ``check``, and is run for each with its name as id.

    Parameters
    ----------
    checks
        The checks of one or several objects.

    Examples
    --------
    >>> @parametrize_with_checks(reader_checks(READER, SAMPLE))  # doctest: +SKIP
    ... def test_contract(check):
    ...     check()
    """
    import pytest

    listed = list(checks)
    return pytest.mark.parametrize("check", listed, ids=[each.name for each in listed])
