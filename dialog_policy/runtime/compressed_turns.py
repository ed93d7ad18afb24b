"""A list that grows at its end and is stored again and again: what is old is compressed once, and read when somebody asks."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Generic, TypeVar

import msgspec

from dialog_policy.errors import SessionError

__all__ = ["PackedList", "packed", "unpacked"]

_T = TypeVar("_T")

# Items of a block. The last item is in none: it may still change.
_BLOCK = 12
# Bytes that a block may unpack to; the turns of a session are requests of 64 kB unless the server was told otherwise.
_LARGEST_BLOCK = 64 << 20
# Bytes of a small window of zlib (2 to the 12th).
_SMALL = 4_096
_encode = msgspec.msgpack.Encoder(order="deterministic").encode


class PackedList(Generic[_T]):
    """A list that is stored as compressed blocks of twelve items and the rest.

    Equal lists are stored as equal bytes. Going on with a list that was stored costs the same however long it is.

    Parameters
    ----------
    decode
        From MessagePack to a list of its items.
    items
        To begin with.
    """

    def __init__(self, decode: Callable[[bytes], list[_T]], items: Iterable[_T] = ()) -> None:
        self._decode = decode
        self._blocks: list[bytes] = []
        # How many items only the blocks have, and the others.
        self._n_packed, self._items = 0, list(items)

    @classmethod
    def of_parts(
        cls, decode: Callable[[bytes], list[_T]], blocks: Sequence[bytes], rest: Iterable[_T]
    ) -> PackedList[_T]:
        """Undo :meth:`to_parts`; what the blocks hold is looked at when it is needed."""
        stored = cls(decode, rest)
        stored._blocks, stored._n_packed = list(blocks), _BLOCK * len(blocks)
        return stored

    def to_parts(self) -> tuple[list[bytes], list[_T]]:
        """Return the blocks, and the items after them."""
        first = _BLOCK * len(self._blocks) - self._n_packed
        while len(self._items) - first > _BLOCK:
            content = _encode(self._items[first : first + _BLOCK])
            # What a dialogue is about is in its first turns, so the other blocks are packed by what these said.
            self._blocks.append(packed(content, self.dictionary))
            first += _BLOCK
        return self._blocks, self._items[first:]

    @cached_property
    def _first(self) -> bytes:
        return unpacked(self._blocks[0])

    @property
    def dictionary(self) -> bytes:
        """What the first block unpacks to, if there is one; what comes after it is packed by it."""
        return self._first if self._blocks else b""

    def __len__(self) -> int:
        return self._n_packed + len(self._items)

    @property
    def last(self) -> _T:
        """The last item; it can be changed."""
        return self._items[-1]

    @last.setter
    def last(self, item: _T) -> None:
        self._items[-1] = item

    def append(self, item: _T) -> None:
        """Add an item."""
        self._items.append(item)

    def all(self) -> tuple[_T, ...]:
        """Return all items.

        Raises
        ------
        SessionError
            If a block is damaged.
        """
        if self._n_packed:
            others = self._blocks[1 : self._n_packed // _BLOCK]
            contents = [self.dictionary, *(unpacked(block, self.dictionary) for block in others)]
            older = [item for content in contents for item in self._decoded(content)]
            self._items, self._n_packed = [*older, *self._items], 0
        return tuple(self._items)

    def _decoded(self, content: bytes) -> list[_T]:
        try:
            items = self._decode(content)
        except (ValueError, RecursionError) as error:
            raise SessionError(f"this saved session is damaged ({error}).") from None
        if len(items) != _BLOCK:
            raise SessionError(f"this saved session is damaged (a block has {len(items)} turns instead of {_BLOCK}).")
        return items


def packed(content: bytes, dictionary: bytes = b"", level: int = 6) -> bytes:
    """Compress bytes with zlib, by what a dictionary has already."""
    # Few bytes need no large tables, which would have to be cleared, and push everything else out of the processor's cache.
    is_small = len(content) + len(dictionary) <= _SMALL
    packing = zlib.compressobj(level, zlib.DEFLATED, *((12, 5) if is_small else (15, 8)), zdict=dictionary)
    return packing.compress(content) + packing.flush()


def unpacked(content: bytes, dictionary: bytes = b"") -> bytes:
    """Undo :func:`packed`.

    Parameters
    ----------
    content
        What is compressed; of at most 64 MiB.
    dictionary
        The one that it was compressed with.

    Raises
    ------
    SessionError
        If it is damaged or larger.
    """
    unpacking = zlib.decompressobj(zdict=dictionary) if dictionary else zlib.decompressobj()
    try:
        plain = unpacking.decompress(content, _LARGEST_BLOCK)
    except zlib.error as error:
        raise SessionError(f"this saved session is damaged ({error}).") from None
    if not unpacking.eof or unpacking.unused_data:
        raise SessionError("this saved session is damaged (a part of it is too large or incomplete).")
    return plain
