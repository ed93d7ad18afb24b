"""CSV, TSV and Parquet: one row a turn.

Actions are separated by ``|`` or a JSON list; an empty cell is the empty set, ``null`` a turn that is history only. Columns that
are none of ours become fields of the dialogue where they are constant within it; the column ``fields`` has fields as a JSON
object, in any row of the dialogue. Rows of one dialogue follow each other, or the column ``turn`` gives their order.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from dialog_policy.corpus.dialogue import Dialogue, Turn
from dialog_policy.corpus.readers.reader import Opened, Option, Options, Reader
from dialog_policy.corpus.readers.source import Source
from dialog_policy.errors import CorpusError, did_you_mean, require

__all__ = ["COLUMNS", "READER"]

COLUMNS = ("dialogue_id", "turn", "user", "actions", "system", "context", "split", "reward", "propensity", "fields")
# Columns of these names are no fields: a dialogue has them already, in another meaning.
_TAKEN = {"id", "turns", "split"}
_NEEDED = ("dialogue_id", "user", "actions")
_SUFFIXES = ("*.csv", "*.tsv", "*.parquet")

_Row = Mapping[str, Any]
# Long texts are legal in a cell.
csv.field_size_limit(1 << 27)


def _csv_rows(source: Source, member: str) -> Iterator[tuple[int, dict[str, Any]]]:
    with source.open_text(member) as text:
        first = text.readline()
        if not first.strip():
            return
        delimiter = "\t" if member.endswith(".tsv") else max(",;\t", key=first.count)
        header = [name.strip() for name in next(csv.reader([first], delimiter=delimiter))]
        twice = next((name for name in header if header.count(name) > 1), None)
        if twice is not None:
            raise CorpusError(f"the column {twice!r} occurs twice.", path=source.place(member), line=1)
        rows = csv.reader(text, delimiter=delimiter, strict=True)
        try:
            for row in rows:
                line = rows.line_num + 1
                if not any(row):
                    continue
                if len(row) != len(header):
                    raise CorpusError(
                        f"expected {len(header)} cells as in the header, found {len(row)}.",
                        path=source.place(member),
                        line=line,
                        remedy="Put quotation marks around texts that contain the separator.",
                    )
                yield line, dict(zip(header, row, strict=True))
        except csv.Error as error:
            raise CorpusError(f"{error}.", path=source.place(member), line=rows.line_num + 1) from None


def _parquet_rows(source: Source, member: str) -> Iterator[tuple[int, dict[str, Any]]]:
    parquet = require("pyarrow.parquet", extra="parquet", purpose="reading Parquet")
    arrow = require("pyarrow", extra="parquet", purpose="reading Parquet")
    with source.open(member) as file:
        try:
            batches = parquet.ParquetFile(arrow.BufferReader(file.read())).iter_batches()
            yield from enumerate((row for batch in batches for row in batch.to_pylist()), 1)
        except arrow.ArrowException as error:
            raise CorpusError(f"expected a Parquet file ({error}).", path=source.place(member)) from None


def _actions(cell: Any) -> frozenset[str] | None:
    if cell is None:
        return None
    if isinstance(cell, list):
        return frozenset(map(str, cell))
    text = str(cell).strip()
    if text == "null":
        return None
    if text.startswith("["):
        return frozenset(map(str, msgspec.json.decode(text, type=list[str | int])))
    return frozenset(name for part in text.split("|") if (name := part.strip()))


def _object(cell: Any) -> dict[str, Any]:
    if cell is None or cell == "":
        return {}
    found: dict[str, Any] = cell if isinstance(cell, dict) else msgspec.json.decode(cell, type=dict[str, Any])
    return found


def _number(cell: Any) -> float | None:
    if cell is None or cell == "":
        return None
    value = float(cell)
    if math.isinf(value):
        raise ValueError(f"expected a finite number, found {cell}")
    # What pandas writes for a missing number.
    return None if math.isnan(value) else value


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell)


_CELLS: Mapping[str, Callable[[Any], Any]] = {
    "turn": _number,
    "user": _text,
    "context": _object,
    "actions": _actions,
    "system": _text,
    "reward": _number,
    "propensity": _number,
    "split": _text,
    "fields": _object,
}


def _cells(row: _Row, columns: Mapping[str, str], place: str, line: int, dialogue_id: str) -> dict[str, Any]:
    found = {}
    for name, convert in _CELLS.items():
        try:
            found[name] = convert(row.get(columns[name]))
        except (ValueError, TypeError, OverflowError, msgspec.DecodeError, RecursionError) as error:
            raise CorpusError(
                f"the cell {columns[name]!r} cannot be read: {error}.", path=place, line=line, dialogue=dialogue_id
            ) from None
    return found


def _check_header(row: _Row, columns: Mapping[str, str], place: str) -> None:
    for name in _NEEDED:
        if columns[name] not in row:
            raise CorpusError(
                f"expected a column {columns[name]!r}, found: {', '.join(row)}.{did_you_mean(columns[name], row)}",
                path=place,
                line=1,
                remedy=f"Say which column it is: --reader {name}=COLUMN.",
            )


class _Collected:
    """Rows of one dialogue."""

    def __init__(self) -> None:
        self.turns: list[tuple[float, Turn]] = []
        self.fields: dict[str, Any] = {}
        self.varying: set[str] = set()
        self.split: str | None = None

    def add(self, cells: dict[str, Any], others: Mapping[str, Any]) -> None:
        order, split, fields = cells.pop("turn"), cells.pop("split"), cells.pop("fields")
        self.turns.append((len(self.turns) if order is None else order, Turn(**cells)))
        if split and self.split not in (None, split):
            raise ValueError(f"it is in the split {self.split!r} and, from here on, in {split!r}")
        self.split = self.split or split or None
        for name, value in (*others.items(), *fields.items()):
            if self.fields.setdefault(name, value) != value:
                self.varying.add(name)

    def dialogue(self, dialogue_id: str) -> Dialogue:
        turns = tuple(turn for _, turn in sorted(self.turns, key=lambda item: item[0]))
        fields = {name: value for name, value in self.fields.items() if name not in self.varying}
        return Dialogue(id=dialogue_id, turns=turns, split=self.split, fields=fields)


def _rows(source: Source, member: str) -> Iterator[tuple[int, dict[str, Any]]]:
    return _parquet_rows(source, member) if member.endswith(".parquet") else _csv_rows(source, member)


def _are_scattered(rows: Iterator[tuple[int, _Row]], columns: Mapping[str, str]) -> bool:
    """Whether rows with a turn number come in such an order that those of one dialogue do not follow each other."""
    seen: set[str] = set()
    last: str | None = None
    for _, row in rows:
        if columns["turn"] not in row or columns["dialogue_id"] not in row:
            return False
        dialogue_id = _text(row[columns["dialogue_id"]])
        if dialogue_id != last and dialogue_id in seen:
            return True
        seen.add(dialogue_id)
        last = dialogue_id
    return False


def _gathered(rows: Iterator[tuple[int, dict[str, Any]]], column: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows by dialogue, in the order in which the dialogues begin; all of them are held in memory."""
    by_dialogue: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for line, row in rows:
        by_dialogue.setdefault(_text(row[column]), []).append((line, row))
    for numbered in by_dialogue.values():
        yield from numbered


