"""JSON members of a source: whole, or their elements one by one, checked against a type, with errors that name the place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import msgspec

from dialog_policy.corpus.readers.json_stream import values
from dialog_policy.corpus.readers.source import Source
from dialog_policy.errors import CorpusError

__all__ = ["decode", "elements", "entries"]

_T = TypeVar("_T")

# What a member that is damaged, hostile or of another format makes msgspec raise.
_WRONG = (msgspec.DecodeError, RecursionError, OverflowError, ValueError)


def _error(error: Exception, source: Source, member: str, expected: str, place: str = "") -> CorpusError:
    problem = "it is nested too deeply" if isinstance(error, RecursionError) else str(error).strip().splitlines()[0]
    return CorpusError(f"expected {expected}; {problem}{place}.", path=source.place(member))


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
    convert = msgspec.json.Decoder(kind).decode
    for number, (_, content) in enumerate(_streamed(source, member, b"[", expected)):
        try:
            element = convert(content)
        except _WRONG as error:
            raise _error(error, source, member, expected, f" (element {number}, counted from 0)") from None
        yield element


def entries(source: Source, member: str, kind: type[_T], expected: str) -> Iterator[tuple[str, _T]]:
    """Yield keys and values of a member that is one JSON object, without keeping it; parameters as for :func:`decode`."""
    convert = msgspec.json.Decoder(kind).decode
    for name, content in _streamed(source, member, b"{", expected):
        try:
            entry = msgspec.json.decode(name, type=str), convert(content)
        except _WRONG as error:
            raise _error(error, source, member, expected, f" (under {name.decode(errors='replace')})") from None
        yield entry


def _streamed(source: Source, member: str, opening: bytes, expected: str) -> Iterator[tuple[bytes, bytes]]:
    shape = "an array" if opening == b"[" else "an object"
    with source.open(member) as file:
        try:
            yield from values(file, opening)
        except ValueError as error:
            raise _error(error, source, member, f"{expected}: {shape} of arrays or objects") from None
