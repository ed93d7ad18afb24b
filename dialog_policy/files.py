"""Output files and folders: whole or not there at all, and refused in one sentence where they cannot be written.

Every output is written beside its place under the name ``.NAME.*.partial``, flushed, and renamed. What a killed process left
under such a name is removed when the same place is written again.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import io
import os
import shutil
import stat
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from dialog_policy.errors import OptionError

if sys.platform != "win32":
    import fcntl

__all__ = [
    "atomic_folder",
    "atomic_write",
    "check_output",
    "output_folder",
    "recover_folder",
    "replace_folder",
    "sha256_of",
]

_REASONS = {
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
def _refusals(path: Path) -> Iterator[None]:
    """Turn the operating system's errors into one sentence about `path`."""
    try:
        yield
    except OSError as error:
        raise _refusal(path, error) from error


def _writable(path: Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _is_device(path: Path) -> bool:
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
    if not folder and _is_device(given):
        return given
    target = Path(os.path.realpath(given))
    parent = target.parent
    with _refusals(given):
        if target.is_symlink():  # nothing else is left of links that lead nowhere
            raise OSError(errno.ELOOP, "")
        if not folder and (target.is_dir() or os.fspath(path).endswith(("/", os.sep))):
            raise OptionError(f"{given} is a folder: expected the name of a file to write. Name a file in it.")
        if folder and target.exists() and not target.is_dir():
            raise OptionError(f"{given} is a file: expected the name of a folder to write. Name another place.")
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
def _parent_of(target: Path) -> Iterator[None]:
    """Make the folder that an output lies in; it goes again if the output could not be written."""
    made = not target.parent.exists()
    target.parent.mkdir(exist_ok=True)
    try:
        yield
    except BaseException:
        if made:
            with contextlib.suppress(OSError):
                target.parent.rmdir()
        raise


class _RawFile(io.FileIO):
    """A file whose failures to write are refusals of the output."""

    def __init__(self, descriptor: int | Path, output: Path) -> None:
        super().__init__(descriptor, "wb")
        self.output = output

    def write(self, data: object, /) -> int:
        with _refusals(self.output):
            return super().write(data)  # type: ignore[arg-type]


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing (binary) that takes the place of `path` when the block ends without an error.

    Whatever goes wrong, `path` holds either what it held before or all that was written, and nothing is left beside it. A
    symbolic link stays, and what it points to is written. A file that exists keeps its permissions. Devices and pipes cannot
    be replaced: they are written through. The folder of `path` is made if it is missing, but not the folder above that.

    Parameters
    ----------
    path
        The file to write.

    Yields
    ------
    BinaryIO
        Takes the bytes. Buffered; seekable except for pipes and the like.

    Raises
    ------
    OptionError
        If `path` is a folder, its place is missing or read-only, or the disk is full: with path, reason and remedy.
    """
    given, target = Path(path), check_output(path)
    if _is_device(given):
        with _refusals(given), _closing(io.BufferedWriter(_RawFile(given, given))) as file:
            yield file
        return
    with contextlib.ExitStack() as stack:
        with _refusals(given):
            stack.enter_context(_parent_of(target))
            aside, descriptor = _make_aside(target, folder=False)
        stack.callback(_unlink, aside)
        file = stack.enter_context(_closing(io.BufferedWriter(_RawFile(descriptor, given))))
        yield file
        file.flush()
        with _refusals(given):
            if target.exists():
                os.chmod(aside, stat.S_IMODE(target.stat().st_mode))
            os.fsync(descriptor)
            if sys.platform == "win32":  # which does not rename open files
                file.close()
            os.replace(aside, target)
            _flush_folder(target.parent)


@contextlib.contextmanager
def _closing(file: io.BufferedWriter) -> Iterator[io.BufferedWriter]:
    try:
        yield file
    except BaseException:
        with contextlib.suppress(Exception):  # it would try to write the rest again
            file.close()
        raise
    file.close()


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _make_aside(target: Path, *, folder: bool) -> tuple[Path, int]:
    """Make a new file or folder beside `target`, locked as long as its descriptor is open and the process lives.

    What killed processes left under such names is removed.
    """
    prefix, suffix = f".{target.name[:100]}.", ".partial"
    for path in target.parent.iterdir():
        if path.name.startswith(prefix) and path.name.endswith(suffix) and _is_abandoned(path):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else _unlink(path)
    while True:
        aside = target.with_name(f"{prefix}{uuid.uuid4().hex[:12]}{suffix}")
        if folder:
            aside.mkdir()
            descriptor = os.open(aside, os.O_RDONLY) if sys.platform != "win32" else os.open(os.devnull, os.O_RDONLY)
        else:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
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


def _flush_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where the system can."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def output_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder for outputs, or take the one that exists; files in it are then written by :func:`atomic_write`.

    Raises
    ------
    OptionError
        If it is a file, its place is missing or read-only.
    """
    target = check_output(path, folder=True)
    with _refusals(Path(path)):
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
        with _refusals(given):
            stack.enter_context(_parent_of(target))
            aside, descriptor = _make_aside(target, folder=True)
            stack.callback(os.close, descriptor)
            stack.callback(shutil.rmtree, aside, ignore_errors=True)
        yield aside
        replace_folder(aside, target)


def replace_folder(made: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Give a finished folder the name `path`; a folder that has this name is removed.

    Where the system can exchange two names at once (Linux, macOS), there is no moment without a folder at `path`. Elsewhere the
    old one is called ``.NAME.old`` for a moment; if the process is killed then, :func:`recover_folder` puts it back.

    Parameters
    ----------
    made
        The finished folder, on the same file system.
    path
        Its place. A symbolic link stays, and the folder that it points to is replaced.

    Raises
    ------
    OptionError
        If `path` cannot be written.
    """
    target = check_output(path, folder=True)
    with _refusals(Path(path)):
        for entry in Path(made).iterdir():
            if entry.is_file():
                with open(entry, "rb") as file, contextlib.suppress(OSError):
                    os.fsync(file.fileno())
        _flush_folder(Path(made))
        target.parent.mkdir(exist_ok=True)
        if not target.exists():
            os.rename(made, target)
        elif _exchange(Path(made), target):
            shutil.rmtree(made, ignore_errors=True)
        else:
            old = _old(target)
            shutil.rmtree(old, ignore_errors=True)
            os.rename(target, old)
            os.rename(made, target)
            shutil.rmtree(old, ignore_errors=True)
        _flush_folder(target.parent)


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


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system or the file system cannot."""
    names = os.fsencode(one), os.fsencode(other)
    here, exchange, swap = -100, 2, 2  # AT_FDCWD, RENAME_EXCHANGE (linux/fs.h), RENAME_SWAP (macOS' sys/stdio.h)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            return bool(library.renamex_np(*names, swap) == 0)
        return bool(library.renameat2(here, names[0], here, names[1], exchange) == 0)
    except (AttributeError, OSError, TypeError):
        return False


def sha256_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
