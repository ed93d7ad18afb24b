"""A file that is whole or not there at all."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from dialog_policy.files.place import check_output, flush_folder, is_device, make_aside, parent_of, refusals, unlink

__all__ = ["atomic_write", "sha256_of", "write_file"]


class _RawFile(io.FileIO):
    """A file whose failures to write are refusals of the output."""

    def __init__(self, descriptor: int | Path, output: Path) -> None:
        super().__init__(descriptor, "wb")
        self.output = output

    def write(self, data: object, /) -> int:
        with refusals(self.output):
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
    if is_device(given):
        with refusals(given):
            device = _RawFile(given, given)
        with _closing(io.BufferedWriter(device)) as file:
            yield file
        return
    with contextlib.ExitStack() as stack:
        with refusals(given):
            stack.enter_context(parent_of(target))
            # What is private is so from its first byte on.
            kept = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
            aside, descriptor = make_aside(target, folder=False, mode=0o666 if kept is None else kept & 0o777)
        stack.callback(unlink, aside)
        file = stack.enter_context(_closing(io.BufferedWriter(_RawFile(descriptor, given))))
        yield file
        file.flush()
        with refusals(given):
            if kept is not None:
                os.chmod(aside, kept)
            os.fsync(descriptor)
            if sys.platform == "win32":  # which does not rename open files
                file.close()
            os.replace(aside, target)
            flush_folder(target.parent)


@contextlib.contextmanager
def _closing(file: io.BufferedWriter) -> Iterator[io.BufferedWriter]:
    try:
        yield file
    except BaseException:
        with contextlib.suppress(Exception):  # it would try to write the rest again
            file.close()
        raise
    file.close()


def write_file(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write a whole file as :func:`atomic_write` does; text as UTF-8, with ``?`` for what UTF-8 cannot hold."""
    with atomic_write(path) as file:
        file.write(content.encode("utf-8", "replace") if isinstance(content, str) else content)


def sha256_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
