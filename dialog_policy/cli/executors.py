"""Where a command works on parts of a corpus: in this process, in several, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from dialog_policy.errors import OptionError
from dialog_policy.executor import Executor, LocalProcesses
from dialog_policy.on_ray.tasks import RayTasks

__all__ = ["executor_options", "opened_executor"]

_F = TypeVar("_F", bound=Callable[..., Any])


def executor_options(default: str) -> Callable[[_F], _F]:
    """Add ``--processes`` and ``--ray`` to a command; `default` says how many processes there are without."""

    def add(command: _F) -> _F:
        command = click.option(
            "--ray",
            metavar="ADDRESS|local",
            help="Work on this Ray cluster (extra `ray`); all nodes must see the files at the same paths. `local` starts one on this machine.",
        )(command)
        return click.option(
            "--processes",
            type=click.IntRange(min=1),
            metavar="N",
            help=f"Number of processes on this machine.  [default: {default}]",
        )(command)

    return add


@contextmanager
def opened_executor(processes: int | None, ray: str | None, default: int = 1) -> Iterator[Executor]:
    """Give what the two options ask for.

    Raises
    ------
    OptionError
        If both are given, or there is no such cluster.
    """
    if ray is None:
        yield LocalProcesses(processes or default)
        return
    if processes is not None:
        raise OptionError("--processes is for this machine, --ray for a cluster. Give only one of them.")
    with RayTasks(ray) as executor:
        yield executor
