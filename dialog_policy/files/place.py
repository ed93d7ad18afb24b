"""Where an output goes: whether it can be written there, and the name under which it is written aside."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from dialog_policy.errors import OptionError

if sys.platform != "win32":
    import fcntl

__all__ = ["check_output", "flush_folder", "is_device", "make_aside", "parent_of", "refusals", "unlink"]

_REASONS = {
    errno.EIO: ("the disk does not answer as it should", "Look at the disk, or choose another place."),
    errno.ENOSPC: ("the disk is full", "Free some space, or write to another disk."),
    errno.EFBIG: ("the file is larger than this process may write", "Raise the limit (ulimit -f), or write less."),
    errno.EDQUOT: ("the disk quota is exhausted", "Free some space, or write to another disk."),
    errno.EROFS: ("its file system is read-only", "Choose another place."),
    errno.EACCES: ("permission is denied", "Change the permissions, or choose another place."),
    errno.EPERM: ("permission is denied", "Change the permissions, or choose another place."),
    errno.ENAMETOOLONG: ("the name is too long", "Choose a shorter name."),
    errno.ELOOP: ("its symbolic links form a circle", "Choose another place."),
    errno.EPIPE: ("whoever reads it has stopped reading", "Start the reader again, or write a file."),
}

# Names of what is open already: of a file behind them another name would be replaced.
_OPEN_FILES = {("/", "dev", name) for name in ("stdout", "stderr", "fd")}


def _refusal(path: Path, error: OSError) -> OptionError:
    reason, remedy = _REASONS.get(error.errno or 0, (f"{error.strerror or error}", "Choose another place."))
    return OptionError(f"{path} cannot be written: {reason}. {remedy}")


@contextlib.contextmanager
def refusals(path: Path, *, of_disk: bool = False) -> Iterator[None]:
    """Turn the operating system's errors into one sentence about `path`.

    Parameters
    ----------
    path
        What is being written.
    of_disk
        Only those errors that a full, read-only or broken disk raises, and those that name no other file than `path` or one below
        it; where others may be about something else.
    """
    try:
        yield
    except OSError as error:
        is_of_disk = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
        if of_disk and not is_of_disk and not _may_be_about(error, path):
            raise
        raise _refusal(path, error) from error


def _may_be_about(error: OSError, path: Path) -> bool:
    if isinstance(error.filename, str | os.PathLike):
        return path in (Path(error.filename), *Path(error.filename).parents)
    return error.errno in (errno.EACCES, errno.EPERM)  # writing to an open file names none


def _writable(path: Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def is_device(path: Path) -> bool:
    """Whether a path is written through instead of replaced: a device, a pipe, a socket, an open file of this process."""
    if path.parts[:2] == ("/", "proc") or path.parts[:3] in _OPEN_FILES:
        return True
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def check_output(path: str | os.PathLike[str], *, folder: bool = False) -> Path:
    """Check that an output can be written, before anything is computed; nothing is made or changed.

    The folder that an output lies in is made when it is written, but only one: where its own parent is missing, too, the path
    is more likely a mistake than a wish, so it is refused.

    Parameters
    ----------
    path
        Where the output is to be. A symbolic link stands for what it points to.
    folder
        Whether the output is a folder rather than a file.

    Returns
    -------
    Path
        The place itself: where a symbolic link points to.

    Raises
    ------
    OptionError
        If it is a folder where a file is expected or the other way round, if the place is missing or read-only.
    """
    given = Path(path)
    if not folder and is_device(given):
        return given
    target = Path(os.path.realpath(given))
    parent = target.parent
    with refusals(given):
        if target.is_symlink():  # nothing else is left of links that lead nowhere
            raise OSError(errno.ELOOP, "")
        if not folder and (target.is_dir() or os.fspath(path).endswith(("/", os.sep))):
            raise OptionError(f"{given} is a folder: expected the name of a file to write. Name a file in it.")
        if folder and target.exists() and not target.is_dir():
            raise OptionError(f"{given} is a file: expected the name of a folder to write. Name another place.")
        if folder and os.path.ismount(target):
            raise OptionError(f"{given} is where a disk is mounted and cannot be replaced. Name a folder in it.")
        above = next(ancestor for ancestor in target.parents if ancestor.exists())
        if not above.is_dir():
            raise OptionError(f"{given} cannot be written: {above} is a file, not a folder. Choose another place.")
        if above not in (parent, parent.parent):
            raise OptionError(
                f"{given} cannot be written: the folder {parent.parent} does not exist. Make it first, or correct the path."
            )
        for existing in (target, above):
            if existing.exists() and not _writable(existing):
                raise OptionError(f"{given} cannot be written: {existing} is read-only. {_REASONS[errno.EACCES][1]}")
    return target


@contextlib.contextmanager
def parent_of(target: Path) -> Iterator[None]:
    """Make the folder that an output lies in; it goes again if the output could not be written."""
    is_new = not target.parent.exists()
    target.parent.mkdir(exist_ok=True)
    try:
        yield
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):
                target.parent.rmdir()
        raise


def unlink(path: Path) -> None:
    """Remove a file, if it is there and can be removed."""
    with contextlib.suppress(OSError):
        os.unlink(path)


def make_aside(target: Path, *, folder: bool, mode: int = 0o666) -> tuple[Path, int]:
    """Make a new file or folder beside `target`, locked as long as its descriptor is open and the process lives.

    What killed processes left under such names is removed.

    Parameters
    ----------
    target
        What it will replace.
    folder
        Whether it is a folder.
    mode
        Permissions of a file, of which the process' umask takes some away.
    """
    prefix, suffix = f".{target.name[:100]}.", ".partial"
    for path in target.parent.iterdir():
        if path.name.startswith(prefix) and path.name.endswith(suffix) and _is_abandoned(path):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else unlink(path)
    while True:
        aside = target.with_name(f"{prefix}{uuid.uuid4().hex[:12]}{suffix}")
        if folder:
            aside.mkdir()
            descriptor = os.open(aside, os.O_RDONLY) if sys.platform != "win32" else os.open(os.devnull, os.O_RDONLY)
        else:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
        if sys.platform != "win32":
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        if aside.exists():
            return aside, descriptor
        os.close(descriptor)  # another process took it for abandoned in the moment before it was locked


def _is_abandoned(path: Path) -> bool:
    if sys.platform == "win32":
        return path.is_file()  # one that is open cannot be removed
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def flush_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where the system can."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
