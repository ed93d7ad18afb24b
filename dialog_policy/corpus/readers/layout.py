"""What only the whole of a table tells about its rows and cells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from dialog_policy.corpus.bits import is_missing
from dialog_policy.corpus.cells import LISTED, id_text
from dialog_policy.corpus.readers.named_rows import Table
from dialog_policy.errors import CorpusError

__all__ = ["SEPARATOR", "TableLayout", "layout_of", "with_ids"]

SEPARATOR = "|"
# Names that have none of what people write between actions instead.
_NAME = re.compile(r"[\w.:/+-]+")


class TableLayout(NamedTuple):
    """How the rows and cells of a table are to be read.

    Attributes
    ----------
    separator
        What stands between the actions of a turn: ``|``, or ``,``, which then stands for semicolons and line breaks, too.
    is_scattered
        Whether rows have turn numbers and come in such an order that those of one dialogue do not follow each other.
    has_actions
        Whether any turn says what the system did.
    """

    separator: str
    is_scattered: bool
    has_actions: bool


def layout_of(table: Table, columns: Mapping[str, str]) -> TableLayout:
    """Look through a table once, before it is read."""
    cells = _ActionCells()
    ids: set[str] = set()
    last: str | None = None
    is_scattered = False
    for _, row in with_ids(table, columns):
        cell = row.get(columns["actions"])
        cells.add(cell if table.is_text else SEPARATOR)
        if columns["turn"] in row:
            dialogue_id = row[columns["dialogue_id"]]
            is_scattered = is_scattered or (dialogue_id != last and dialogue_id in ids)
            ids.add(dialogue_id)
            last = dialogue_id
        if (is_scattered or columns["turn"] not in row) and cells.are_decided:
            break
    return TableLayout("," if cells.are_listed_by_commas else SEPARATOR, is_scattered, cells.has_any)


class _ActionCells:
    """Decides from cells whether their commas separate names.

    They do where no cell has another separator, every piece is a plain name, and a piece occurs in several cells.
    """

    def __init__(self) -> None:
        self.are_decided = self.has_any = False
        self._pieces: set[str] = set()
        self._has_commas = self._occurs_again = False

    def add(self, cell: Any) -> None:
        text = "" if cell is None else str(cell).strip()
        if not text or text == "null" or self.are_decided:
            return
        self.has_any = True
        pieces = {piece.strip() for piece in LISTED.split(text)} - {""}
        has_commas = LISTED.search(text) is not None
        is_plain = all(map(_NAME.fullmatch, pieces))
        self.are_decided = SEPARATOR in text or text.startswith("[") or (has_commas and not is_plain)
        self._occurs_again = self._occurs_again or bool(pieces & self._pieces)
        self._has_commas = self._has_commas or has_commas
        self._pieces |= pieces

    @property
    def are_listed_by_commas(self) -> bool:
        return self._has_commas and self._occurs_again and not self.are_decided


def with_ids(table: Table, columns: Mapping[str, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows with the id of their dialogue, as text.

    An empty cell of a sheet, such as merged cells leave, stands for the id above; elsewhere nobody knows which dialogue it is.
    """
    column, last = columns["dialogue_id"], ""
    for line, row in table.rows():
        cell = row.get(column)
        own = "" if is_missing(cell) else id_text(cell)
        last = own or (last if table.is_text else "")
        if not last and column in row:
            remedy = "Give every row the id of its dialogue, or leave these rows out."
            raise CorpusError(f"the cell {column!r} is empty.", path=table.place, line=line, remedy=remedy)
        if column in row:
            row[column] = last
        yield line, row
