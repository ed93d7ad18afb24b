"""CSV, TSV, Excel and Parquet: one row a turn.

Actions are separated by ``|`` or a JSON list; commas are understood where they cannot be part of a name. An empty cell is the
empty set, ``null`` a turn that is history only. With the option ``bits`` a cell is a bit vector. Columns that are none of ours
become fields of the dialogue where they are constant within it; the column ``fields`` has fields as a JSON object, in any row of
the dialogue. Rows of one dialogue follow each other, or the column ``turn`` gives their order; a row with an empty id belongs to
the dialogue above.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dialog_policy.corpus.bits import actions_of_bits, bit_names, is_missing
from dialog_policy.corpus.cells import COLUMNS, RESERVED, Cells, actions_of_cell, with_date
from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.dialogue_rows import DialogueRows
from dialog_policy.corpus.plain import json_object
from dialog_policy.corpus.problems import Place, Problem
from dialog_policy.corpus.readers.bit_columns import with_actions
from dialog_policy.corpus.readers.header import check_header
from dialog_policy.corpus.readers.layout import SEPARATOR, TableLayout, layout_of, with_ids
from dialog_policy.corpus.readers.named_rows import Table
from dialog_policy.corpus.readers.part_names import in_part
from dialog_policy.corpus.readers.reader import BITS, Opened, Option, Options, Reader
from dialog_policy.corpus.readers.sheet import SUFFIXES, tables
from dialog_policy.corpus.readers.source import Source
from dialog_policy.corpus.readers.workbook import unread_sheets
from dialog_policy.errors import CorpusError, counted, did_you_mean

__all__ = ["COLUMN_OPTIONS", "READER", "read_stream"]

COLUMN_OPTIONS = {name: Option(name, f"the column with {name}") for name in COLUMNS} | {
    "actions": Option(
        "actions", "the column with actions; or columns with a 1 where an action was taken: greet,bye or act_*"
    )
}


@dataclass
class _Remarks:
    """What is noticed in reading.

    Attributes
    ----------
    left_out
        Columns that cannot be fields, since they differ within a dialogue.
    misspelt
        Columns that are read as fields and are nearly called like one of ours, and which.
    spaced
        Ids of dialogues that have spaces around them.
    """

    left_out: set[str] = field(default_factory=set)
    misspelt: set[tuple[str, str]] = field(default_factory=set)
    spaced: set[str] = field(default_factory=set)

    def take(self, dialogue_id: str, rows: DialogueRows) -> Dialogue:
        self.left_out |= rows.varying
        if dialogue_id != dialogue_id.strip():
            self.spaced.add(dialogue_id)
        return rows.dialogue(dialogue_id)

    def look_at(self, header: Iterable[str], columns: Mapping[str, str]) -> None:
        known = set(columns.values())
        missing = known - set(header)
        for name in set(header) - known:
            if hint := did_you_mean(name, missing, cutoff=0.8).strip():
                self.misspelt.add((name, hint))


def _gathered(rows: Iterable[tuple[int, dict[str, Any]]], column: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows by dialogue, in the order in which the dialogues begin; all of them are held in memory."""
    by_dialogue: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for line, row in rows:
        by_dialogue.setdefault(row[column], []).append((line, row))
    for numbered in by_dialogue.values():
        yield from numbered


def read_stream(
    table: Table, columns: Mapping[str, str], bits: Sequence[str], *, annotated: bool
) -> Iterator[Dialogue]:
    """Yield the dialogues of a table that is read once: rows of one dialogue follow each other, ``|`` separates actions.

    Parameters
    ----------
    table
        The table.
    columns
        What is read to the name of its column.
    bits
        Names of the actions, where a cell has a bit for each; empty: cells have names of actions.
    annotated
        Whether it must say what the system did.

    Raises
    ------
    CorpusError
        If a cell cannot be read, or a dialogue goes on after another one.
    """
    layout = TableLayout(SEPARATOR, False, annotated)
    return _read_table(table, columns, _Remarks(), bits, annotated=annotated, layout=layout)


