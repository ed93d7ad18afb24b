"""Waiting until a file is on the disk, in a thread that does nothing else."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

__all__ = ["Disk"]

_to_disk: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


class Disk:
    """Puts what was written to one file on the disk.

    Not by an executor: what it does for a call, with Python's lock, takes as long as a commit.

    Parameters
    ----------
    file
        The file's number. Whoever opened it closes it, after :meth:`close`.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._asked: SimpleQueue[asyncio.Future[None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="disk", daemon=True)
        self._thread.start()

    async def wait(self) -> None:
        """Wait until what was written so far is on the disk; :class:`OSError` if it cannot be."""
        done = asyncio.get_running_loop().create_future()
        self._asked.put(done)
        await done

    def close(self) -> None:
        """End the thread, after what was asked before."""
        self._asked.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (done := self._asked.get()) is not None:
            error = None
            try:
                _to_disk(self._file)
            except OSError as failed:
                error = failed
            # Of a loop that has ended meanwhile nobody waits any more.
            if not done.get_loop().is_closed():
                done.get_loop().call_soon_threadsafe(_settle, done, error)


def _settle(done: asyncio.Future[None], error: OSError | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
