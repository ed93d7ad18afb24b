"""The values of one large JSON array or object, one by one, as the bytes that stand in the file.

Only brackets are counted here; what is wrong within a value is found when it is decoded. A parser of events keeps the path to
every depth that it is at: a file of 100 kB of brackets makes it take tens of gigabytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

__all__ = ["values"]

_CHUNK = 1 << 16
# No name of a value, with the blanks around it, is longer than so many chunks.
_LONGEST_GAP = 16
# Nor a value than so many: it is a dialogue, or what a service can do.
_LONGEST_VALUE = 2_048
_MARK = b"\xef\xbb\xbf"
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_BLANK = rb"[ \t\r\n]*"
_NAME = {b"[": rb"()", b"{": rb'("(?:[^"\\]|\\.)*")[ \t\r\n]*:'}
_CLOSING = {b"[": b"]", b"{": b"}"}
# What each byte adds to the depth.
_STEPS = np.zeros(256, np.int8)
_STEPS[list(b"[{")], _STEPS[list(b"]}")] = 1, -1


def _brackets(file: BinaryIO) -> Iterator[tuple[bytes, list[tuple[int, int]]]]:
    """Yield the file in chunks, each with its outer brackets: place and depth; an opening bracket is within what it opens."""
    depth, in_string = 0, 0
    text = file.read(len(_MARK)).removeprefix(_MARK) + file.read(_CHUNK)
    while text:
        while text.endswith(b"\\") and (more := file.read(1)):
            text += more
        codes = np.frombuffer(_ESCAPED.sub(b"__", text), np.uint8)
        # Odd after the beginning of a string; that the sum overflows leaves it odd.
        quotes = in_string + np.cumsum(codes == ord('"'), dtype=np.uint8)
        steps = _STEPS[codes] * (quotes % 2 == 0)
        places = np.flatnonzero(steps)
        depths = depth + np.cumsum(steps[places], dtype=np.int64)
        is_outer = depths <= 1 + (steps[places] > 0)
        yield text, list(zip(places[is_outer].tolist(), depths[is_outer].tolist(), strict=True))
        in_string = int(quotes[-1]) % 2
        depth = int(depths[-1]) if len(depths) else depth
        text = file.read(_CHUNK)


def values(file: BinaryIO, opening: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name (as JSON; empty in an array) and the bytes of each value; each has to be an array or an object.

    Parameters
    ----------
    file
        One JSON array or object, with or without a byte order mark.
    opening
        Its first bracket, ``b"["`` or ``b"{"``.

    Raises
    ------
    ValueError
        If it is something else.
    """
    blank = re.compile(_BLANK)
    before = re.compile(_BLANK + _NAME[opening] + _BLANK, re.DOTALL)
    later = re.compile(_BLANK + b"," + _BLANK + _NAME[opening] + _BLANK, re.DOTALL)
    # The outermost brackets that are still to come.
    outermost = [_CLOSING[opening], opening]
    name = b""
    # What the chunks so far have of a value, or of what stands before one.
    begun: list[bytes] = []
    is_gap = True
    for text, brackets in _brackets(file):
        start = 0
        for at, depth in brackets:
            bracket = text[at : at + 1]
            ends_value = depth == 1 and bracket not in _CLOSING
            value = b"".join([*begun, text[start : at + ends_value]])
            begun, start, is_gap = [], at + (depth < 2), depth < 2
            if ends_value:
                yield name, value
            elif depth == 2:
                match = before.fullmatch(value)
                if match is None:
                    raise _unexpected(value + bracket)
                name, before = match[1], later
            elif outermost[-1:] != [bracket] or blank.fullmatch(value) is None:
                raise _unexpected(value + bracket)
            else:
                outermost.pop()
        begun.append(text[start:])
        if len(begun) > (_LONGEST_GAP if is_gap else _LONGEST_VALUE):
            raise _unexpected(begun[0])
    rest = b"".join(begun)
    if is_gap and blank.fullmatch(rest) is None:
        raise _unexpected(rest)
    if outermost:
        raise ValueError("it ends too early")


def _unexpected(content: bytes) -> ValueError:
    return ValueError(f"found {content.lstrip()[:40].decode(errors='replace')!r} where a value or the end was expected")
