"""The rows of a table that begins with a header, by the names of its columns."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from dialog_policy.corpus.readers.limits import MOST_COLUMNS
from dialog_policy.errors import CorpusError

__all__ = ["Row", "Table", "header_below", "is_header", "named_rows"]

# Rows in which a header is looked for that has a title above it.
_LOWEST_HEADER = 20
# Between cells, where a title has hidden which of them it is.
_SEPARATORS = re.compile(r"[,;\t]")

Row = dict[str, Any]


class Table(NamedTuple):
    """A sheet with a header.

    Attributes
    ----------
    place
        How it is named in messages.
    rows
        Yields the number of each row that is not blank, counted from 1 at the top of the file, and its cells by their columns;
        can be called again.
    is_text
        Whether cells are text, as in a spreadsheet; else they have types of their own.
    """

    place: str
    rows: Callable[[], Iterator[tuple[int, Row]]]
    is_text: bool


def named_rows(
    numbered: Iterator[tuple[int, list[str]]], place: str, columns: Mapping[str, str]
) -> Iterator[tuple[int, Row]]:
    """Yield rows by the names of a header that comes first, without blank rows and columns that have neither name nor content.

    Parameters
    ----------
    numbered
        The number of each row, counted from 1 at the top of the file, and its cells.
    place
        How the table is named in messages.
    columns
        What is read to the name of its column: a first row with none of them may be a title.

    Raises
    ------
    CorpusError
        If the header stands further below, or a row does not fit it.
    """
    line, first = next(numbered, (1, []))
    numbered = _below_its_header(first, numbered, place, columns)
    if len(first) > MOST_COLUMNS:
        raise CorpusError(f"the header has {len(first):,} columns, more than {MOST_COLUMNS:,}.", path=place, line=line)
    header = [name.strip() for name in first]
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise CorpusError(
            f"the column {twice!r} occurs twice.", path=place, line=line, remedy="Give each column a different name."
        )
    named = [(column, name) for column, name in enumerate(header) if name]
    nameless = [column for column, name in enumerate(header) if not name]
    width = 1 + max((column for column, _ in named), default=-1)
    for line, row in numbered:
        if not any(row) or not any(map(str.strip, row)):
            continue
        if len(row) != len(header) and (len(row) < width or any(map(str.strip, row[len(header) :]))):
            raise CorpusError(
                f"expected {width} cells as in the header, found {len(row)}.",
                path=place,
                line=line,
                remedy="Put quotation marks around texts that contain the separator.",
            )
        stray = next((column for column in nameless if column < len(row) and row[column].strip()), None)
        if stray is not None:
            raise CorpusError(
                f"the cell {row[stray].strip()!r} stands in column {stray + 1}, which has no name.",
                path=place,
                line=line,
                remedy="Name the column in the header, or empty it.",
            )
        yield line, {name: row[column] for column, name in named}


def header_below(rows: Iterator[tuple[int, list[str]]], columns: Mapping[str, str]) -> int | None:
    """Return the number of the first row that looks like a header (:func:`is_header`); None if there is none.

    Parameters
    ----------
    rows
        Numbers and cells of rows; the first 20 are looked at.
    columns
        What is read to the name of its column.
    """
    for number, row in itertools.islice(rows, _LOWEST_HEADER):
        if is_header(row, columns):
            return number
    return None


def is_header(row: Sequence[str], columns: Mapping[str, str]) -> bool:
    """Whether a row looks like a header: two of its cells are names of columns, or one names that with the dialogues' ids."""
    filled = [cell.strip() for cell in row if cell.strip()]
    if len(filled) == 1:
        filled = [cell.strip() for cell in _SEPARATORS.split(filled[0])]
    return columns["dialogue_id"] in filled or len(set(filled) & set(columns.values())) > 1


def _below_its_header(
    first: Sequence[str], numbered: Iterator[tuple[int, list[str]]], place: str, columns: Mapping[str, str]
) -> Iterator[tuple[int, list[str]]]:
    """Return the rows below the first one, which must be the header if another row looks like one."""
    if is_header(first, columns):
        return numbered
    looked_at: list[tuple[int, list[str]]] = []

    def looking() -> Iterator[tuple[int, list[str]]]:
        for row in numbered:
            looked_at.append(row)
            yield row

    if (line := header_below(looking(), columns)) is not None:
        title = " ".join(cell.strip() for cell in first if cell.strip())
        raise CorpusError(
            f"expected the header in the first row, found {title[:60]!r}. The header seems to be in line {line}.",
            path=place,
            line=1,
            remedy="Delete the rows above the header.",
        )
    return itertools.chain(looked_at, numbered)
