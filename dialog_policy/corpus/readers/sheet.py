"""The rows of tables as people have them: CSV and TSV from any spreadsheet, Excel workbooks, Parquet."""

from __future__ import annotations

import csv
import io
import itertools
import re
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TextIO

from dialog_policy.corpus.cells import with_date
from dialog_policy.corpus.readers.limits import LONGEST_LINE, MOST_COLUMNS, bounded_lines
from dialog_policy.corpus.readers.source import Source
from dialog_policy.errors import CorpusError, require

__all__ = ["SUFFIXES", "Dialect", "Row", "Table", "dialect_of", "tables", "unread_sheets"]

SUFFIXES = (".csv", ".tsv", ".parquet", ".xlsx", ".xlsm")
_EXCEL = (".xlsx", ".xlsm")
# The first line by which Excel is told the separator.
_DECLARED = re.compile(r'"?sep=(.)"?')
# Long texts are legal in a cell.
csv.field_size_limit(1 << 27)

# Bytes and rows of Parquet that are unpacked together: no cell is larger than its column is when it is written once.
_PARQUET_BYTES, _FEWEST_ROWS, _MOST_ROWS = 16 << 20, 4, 1_024

# Rows in which a header is looked for that has a title above it.
_LOWEST_HEADER = 20

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


def tables(source: Source, member: str, id_column: str, encoding: str = "") -> Iterator[Table]:
    """Yield the tables of a member: one, or each sheet of a workbook that has the column `id_column`.

    Parameters
    ----------
    source, member
        The file.
    id_column
        Name of the column that tells a sheet of dialogues from other sheets.
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
        yield Table(place, lambda: _parquet_rows(source, member), is_text=False)
    elif member.lower().endswith(_EXCEL):
        yield from _sheets(source, member, id_column)
    else:
        yield Table(place, lambda: _csv_rows(source, member, encoding), is_text=True)


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


def _csv_rows(source: Source, member: str, encoding: str) -> Iterator[tuple[int, Row]]:
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
            yield from _named(numbered(), place)
        except csv.Error as error:
            line = rows.line_num + dialect.lines_before
            raise CorpusError(
                f"{error}.",
                path=place,
                line=line,
                remedy="Look for an unmatched quotation mark.",
            ) from None


def _named(numbered: Iterator[tuple[int, list[str]]], place: str) -> Iterator[tuple[int, Row]]:
    """Rows by the names of a header that comes first, without blank rows and without columns that have neither name nor content."""
    line, first = next(numbered, (1, []))
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


def _headers(source: Source, member: str) -> dict[str, list[str]]:
    """Return the header of each sheet of a workbook."""
    return {name: rows[0][1] if rows else [] for name, rows in _first_rows(source, member, 1).items()}


def _first_rows(source: Source, member: str, count: int) -> dict[str, list[tuple[int, list[str]]]]:
    """Return the numbers and cells of the first rows of each sheet of a workbook."""
    return {
        name: [
            (number, [cell.strip() for cell in row])
            for number, row in itertools.islice(_excel_rows(source, member, name), count)
        ]
        for name in _workbook(source, member).sheetnames
    }


def unread_sheets(source: Source, member: str, id_column: str) -> list[str]:
    """Return the sheets of a workbook that are not empty and lack the column `id_column`: :func:`tables` passes over them."""
    if not member.lower().endswith(_EXCEL):
        return []
    return [name for name, header in _headers(source, member).items() if any(header) and id_column not in header]


def _sheets(source: Source, member: str, id_column: str) -> Iterator[Table]:
    place = source.place(member)
    headers = _headers(source, member)
    chosen = [name for name, header in headers.items() if id_column in header]
    if not chosen:
        listed = "; ".join(f"{name!r}: {', '.join(filter(None, header))}" for name, header in headers.items())
        remedy = "Name the column with --reader dialogue_id=COLUMN."
        for name, rows in _first_rows(source, member, _LOWEST_HEADER).items():
            if below := next((number for number, row in rows if id_column in row), None):
                remedy = f"The header of the sheet {name!r} seems to be in row {below}: delete the rows above it."
        raise CorpusError(
            f"expected a sheet with a column {id_column!r}, found the sheets {listed}.",
            path=place,
            line=1,
            remedy=remedy,
        )
    for name in chosen:
        sheet_place = place if len(headers) == 1 else f"{place}, sheet {name!r}"
        yield Table(sheet_place, _sheet_rows(source, member, name, sheet_place), is_text=True)


def _sheet_rows(source: Source, member: str, name: str, place: str) -> Callable[[], Iterator[tuple[int, Row]]]:
    return lambda: _named(_excel_rows(source, member, name), place)


def _workbook(source: Source, member: str) -> Any:
    library = require("openpyxl", extra="excel", purpose="reading Excel workbooks")
    content = source.read(member)
    problem = "expected an Excel workbook"
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            source.check_unpacked(member, sum(info.file_size for info in archive.infolist()), len(content))
        return library.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    except CorpusError:
        raise
    # What openpyxl raises for damaged workbooks is of every kind.
    except Exception as error:
        raise CorpusError(f"{problem} ({error}).", path=source.place(member)) from None


def _excel_rows(source: Source, member: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Rows of a sheet from the first that is not blank, as the text that the spreadsheet shows."""
    book = _workbook(source, member)
    try:
        rows = (
            (number, [_shown(value) for value in row])
            for number, row in enumerate(book[name].iter_rows(values_only=True), 1)
        )
        yield from itertools.dropwhile(lambda row: not any(map(str.strip, row[1])), rows)
    except CorpusError:
        raise
    except Exception as error:
        raise CorpusError(f"the sheet {name!r} cannot be read ({error}).", path=source.place(member)) from None
    finally:
        book.close()


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(with_date(value))
