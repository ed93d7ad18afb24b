"""What the cells of a table's row say: of a sheet, of a query's answer, of a data frame."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime, time
from typing import Any, NamedTuple

import msgspec

from dialog_policy.corpus.bits import HOW_TO_NAME, are_repeated_bits, is_missing
from dialog_policy.corpus.dialogue import huge_number
from dialog_policy.corpus.plain import json_object
from dialog_policy.errors import CorpusError

__all__ = [
    "COLUMNS",
    "LISTED",
    "RESERVED",
    "Cells",
    "actions_of_cell",
    "id_text",
    "kind_of_order",
    "order_of_cell",
    "with_date",
]

# One row a turn.
COLUMNS = ("dialogue_id", "turn", "user", "actions", "system", "context", "split", "reward", "propensity", "fields")
# Columns of these names are no fields: a dialogue has them already, in another meaning.
RESERVED = frozenset(("id", "turns", "split"))
# What people write between actions in the place of a bar.
LISTED = re.compile(r"[,;\n]")
# 0,5 as spreadsheets in many languages write it. Three digits after the comma may also mean thousands, unless a zero is before it.
_DECIMAL_COMMA = re.compile(r"\s*([+-]?(?=0,|\d+,(?!\d{3}\s*$))\d+),(\d+)\s*", re.ASCII)


def actions_of_cell(cell: Any, separator: str) -> frozenset[str] | None:
    """Return the actions that a cell names; None if it says ``null``.

    Raises
    ------
    ValueError
        If it is a bit vector, or a JSON list of something else than names.
    """
    if is_missing(cell):
        return None
    if isinstance(cell, list):
        names = list(map(_name, cell))
    elif (text := _name(cell).strip()) == "null":
        return None
    elif text.startswith("["):
        names = list(map(str, msgspec.json.decode(text, type=list[str | int])))
    else:
        parts = LISTED.split(text) if separator == "," else text.split(separator)
        names = [name for part in parts if (name := part.strip())]
    if are_repeated_bits(names):
        raise ValueError(
            f"{str(cell)[:40]!r} is a bit vector and no list of names. {HOW_TO_NAME.format(count=len(names))}"
        )
    return frozenset(names)


def _name(value: Any) -> str:
    """Return an action's name as text."""
    if value is None or (isinstance(value, (bytes, Collection)) and not isinstance(value, str)):
        raise ValueError(f"expected names of actions, found {str(value)[:40]}")
    return id_text(value)


def id_text(value: Any) -> str:
    """Return an id as text; whole numbers become floats where one of a column is missing."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def with_date(cell: Any) -> Any:
    """Return a date as text, without the midnight that spreadsheets and pandas give it; anything else as it is."""
    if isinstance(cell, datetime):
        return str(cell.date() if cell.time() == time() else cell)
    return cell


def _object(cell: Any) -> dict[str, Any]:
    if isinstance(cell, str):
        cell = cell.strip()
    if cell is None or cell == "":
        return {}
    if isinstance(cell, dict):
        return json_object(cell)
    try:
        value = msgspec.json.decode(cell, type=dict[str, Any])
    except (msgspec.DecodeError, TypeError) as error:
        if isinstance(cell, str) and cell.startswith("{"):
            raise
        raise ValueError(f'expected a JSON object such as {{"area": "north"}}, found {str(cell)[:40]!r}') from error
    if huge_number(cell, value):
        raise ValueError("it has an integer of more than 308 digits")
    return value


def _number(cell: Any) -> float | None:
    if cell is None or cell == "":
        return None
    decimal = _DECIMAL_COMMA.fullmatch(cell) if isinstance(cell, str) else None
    try:
        value = float(f"{decimal[1]}.{decimal[2]}" if decimal else cell)
    except (TypeError, ValueError):
        raise ValueError(f"expected a number such as 0.5, found {str(cell)[:40]!r}") from None
    if math.isinf(value):
        raise ValueError(f"expected a finite number, found {str(cell)[:40]}")
    # What pandas writes for a missing number.
    return None if math.isnan(value) else value


def order_of_cell(cell: Any) -> float | datetime | None:
    """Return what orders turns or dialogues: a number, or a time.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if isinstance(cell, date):
        return cell if isinstance(cell, datetime) else datetime.combine(cell, time())
    try:
        return _number(cell)
    except ValueError:
        try:
            return datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", cell.strip()))
        except (AttributeError, ValueError):
            raise ValueError(
                f"expected a number or a time such as 2026-03-01 09:30:00, found {str(cell)[:40]!r}"
            ) from None


def kind_of_order(order: float | datetime | None) -> str:
    """Return which kind of order a value is of, for messages; values of different kinds cannot be compared."""
    if isinstance(order, datetime):
        return "a time without a time zone" if order.tzinfo is None else "a time with a time zone"
    return "no number" if order is None else "a number"


def _text(cell: Any) -> str:
    if isinstance(cell, Collection) and not isinstance(cell, str):
        raise ValueError(f"expected a text, found {str(cell)[:40]}")
    return "" if is_missing(cell) else str(cell)


_CELLS: Mapping[str, Callable[[Any], Any]] = {
    "turn": order_of_cell,
    "user": _text,
    "context": _object,
    "system": _text,
    "reward": _number,
    "propensity": _number,
    "split": _text,
    "fields": _object,
}
_REMEDIES = {
    "turn": "Number the turns of each dialogue: 0, 1, 2, …; or write date and time of each.",
    "context": "Write the cell as JSON, or rename the column: then it is a field of the dialogue.",
    "fields": "Write the cell as JSON, or rename the column: then it is a field of the dialogue.",
}


class Cells(NamedTuple):
    """Converts the cells of a row.

    Attributes
    ----------
    columns
        What is read to the name of its column.
    actions
        Converts the cell with actions.
    place
        The table, for messages; None where the messages need not name it.
    """

    columns: Mapping[str, str]
    actions: Callable[[Any], frozenset[str] | None]
    place: str | None = None

    def __call__(
        self, row: Mapping[str, Any], dialogue_id: str, *, line: int | None = None, turn: int | None = None
    ) -> dict[str, Any]:
        """Return what a row says, by the names of :class:`~dialog_policy.corpus.Turn` and ``turn``, ``split``, ``fields``.

        Parameters
        ----------
        row
            The cells by the names of their columns.
        dialogue_id, line, turn
            Where the row is, for messages.

        Raises
        ------
        CorpusError
            If a cell cannot be read: which, where, and what to write there.
        """
        converted = {}
        for name, convert in (*_CELLS.items(), ("actions", self.actions)):
            try:
                converted[name] = convert(row.get(self.columns[name]))
            except (ValueError, TypeError, OverflowError, msgspec.DecodeError, RecursionError) as error:
                raise CorpusError(
                    f"the cell {self.columns[name]!r} cannot be read: {error}.",
                    path=self.place,
                    line=line,
                    dialogue=dialogue_id,
                    turn=turn,
                    remedy=_REMEDIES.get(name, ""),
                ) from None
        return converted
