"""Adding dialogues to a file that somebody else may own: every byte that is there stays."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from dialog_policy.corpus.bits import bit_names
from dialog_policy.corpus.cells import COLUMNS
from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.lines import native_line, table_rows
from dialog_policy.corpus.readers import jsonl, table
from dialog_policy.corpus.readers.archives import open_source
from dialog_policy.corpus.readers.bit_columns import bit_columns
from dialog_policy.corpus.readers.layout import layout_of
from dialog_policy.corpus.readers.sheet import Dialect, dialect_of, tables
from dialog_policy.corpus.readers.source import InMemory, Source, encoding_of
from dialog_policy.corpus.write import write_corpus
from dialog_policy.errors import CorpusError, OptionError
from dialog_policy.files import atomic_write, check_output, locked

__all__ = ["append_dialogues"]

_LINES, _TABLES = (".jsonl", ".ndjson"), (".csv", ".tsv")
# Adding takes a moment; who waits longer waits for something that hangs.
_PATIENCE_S = 60.0


def append_dialogues(
    path: str | os.PathLike[str],
    dialogues: Iterable[Dialogue],
    *,
    format: str = "table",
    reader: Mapping[str, str] | None = None,
) -> int:
    """Add dialogues to a corpus file; what it holds stays as it is, byte for byte.

    JSON Lines get lines, CSV and TSV files get rows in the sheet's own way: its columns in their order (those that mean nothing
    to us stay empty), separators, quotation marks, line ends and encoding. The file is replaced in one step. Processes that add
    to one file wait for each other. A file that does not exist is made.

    Parameters
    ----------
    path
        The file: ``.jsonl``, ``.ndjson``, ``.csv`` or ``.tsv``; a new one may have any name that :func:`write_corpus` takes.
    dialogues
        What to add. Dialogues whose content the file has already are left out; one whose id is taken gets another:
        ``chat (2)``.
    format, reader
        Options of the reader of a format, ``"table"`` or ``"jsonl"``, such as ``{"user": "utterance"}``. They count for files of
        this format.

    Returns
    -------
    int
        Number of dialogues that were added.

    Raises
    ------
    OptionError
        If dialogues cannot be added to such a file, or it cannot be written. Nothing is changed then.
    CorpusError
        If the file cannot be read, or a table has no place for something that a dialogue has. Nothing is changed then.
    RunError
        If another process writes to it for a minute and more. Nothing is changed then.
    """
    target = check_output(path)
    suffix = target.suffix.lower()
    given = reader or {}
    with locked(target, "adding dialogues", patience_s=_PATIENCE_S):
        if not target.exists() or (suffix in _LINES + _TABLES and not target.stat().st_size):
            added = _selected(dialogues, ())
            write_corpus(added, target)
            return len(added)
        if suffix not in _LINES + _TABLES:
            raise OptionError(
                f"{path}: dialogues can be added to .jsonl, .ndjson, .csv and .tsv files; nothing was changed. {_elsewhere(target)}"
            )
        try:
            if suffix in _LINES:
                options = jsonl.READER.fill(given if format == "jsonl" else {})
                return _add_lines(open_source(target), target, dialogues, options)
            options = table.READER.fill(given if format == "table" else {})
            return _add_rows(open_source(target), target, dialogues, options)
        except CorpusError as error:
            raise CorpusError(
                f"nothing was added: {error.problem}",
                path=path,
                line=error.line,
                dialogue=error.dialogue,
                turn=error.turn,
                remedy=f"{error.remedy} {_elsewhere(target)}".strip(),
            ) from None


def _elsewhere(target: Path) -> str:
    return f"Name another file, such as {target.with_name(f'{target.stem}-added.jsonl').name}."


def _selected(dialogues: Iterable[Dialogue], known: Iterable[Dialogue]) -> list[Dialogue]:
    """Dialogues whose content is not known, with ids that are not taken."""
    ids, contents = set(), set()
    for dialogue in known:
        ids.add(dialogue.id)
        contents.add(dialogue.fingerprint())
    added = []
    for dialogue in dialogues:
        if dialogue.fingerprint() in contents:
            continue
        name, number = dialogue.id, 1
        while name in ids:
            number += 1
            name = f"{dialogue.id} ({number})"
        added.append(msgspec.structs.replace(dialogue, id=name))
        ids.add(name)
        contents.add(dialogue.fingerprint())
    return added


def _write_after(target: Path, addition: bytes) -> None:
    try:
        with target.open("rb") as old, atomic_write(target) as new:
            shutil.copyfileobj(old, new)
            new.write(addition)
    except OSError as error:
        raise CorpusError(f"it cannot be read: {error.strerror}. Nothing was added.", path=target) from None


def _encoding(source: Source) -> str:
    """Name of the encoding in which to go on, which writes no byte order mark."""
    head = source.head(source.members, 2)
    if encoding_of(head) == "utf-16":
        return "utf-16-le" if head.startswith(b"\xff") else "utf-16-be"
    return "utf-8"


def _line_end_before(source: Source, encoding: str, line_end: str) -> str:
    """Return the line end that the last line lacks, or nothing."""
    with source.open(source.members[0]) as file:
        width = len("\n".encode(encoding))
        file.seek(-width, os.SEEK_END)
        last = file.read()
    return "" if last in ("\n".encode(encoding), "\r".encode(encoding)) else line_end


def _add_lines(source: Source, target: Path, dialogues: Iterable[Dialogue], options: Mapping[str, str]) -> int:
    added = _selected(dialogues, jsonl.READER.open(source, options).dialogues())
    if not added:
        return 0
    encoding = _encoding(source)
    with source.open_text(target.name) as text:
        line_end = "\r\n" if text.readline().endswith("\r\n") else "\n"
    bits = bit_names(options["bits"])
    written = (native_line(dialogue, bits).decode() for dialogue in added)
    lines = "".join(line.rstrip("\n") + line_end for line in written)
    _write_after(target, (_line_end_before(source, encoding, line_end) + lines).encode(encoding))
    return len(added)


def _add_rows(source: Source, target: Path, dialogues: Iterable[Dialogue], options: Mapping[str, str]) -> int:
    member = target.name
    known = list(table.READER.open(source, options).dialogues())
    added = _selected(dialogues, known)
    with source.open_text(member, options["encoding"]) as text:
        dialect = dialect_of(text, member)
    if dialect is None:
        raise CorpusError("expected a header in the first line, found none.", path=target)
    if not added:
        return 0
    columns = {name: options[name] for name in COLUMNS}
    (sheet,) = tables(source, member, columns, options["encoding"])
    separator = layout_of(sheet, columns).separator
    encoding = options["encoding"] or _encoding(source)
    of_bits = bit_columns(columns["actions"], dialect.header, sheet.place)
    bits = of_bits or bit_names(options["bits"])
    rows = "".join(_line(_cells(row, dialect, columns, of_bits), dialect) for row in table_rows(added, separator, bits))
    try:
        addition = (_line_end_before(source, encoding, dialect.line_end) + rows).encode(encoding)
    except UnicodeEncodeError as error:
        character = error.object[error.start]
        raise CorpusError(f"the encoding {encoding} has no character {character!r}.", path=target) from None
    # A sheet has rules of its own, such as commas between actions: what is added must not change how the rest is read.
    whole = InMemory(source.path, source.read(member) + addition)
    if list(table.READER.open(whole, options).dialogues()) != [*known, *added]:
        raise CorpusError("the sheet's way of writing cannot represent something in the dialogue.", path=target)
    _write_after(target, addition)
    return len(added)


def _cells(row: tuple[Any, ...], dialect: Dialect, columns: Mapping[str, str], of_bits: Sequence[str]) -> list[Any]:
    """Cells of a row in the order of a sheet's columns, some of which may have the bits of actions."""
    described = dict(zip(COLUMNS, row, strict=True))
    cells = {columns[name]: value for name, value in described.items()}
    vector = described["actions"]
    cells |= dict.fromkeys(of_bits, vector) if vector == "null" else dict(zip(of_bits, vector, strict=False))
    for name, value in described.items():
        is_needed = (name == "actions" and not of_bits) or (name not in ("turn", "actions") and value not in (None, ""))
        if is_needed and columns[name] not in dialect.header:
            raise CorpusError(
                f"the sheet has no column {columns[name]!r}, which the dialogue needs.",
                dialogue=described["dialogue_id"],
                turn=described["turn"],
                remedy="Add the column.",
            )
    return [cells.get(column, "") for column in dialect.header]


def _line(cells: list[Any], dialect: Dialect) -> str:
    text = io.StringIO()
    quoting: Literal[0, 1] = csv.QUOTE_ALL if dialect.quotes_all else csv.QUOTE_MINIMAL
    # With another line end Python up to 3.12 leaves a text with a carriage return unquoted, and its row falls apart.
    csv.writer(text, delimiter=dialect.delimiter, lineterminator="\r\n", quoting=quoting).writerow(cells)
    return text.getvalue().removesuffix("\r\n") + dialect.line_end
