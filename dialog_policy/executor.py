"""Where work on shards is done: in this process, or in several processes of this machine.

An executor is anything with `map`: another one may send the tasks to other machines, which must see the same files.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol, TypeVar

from dialog_policy.errors import OptionError, RunError

__all__ = ["Executor", "LocalProcesses", "cores"]

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

# Tasks that wait for each process: their results need room, and may be large.
_AHEAD = 2


class Executor(Protocol):
    """Computes a function of many tasks, perhaps at the same time: so many as it has `processes`."""

    processes: int

    def map(self, function: Callable[[_Task], _Result], tasks: Sequence[_Task]) -> Iterator[_Result]:
        """Yield the results in the order of the tasks.

        Parameters
        ----------
        function
            A function of a module, so that other processes find it by its name.
        tasks
            Its arguments: paths, numbers and the like; what is large belongs into files.

        Raises
        ------
        RunError
            If a process was lost.
        """
        ...


class LocalProcesses:
    """Processes of this machine.

    Parameters
    ----------
    processes
        How many; 1: everything happens in this process.

    Raises
    ------
    OptionError
        If the number is not positive.
    """

    def __init__(self, processes: int = 1) -> None:
        if processes < 1:
            raise OptionError(f"processes: expected a number from 1, found {processes}.")
        self.processes = processes

    def map(self, function: Callable[[_Task], _Result], tasks: Sequence[_Task]) -> Iterator[_Result]:
        """Yield the results in the order of the tasks; see :class:`Executor`."""
        if self.processes == 1 or len(tasks) < 2:
            yield from map(function, tasks)
            return
        # Not forked: libraries with threads of their own do not survive it.
        context = multiprocessing.get_context("spawn")
        n = min(self.processes, len(tasks))
        waiting: deque[Future[_Result]] = deque()
        with ProcessPoolExecutor(n, mp_context=context) as pool:
            try:
                for task in tasks:
                    waiting.append(pool.submit(function, task))
                    if len(waiting) > _AHEAD * n:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            except BrokenProcessPool:
                raise RunError(
                    "a process was lost. Perhaps it was killed because the memory was full. Finished work is kept: run the same "
                    "command again, with fewer processes if memory is short."
                ) from None
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
