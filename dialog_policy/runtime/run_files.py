"""The files of a run, which lie in a folder or in an archive, opened one by one; none may be larger than a run's files are."""

from __future__ import annotations

import contextlib
import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from dialog_policy.errors import RunError
from dialog_policy.files import open_zip

__all__ = ["OpenFile", "held", "open_file", "stamp"]

# Opens a file by its name; returns None if there is no such file.
OpenFile = Callable[[str], BinaryIO | None]

# Bytes; a JSON document takes several times as much when it is read.
_LARGEST_DOCUMENT, _LARGEST_ARRAYS = 64 << 20, 4 << 30
# An archive has ten files at most; numbers pack hardly at all, texts five to thirty fold.
_MOST_MEMBERS, _LARGEST_RATIO, _RATIO_COUNTS_FROM = 100, 100, 8 << 20


def open_file(place: Path, shown: str, name: str) -> BinaryIO | None:
    """Open a file of the run that lies at `place` now.

    Parameters
    ----------
    place
        A folder or an archive.
    shown
        What it is called in messages.
    name
        Of the file.

    Returns
    -------
    BinaryIO or None
        The file; None if there is no such file.

    Raises
    ------
    RunError
        If the place is a file and no archive.
    OSError, zipfile.BadZipFile
        If the file cannot be read, or is too large.
    """
    return _in_archive(place, shown, name) if place.is_file() else _in_folder(place, None, name)


@contextlib.contextmanager
def held(place: Path, shown: str) -> Iterator[OpenFile]:
    """Hold a run's folder: all files that are opened meanwhile are of this one, also when another one gets its name.

    Where the system cannot do that, and of an archive, they are of what lies at `place` when each is opened.
    """
    descriptor = None
    if os.open in os.supports_dir_fd and os.stat in os.supports_dir_fd and place.is_dir():
        with contextlib.suppress(OSError):  # a folder whose files may be read, but not their names
            descriptor = os.open(place, os.O_RDONLY)
    if descriptor is None:
        yield partial(open_file, place, shown)
        return
    try:
        yield partial(_in_folder, place, descriptor)
    finally:
        os.close(descriptor)


def stamp(place: Path, manifest: str) -> object:
    """Return what differs when another run, or another version of this one, lies at `place`."""
    return [_stamp(place), _stamp(place / manifest)]


def _stamp(path: Path) -> object:
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about.st_dev, about.st_ino, about.st_mtime_ns, about.st_size


def _check_size(name: str, size: int) -> None:
    largest = _LARGEST_DOCUMENT if name.endswith(".json") else _LARGEST_ARRAYS
    if size > largest:
        raise OSError(f"it has {size:,} bytes, more than the {largest:,} that a run's file has at most")


def _in_folder(folder: Path, descriptor: int | None, name: str) -> BinaryIO | None:
    path = folder / name if descriptor is None else name
    try:
        about = os.stat(path, dir_fd=descriptor)
    except OSError:
        return None
    if not stat.S_ISREG(about.st_mode):
        return None
    _check_size(name, about.st_size)
    return open(path, "rb", opener=partial(os.open, dir_fd=descriptor))


def _in_archive(path: Path, shown: str, name: str) -> BinaryIO | None:
    try:
        archive = open_zip(path, most_members=_MOST_MEMBERS)
    except (zipfile.BadZipFile, OSError) as error:
        raise RunError(
            f"{shown} is neither a run's folder nor an archive made by `dialog-policy export` ({error})."
        ) from None
    with archive:
        infos = [info for info in archive.infolist() if info.filename == name]
        if not infos:
            return None
        if len(infos) > 1:
            raise zipfile.BadZipFile("it is in the archive twice")
        size, packed = infos[0].file_size, infos[0].compress_size
        _check_size(name, size)
        if size > max(_RATIO_COUNTS_FROM, _LARGEST_RATIO * packed):
            raise zipfile.BadZipFile(f"its {packed:,} bytes claim to unpack to {size:,}")
        return archive.open(infos[0])  # type: ignore[return-value]
