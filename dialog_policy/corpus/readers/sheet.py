"""The rows of tables as people have them: CSV and TSV from any spreadsheet, Excel workbooks, Parquet."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TextIO
from urllib.parse import unquote

from dialog_policy.corpus.readers.limits import LONGEST_LINE, MOST_COLUMNS, bounded_lines
from dialog_policy.corpus.readers.named_rows import Row, Table, named_rows
from dialog_policy.corpus.readers.source import Source
from dialog_policy.corpus.readers.workbook import WORKBOOKS, sheets
from dialog_policy.errors import CorpusError, require

__all__ = ["SUFFIXES", "Dialect", "dialect_of", "tables"]

SUFFIXES = (".csv", ".tsv", ".parquet", *WORKBOOKS)
# The first line by which Excel is told the separator.
_DECLARED = re.compile(r'"?sep=(.)"?')
# Long texts are legal in a cell.
csv.field_size_limit(1 << 27)

# Bytes and rows of Parquet that are unpacked together: no cell is larger than its column is when it is written once.
_NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"
_PARQUET_BYTES, _FEWEST_ROWS, _MOST_ROWS = 16 << 20, 4, 1_024


class Dialect(NamedTuple):
    """How a CSV or TSV file is written.

    Attributes
    ----------
    header
        Names of its columns; a column without a name has an empty one.
    delimiter, line_end
        What stands between cells and after rows.
    quotes_all
        Whether every cell stands between quotation marks.
    lines_before
        Lines above the header: blank ones, and the declaration ``sep=;``.
    """

    header: tuple[str, ...]
    delimiter: str
    line_end: str
    quotes_all: bool
    lines_before: int


def tables(source: Source, member: str, columns: Mapping[str, str], encoding: str = "") -> Iterator[Table]:
    """Yield the tables of a member: one, or each sheet of a workbook that has the column with the dialogues' ids.

    Parameters
    ----------
    source, member
        The file.
    columns
        What is read to the name of its column.
    encoding
        Of text; empty: by its byte order mark, else UTF-8.

    Raises
    ------
    CorpusError
        If it is not such a file, or no sheet of a workbook has the column.
    MissingExtraError
        If a workbook or Parquet needs a library that is not installed.
    """
    place = source.place(member)
    if member.lower().endswith(".parquet"):
        of_folders = _columns_of_folders(member)
        yield Table(place, lambda: ((n, of_folders | row) for n, row in _parquet_rows(source, member)), is_text=False)
    elif member.lower().endswith(WORKBOOKS):
        yield from sheets(source, member, columns)
    else:
        yield Table(place, lambda: _csv_rows(source, member, columns, encoding), is_text=True)


def dialect_of(text: TextIO, member: str) -> Dialect | None:
    """Return how a text that is read from its beginning is written, or None where it has no header.

    The text stands behind the header then.
    """
    delimiter, before = "\t" if member.lower().endswith(".tsv") else "", 0
    first = text.readline(LONGEST_LINE)
    declared = _DECLARED.fullmatch(first.rstrip("\r\n"))
    if declared:
        delimiter, before, first = declared[1], 1, text.readline(LONGEST_LINE)
    while first and not first.strip():
        before, first = before + 1, text.readline(LONGEST_LINE)
    if not first:
        return None
    delimiter = delimiter or max(",;\t", key=first.count)
    try:
        header = next(csv.reader(itertools.chain([first], bounded_lines(text, member)), delimiter=delimiter))
    except csv.Error:  # such as a quotation mark that nothing closes
        return None
    line_end = "\r\n" if first.endswith("\r\n") else "\r" if first.endswith("\r") else "\n"
    quotes_all = first.rstrip("\r\n") == delimiter.join(f'"{cell}"' for cell in header)
    return Dialect(tuple(name.strip() for name in header), delimiter, line_end, quotes_all, before)


def _csv_rows(source: Source, member: str, columns: Mapping[str, str], encoding: str) -> Iterator[tuple[int, Row]]:
    place = source.place(member)
    with source.open_text(member, encoding) as text:
        dialect = dialect_of(text, member)
    if dialect is None:
        return
    with source.open_text(member, encoding) as text:
        for _ in range(dialect.lines_before):
            text.readline(LONGEST_LINE)
        rows = csv.reader(bounded_lines(text, place), delimiter=dialect.delimiter, strict=True)

        def numbered() -> Iterator[tuple[int, list[str]]]:
            for row in rows:
                yield rows.line_num + dialect.lines_before, row

        try:
            yield from named_rows(numbered(), place, columns)
        except csv.Error as error:
            line = rows.line_num + dialect.lines_before
            raise CorpusError(
                f"{error}.",
                path=place,
                line=line,
                remedy="Look for an unmatched quotation mark.",
            ) from None


def _columns_of_folders(member: str) -> Row:
    """Return what the folders of a Parquet file say of all its rows, as Spark and Hive write it: ``split=train/part-0.parquet``."""
    named = (folder.partition("=") for folder in member.split("/")[:-1])
    return {
        unquote(name): None if value == _NULL_FOLDER else unquote(value)
        for name, equals, value in named
        if equals and name
    }


def _parquet_rows(source: Source, member: str) -> Iterator[tuple[int, Row]]:
    parquet = require("pyarrow.parquet", extra="parquet", purpose="reading Parquet")
    arrow = require("pyarrow", extra="parquet", purpose="reading Parquet")
    content = source.read(member)
    try:
        table = parquet.ParquetFile(arrow.BufferReader(content))
        if table.metadata.num_columns > MOST_COLUMNS:
            raise CorpusError(f"it has more than {MOST_COLUMNS:,} columns.", path=source.place(member))
        # Not the sizes of their columns: for damaged ones pyarrow 26 ends the process instead of raising an error.
        sizes = [table.metadata.row_group(i).total_byte_size for i in range(table.metadata.num_row_groups)]
        together = max(_FEWEST_ROWS, min(_MOST_ROWS, _PARQUET_BYTES // max(1, *sizes, 1)))
        number, unpacked = itertools.count(1), 0
        for batch in table.iter_batches(together):
            # Equal texts are packed once, and take their room in memory once for each row.
            unpacked += batch.nbytes
            source.check_unpacked(member, unpacked, len(content))
            for row in batch.to_pylist():
                yield next(number), row
    except CorpusError:
        raise
    # What pyarrow raises for damaged files is of every kind, such as UnicodeDecodeError.
    except Exception as error:
        raise CorpusError(f"expected a Parquet file ({error}).", path=source.place(member)) from None