def _read_table(
    table: Table,
    columns: Mapping[str, str],
    remarks: _Remarks,
    bits: Sequence[str],
    *,
    annotated: bool,
    layout: TableLayout | None = None,
) -> Iterator[Dialogue]:
    table = with_actions(table, columns["actions"])
    if layout is None:
        for _, row in table.rows():
            check_header(row, columns, table.place, annotated=annotated)
            remarks.look_at(row, columns)
            break
    layout = layout_of(table, columns) if layout is None else layout
    to_actions = partial(actions_of_bits, names=bits) if bits else partial(actions_of_cell, separator=layout.separator)
    cells = Cells(columns, to_actions, table.place)
    known = RESERVED | set(columns.values())
    rows = with_ids(table, columns)
    if layout.is_scattered:
        rows = _gathered(rows, columns["dialogue_id"])
    current: str | None = None
    collected = DialogueRows()
    done: set[str] = set()
    for line, row in rows:
        dialogue_id = row[columns["dialogue_id"]]
        if dialogue_id != current:
            if current is not None:
                yield remarks.take(current, collected)
                done.add(current)
            if dialogue_id in done:
                raise CorpusError(
                    f"dialogue {dialogue_id!r} continues here after other dialogues.",
                    path=table.place,
                    line=line,
                    remedy="Sort the rows so that the rows of each dialogue are consecutive, or number its turns in a column 'turn'.",
                )
            current, collected = dialogue_id, DialogueRows()
        converted = cells(row, dialogue_id, line=line)
        if not annotated and not layout.has_actions:
            converted["actions"] = None
        others = {
            name: value for name, value in row.items() if name not in known and not is_missing(value) and value != ""
        }
        try:
            if not table.is_text:
                others = json_object({name: with_date(value) for name, value in others.items()})
            collected.add(converted, others, f"line {line}")
        except ValueError as error:
            raise CorpusError(f"{error}.", path=table.place, line=line, dialogue=dialogue_id) from None
    if current is not None:
        yield remarks.take(current, collected)


def _read(source: Source, options: Options, remarks: _Remarks, *, annotated: bool) -> Iterator[Dialogue]:
    columns = {name: options[name] for name in COLUMNS}
    bits = bit_names(options["bits"])
    for member in _members(source):
        for table in tables(source, member, columns, options["encoding"]):
            for dialogue in _read_table(table, columns, remarks, bits, annotated=annotated):
                yield in_part(dialogue, source.parts.get(member))


def _members(source: Source) -> list[str]:
    return source.members if source.is_single_file else [m for m in source.members if m.lower().endswith(SUFFIXES)]


def _recognises(source: Source) -> bool:
    return any(member.lower().endswith(SUFFIXES) for member in source.members)


def _open(source: Source, options: Options) -> Opened:
    remarks = _Remarks()
    return Opened(
        lambda: _read(source, options, remarks, annotated=True),
        unannotated=lambda: _read(source, options, remarks, annotated=False),
        problems=lambda: _problems(source, options["dialogue_id"], remarks),
    )


def _problems(source: Source, id_column: str, remarks: _Remarks) -> Iterator[Problem]:
    for member in _members(source):
        for name in unread_sheets(source, member, id_column):
            message = f"The sheet {name!r} is not read: it has no column {id_column!r}"
            remedy = "If it holds dialogues, give it the same header as the others."
            yield Problem("warning", "unread-sheet", message, remedy, places=[Place(file=source.place(member))])
    for name, hint in sorted(remarks.misspelt):
        message = f"The column {name!r} is read as a field of the dialogue"
        yield Problem("warning", "unknown-column", message, hint, places=[Place(file=str(source.path))])
    if spaced := sorted(remarks.spaced):
        message = f"{counted(len(spaced), 'dialogue id')} with spaces at an end: {spaced[0]!r} is another id than {spaced[0].strip()!r}"
        remedy = "If these rows belong to one dialogue, remove the spaces."
        places = [Place(file=str(source.path), dialogue=spaced[0])]
        yield Problem("warning", "spaces-in-id", message, remedy, len(spaced), places)
    if left_out := sorted(remarks.left_out):
        subject = "The column {} differs" if len(left_out) == 1 else "The columns {} differ"
        message = f"{subject.format(', '.join(map(repr, left_out)))} within a dialogue and cannot be a field of it"
        remedy = "Where it differs it is left out. What the system learnt in a turn belongs in the column of contexts."
        yield Problem("warning", "left-out-column", message, remedy, len(left_out), [Place(file=str(source.path))])


READER = Reader(
    "table",
    "CSV, TSV, Excel or Parquet, one row per turn: columns dialogue_id, user, actions[, system, turn, split, context, …]",
    _recognises,
    _open,
    {
        **COLUMN_OPTIONS,
        "bits": BITS,
        "encoding": Option("", "the encoding of a CSV or TSV file, such as cp1252; else UTF-8, or UTF-16 by its mark"),
    },
    _members,
)
