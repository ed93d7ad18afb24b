"""The option ``--resamples``, with the same bounds in every command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from dialog_policy.errors import OptionError
from dialog_policy.evaluation.intervals import MOST_RESAMPLES, check_resamples

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

    def check(context: click.Context, parameter: click.Parameter, value: int) -> int:
        try:
            check_resamples(value, least)
        except OptionError as error:
            raise click.BadParameter(str(error)) from None
        return value

    return click.option(
        "--resamples",
        type=int,
        callback=check,
        default=default,
        show_default=True,
        help=f"{help} At most {MOST_RESAMPLES:,}.",
    )
