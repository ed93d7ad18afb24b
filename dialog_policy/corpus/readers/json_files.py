"""JSON members of a source: whole, or their elements one by one, checked against a type, with errors that name the place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

import ijson
import msgspec

from dialog_policy.corpus.readers.source import Source
from dialog_policy.errors import CorpusError

__all__ = ["decode", "elements", "entries"]

_T = TypeVar("_T")

# What a member that is damaged, hostile or of another format makes msgspec and ijson raise.
_WRONG = (msgspec.DecodeError, ijson.JSONError, UnicodeDecodeError, RecursionError, OverflowError, ValueError)


def _error(error: Exception, source: Source, member: str, expected: str, place: str = "") -> CorpusError:
    found = "it is nested too deeply" if isinstance(error, RecursionError) else str(error).strip().splitlines()[0]
    return CorpusError(f"expected {expected}; {found}{place}.", path=source.place(member))


def decode(source: Source, member: str, kind: type[_T], expected: str) -> _T:
    """Return a member as an object of type `kind`; for files of which one by one fits in memory.

    Parameters
    ----------
    source, member
        The member.
    kind
        What msgspec converts it to; unknown keys are ignored.
    expected
        What it should be, as the object of "expected …": ``"an SGD file"``.

    Raises
    ------
    CorpusError
        If it is something else.
    """
    content = source.read(member)
    try:
        return msgspec.json.decode(content.removeprefix(b"\xef\xbb\xbf"), type=kind)
    except _WRONG as error:
        raise _error(error, source, member, expected) from None


def elements(source: Source, member: str, kind: type[_T], expected: str) -> Iterator[_T]:
    """Yield the elements of a member that is one JSON array, without keeping it; parameters as for :func:`decode`."""
    for number, found in enumerate(_streamed(source, member, "item", expected)):
        yield _convert(found, kind, source, member, expected, f" (element {number}, counted from 0)")


def entries(source: Source, member: str, kind: type[_T], expected: str) -> Iterator[tuple[str, _T]]:
    """Yield keys and values of a member that is one JSON object, without keeping it; parameters as for :func:`decode`."""
    for key, found in _streamed(source, member, "", expected):
        yield key, _convert(found, kind, source, member, expected, f" (under {key!r})")


def _streamed(source: Source, member: str, prefix: str, expected: str) -> Iterator[Any]:
    opening = b"[" if prefix else b"{"
    with source.open(member) as file:
        head = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head.startswith(opening):
        shape = "array" if prefix else "object"
        raise CorpusError(f"expected {expected}, one JSON {shape}; found {head[:20]!r}.", path=source.place(member))
    read = ijson.items if prefix else ijson.kvitems
    with source.open(member) as file:
        try:
            yield from read(_WithoutMark(file), prefix, use_float=True)
        except _WRONG as error:
            raise _error(error, source, member, expected) from None


def _convert(found: Any, kind: type[_T], source: Source, member: str, expected: str, place: str) -> _T:
    try:
        return msgspec.convert(found, kind)
    except _WRONG as error:
        raise _error(error, source, member, expected, place) from None


class _WithoutMark:
    """A file without the byte order mark that may stand at its beginning."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._at_start = True

    def read(self, size: int = -1) -> bytes:
        found: bytes = self._file.read(size)
        if self._at_start and found:
            self._at_start = False
            return found.removeprefix(b"\xef\xbb\xbf") or self.read(size)
        return found
