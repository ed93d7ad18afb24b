"""Single files that are packed, as logs are kept: ``calls.jsonl.gz``, ``.bz2``, ``.xz``, ``.zst``; unpacked while they are read."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO

from dialog_policy.corpus.readers import limits
from dialog_policy.errors import require

__all__ = ["names_within", "unpacked"]


def _zstd(file: BinaryIO) -> Any:
    arrow = require("pyarrow", extra="parquet", purpose="reading .zst")
    return arrow.CompressedInputStream(file, "zstd")


_OPEN: dict[str, Callable[[BinaryIO], Any]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
    ".zst": _zstd,
}


def _suffix(name: str) -> str:
    return next((suffix for suffix in _OPEN if name.lower().endswith(suffix)), "")


def names_within(names: Iterable[str]) -> dict[str, str]:
    """Map the names that files have once they are unpacked to their own; a packed copy beside its file keeps its own name."""
    plain = {name: name for name in names}
    for name in list(plain):
        within = name[: -len(_suffix(name))] if _suffix(name) else name
        if within not in plain and within.rpartition("/")[2] and not within.lower().endswith(".tar"):
            del plain[name]
            plain[within] = name
    return plain


class _Unpacked(io.RawIOBase):
    """What a packed file holds; more than any corpus packs into so many bytes is refused."""

    def __init__(self, file: BinaryIO, name: str, packed: int) -> None:
        self._file, self._name = file, name
        self._stream = _OPEN[_suffix(name)](file)
        self._left = limits.largest_unpacked(packed, limits.LARGEST_MEMBER)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            content = self._stream.read(len(buffer))
        except ValueError as error:  # pyarrow's, for a damaged file
            raise OSError(str(error)) from None
        self._left -= len(content)
        if self._left < 0:
            raise OSError("it unpacks to more than a corpus does; refused")
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._file.close()
        super().close()


def unpacked(file: BinaryIO, name: str, packed: int) -> BinaryIO:
    """Return what a file holds: itself, or, by the end of its name, what it unpacks to.

    Parameters
    ----------
    file
        The open file.
    name
        Its own name.
    packed
        Its size in bytes.

    Raises
    ------
    MissingExtraError
        If ``.zst`` is to be read and pyarrow is not installed.
    """
    return io.BufferedReader(_Unpacked(file, name, packed)) if _suffix(name) else file
