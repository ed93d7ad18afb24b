"""A folder that is whole or not there at all."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from dialog_policy.files.place import check_output, flush_folder, make_aside, parent_of, refusals

__all__ = [
    "atomic_folder",
    "copy_folder",
    "exchange_folders",
    "is_recoverable",
    "output_folder",
    "recover_folder",
    "replace_folder",
]


def output_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder for outputs, or take the one that exists; files in it are then written by :func:`atomic_write`.

    Raises
    ------
    OptionError
        If it is a file, its place is missing or read-only.
    """
    target = check_output(path, folder=True)
    with refusals(Path(path)):
        target.parent.mkdir(exist_ok=True)
        target.mkdir(exist_ok=True)
    return Path(path)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Make a folder that takes the place of `path` when the block ends without an error.

    Whatever goes wrong, `path` is what it was before, and nothing is left beside it. Whether a folder that exists may be
    replaced is for the caller to decide.

    Yields
    ------
    Path
        An empty folder to fill.

    Raises
    ------
    OptionError
        If `path` is a file, its place is missing or read-only, or the disk is full.
    """
    given, target = Path(path), check_output(path, folder=True)
    recover_folder(target)
    with contextlib.ExitStack() as stack:
        with refusals(given):
            stack.enter_context(parent_of(target))
            aside, descriptor = make_aside(target, folder=True)
            stack.callback(os.close, descriptor)
            stack.callback(shutil.rmtree, aside, ignore_errors=True)
        yield aside
        replace_folder(aside, target)


def copy_folder(source: Path, path: Path) -> None:
    """Make a folder a copy of another one; it is whole, or `path` is what it was before.

    Raises
    ------
    OptionError
        If a file cannot be read or written, with the reason of the first.
    """

    def raised(error: OSError) -> None:
        raise error

    # shutil.copytree goes on after an error, and what it raises in the end has lost the reasons.
    with atomic_folder(path) as copy, refusals(path):
        for folder, _, names in os.walk(source, onerror=raised, followlinks=True):
            place = copy / Path(folder).relative_to(source)
            place.mkdir(exist_ok=True)
            for name in names:
                shutil.copy2(Path(folder, name), place / name)


def replace_folder(finished: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Give a finished folder the name `path`; a folder that has this name is removed.

    Where the system can exchange two names at once (Linux, macOS), there is no moment without a folder at `path`. Elsewhere the
    old one is called ``.NAME.old`` for a moment; if the process is killed then, :func:`recover_folder` puts it back.

    Parameters
    ----------
    finished
        The finished folder, on the same file system.
    path
        Its place. A symbolic link stays, and the folder that it points to is replaced.

    Raises
    ------
    OptionError
        If `path` cannot be written.
    """
    target = check_output(path, folder=True)
    with refusals(Path(path)):
        for entry in Path(finished).iterdir():
            if entry.is_file():
                with open(entry, "rb") as file, contextlib.suppress(OSError):
                    os.fsync(file.fileno())
        flush_folder(Path(finished))
        target.parent.mkdir(exist_ok=True)
        if not target.exists():
            os.rename(finished, target)
        else:
            old = _old(target)
            shutil.rmtree(old, ignore_errors=True)
            if exchange_folders(Path(finished), target):
                # Removed under a name by which the next run knows what a process left that was killed here.
                os.rename(finished, old)
            else:
                os.rename(target, old)
                os.rename(finished, target)
            shutil.rmtree(old, ignore_errors=True)
        flush_folder(target.parent)


def is_recoverable(path: str | os.PathLike[str]) -> bool:
    """Whether a folder is missing that :func:`recover_folder` would put back; nothing is made or changed."""
    target = Path(os.path.realpath(path))
    return not target.exists() and _old(target).exists()


def recover_folder(path: str | os.PathLike[str]) -> None:
    """Put the old folder back if a process was killed while :func:`replace_folder` renamed; remove it if it was replaced."""
    target = Path(os.path.realpath(path))
    old = _old(target)
    if not old.exists():
        return
    with contextlib.suppress(OSError):
        if target.exists():
            shutil.rmtree(old)
        else:
            os.rename(old, target)


def _old(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")


def exchange_folders(one: Path, other: Path) -> bool:
    """Exchange the names of two folders in one step; False where the system or the file system cannot."""
    names = os.fsencode(one), os.fsencode(other)
    here, exchange, swap = -100, 2, 2  # AT_FDCWD, RENAME_EXCHANGE (linux/fs.h), RENAME_SWAP (macOS' sys/stdio.h)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            return bool(library.renamex_np(*names, swap) == 0)
        return bool(library.renameat2(here, names[0], here, names[1], exchange) == 0)
    except (AttributeError, OSError, TypeError):
        return False