def _read(source: Source, members: list[str], columns: Mapping[str, str]) -> Iterator[Dialogue]:
    known = _TAKEN | set(columns.values())
    for member in members:
        place = source.place(member)
        rows = _rows(source, member)
        if _are_scattered(_rows(source, member), columns):
            rows = _gathered(rows, columns["dialogue_id"])
        current: str | None = None
        collected = _Collected()
        done: set[str] = set()
        for line, row in rows:
            if current is None:
                _check_header(row, columns, place)
            dialogue_id = _text(row[columns["dialogue_id"]])
            if not dialogue_id:
                raise CorpusError(f"the cell {columns['dialogue_id']!r} is empty.", path=place, line=line)
            if dialogue_id != current:
                if current is not None:
                    yield collected.dialogue(current)
                    done.add(current)
                if dialogue_id in done:
                    raise CorpusError(
                        f"dialogue {dialogue_id!r} goes on here after other dialogues.",
                        path=place,
                        line=line,
                        remedy="Sort the rows so that those of one dialogue follow each other, or number its turns in a column 'turn'.",
                    )
                current, collected = dialogue_id, _Collected()
            cells = _cells(row, columns, place, line, dialogue_id)
            others = {name: value for name, value in row.items() if name not in known and value not in (None, "")}
            try:
                collected.add(cells, others)
            except ValueError as error:
                raise CorpusError(f"{error}.", path=place, line=line, dialogue=dialogue_id) from None
        if current is not None:
            yield collected.dialogue(current)


def _members(source: Source) -> list[str]:
    if source.is_single_file:
        return source.members
    return sorted(member for suffix in _SUFFIXES for member in source.find(suffix))


def _recognises(source: Source) -> bool:
    return any(source.find(suffix) for suffix in _SUFFIXES)


def _open(source: Source, options: Options) -> Opened:
    return Opened(lambda: _read(source, _members(source), options))


READER = Reader(
    "table",
    "CSV, TSV or Parquet, one row a turn: columns dialogue_id, user, actions[, system, turn, split, context, …]",
    _recognises,
    _open,
    {name: Option(name, f"the column with {name}") for name in COLUMNS},
)
