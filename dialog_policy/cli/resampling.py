"""The option ``--resamples``, with the same bounds in every command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from dialog_policy.evaluation.intervals import MOST_RESAMPLES

__all__ = ["resamples_option"]

_F = TypeVar("_F", bound=Callable[..., Any])


def resamples_option(default: int, least: int, help: str) -> Callable[[_F], _F]:
    """Add ``--resamples`` to a command.

    Parameters
    ----------
    default, least
        What it is unless it is given, and the least that says something.
    help
        What is resampled.
    """
    return click.option(
        "--resamples",
        type=click.IntRange(least, MOST_RESAMPLES),
        default=default,
        show_default=True,
        help=help,
    )
