"""A column for each action, with a one where the system took it, read as one column of actions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from dialog_policy.corpus.bits import written
from dialog_policy.corpus.readers.named_rows import Row, Table
from dialog_policy.errors import CorpusError, did_you_mean

__all__ = ["bit_columns", "columns_of_bits", "with_actions"]

# As people and spreadsheets write them, German ones included, whose TRUE is WAHR.
_YES = {"1", "1,0", "true", "t", "yes", "y", "x", "✓", "✔", "☑", "wahr", "ja", "j"}
_NO = {"", "0", "0,0", "false", "f", "no", "n", "-", "☐", "falsch", "nein"}


def _is_list(option: str) -> bool:
    return "," in option or "*" in option


def bit_columns(option: str, header: Sequence[str], place: str) -> list[str]:
    """Return the columns that hold a bit for each action, or none where one column holds all actions.

    Parameters
    ----------
    option
        What the user calls the column of actions: one column, several with commas between them, or patterns such as ``act_*``.
    header
        The columns that there are.
    place
        The table, for messages.

    Raises
    ------
    CorpusError
        If one of several is not there.
    """
    if option in header or not _is_list(option):
        return []
    chosen: list[str] = []
    for piece in (piece.strip() for piece in option.split(",") if piece.strip()):
        found = [piece] if piece in header else [name for name in header if "*" in piece and fnmatchcase(name, piece)]
        if not found:
            kind = "columns like" if "*" in piece else "a column"
            raise CorpusError(
                f"expected {kind} {piece!r}, found: {', '.join(header)}.{did_you_mean(piece, header)}",
                path=place,
                line=1,
                remedy="Name the columns with a bit for each action: --reader actions=COLUMN,COLUMN,….",
            )
        chosen += found
    return list(dict.fromkeys(chosen))


def with_actions(table: Table, option: str) -> Table:
    """Return a table in which one column, named `option`, has the actions where the user named several columns of bits.

    Parameters
    ----------
    table
        The table.
    option
        What the user calls the column of actions, as for :func:`bit_columns`.

    Raises
    ------
    CorpusError
        If one of several is not there.
    """
    if not _is_list(option):
        return table
    header = next((list(row) for _, row in table.rows()), [])
    names = bit_columns(option, header, table.place)
    return table._replace(rows=lambda: _joined(table, names, option)) if names else table


def _joined(table: Table, names: Sequence[str], option: str) -> Iterator[tuple[int, Row]]:
    for line, row in table.rows():
        actions = _taken([row.pop(name, None) for name in names], names, table.place, line)
        yield line, {**row, option: actions}


def _taken(cells: Sequence[Any], names: Sequence[str], place: str, line: int) -> list[str] | None:
    if all(cell is None or str(cell).strip() == "null" for cell in cells):
        return None
    taken = []
    for name, cell in zip(names, cells, strict=True):
        text = written(cell)
        if text in _YES:
            taken.append(name)
        elif text not in _NO:
            raise CorpusError(
                f"the cell {name!r} has {str(cell)[:40]!r}; expected 1, true, yes or x where the system took the action, else 0, "
                "false, no or nothing.",
                path=place,
                line=line,
            )
    return taken


def columns_of_bits(row: Row, known: Iterable[str]) -> list[str]:
    """Return the columns of a row, other than the known ones, that hold a zero or a one: they may be bits of actions."""
    read = set(known)
    return [name for name, cell in row.items() if name not in read and written(cell) in ("0", "1", "true", "false")]
