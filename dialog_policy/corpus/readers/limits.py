"""How much a corpus may hold: far more than people write, far less than fills the memory of a small machine.

A corpus may come from anybody, and a few kilobytes can stand for gigabytes: sizes are looked at before anything is read or
unpacked.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TextIO

from dialog_policy.errors import CorpusError

__all__ = [
    "LARGEST_MEMBER",
    "LARGEST_TAR",
    "LONGEST_LINE",
    "MOST_COLUMNS",
    "MOST_MEMBERS",
    "bounded_lines",
    "check_name",
    "largest_unpacked",
]

# No corpus of dialogues has a file this large once unpacked; a small archive that claims to is refused.
LARGEST_MEMBER = 4 << 30
# A compressed tar can be read only from its beginning: it is unpacked into memory once, up to this size.
LARGEST_TAR = 2 << 30
# Bytes of a file that is read as a whole, and characters of a line.
LARGEST_WHOLE, LONGEST_LINE = 1 << 30, 64 << 20
# Text packs 5 to 30 fold; far beyond it, a large member is a trap: JSON takes twenty times as much in memory.
LARGEST_RATIO, RATIO_COUNTS_FROM = 100, 16 << 20
MOST_MEMBERS, _LONGEST_NAME = 50_000, 1_024
MOST_COLUMNS = 1_000


def largest_unpacked(packed: int, most: int) -> int:
    """Return to how many bytes, `most` at the most, so many packed ones may unpack."""
    return min(most, max(RATIO_COUNTS_FROM, LARGEST_RATIO * packed))


def check_name(name: str, path: object) -> str:
    """Return the name of an archive's member.

    Raises
    ------
    CorpusError
        If it is longer than any file's.
    """
    if len(name) > _LONGEST_NAME:
        raise CorpusError(f"the archive has a member whose name has {len(name):,} characters; refused.", path=path)
    return name


def bounded_lines(text: TextIO, place: str) -> Iterator[str]:
    """Yield the lines of a text with their ends.

    Raises
    ------
    CorpusError
        If one is longer than any dialogue: with its number.
    """
    for number in itertools.count(1):
        line = text.readline(LONGEST_LINE)
        if not line:
            return
        if len(line) == LONGEST_LINE:
            raise CorpusError(f"the line has more than {LONGEST_LINE:,} characters; refused.", path=place, line=number)
        yield line
