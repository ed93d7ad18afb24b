"""What glibc keeps of the memory that is freed."""

from __future__ import annotations

import contextlib
import ctypes
import sys

__all__ = ["give_memory_back", "keep_memory", "trim"]

# From malloc.h; the largest value that glibc takes, and how much it may keep.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGEST_KEPT, _KEPT, _KEPT_AFTERWARDS = 32 << 20, 512 << 20, 32 << 20


def keep_memory(arenas: int | None = None) -> None:
    """Have glibc keep what batches of one step free for those of the next.

    Left alone it gives large arrays back to the system at once, and every page of the next one is fetched and cleared again: a
    third of the time of a training with wide features. Other C libraries are left as they are.

    Parameters
    ----------
    arenas
        From how many pools all threads take their memory from now on: what one thread has freed in a pool, a thread of another
        cannot use. None: as many as before.
    """
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
        if arenas is not None:
            mallopt(_M_ARENA_MAX, arenas)


def give_memory_back() -> None:
    """Undo :func:`keep_memory`, and give the system what glibc has kept: what comes after a training has its own large arrays."""
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_TRIM_THRESHOLD, _KEPT_AFTERWARDS)
    trim()


def trim() -> None:
    """Give the system the memory that is free now: between small objects that live on, glibc keeps all of it else."""
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
