"""The sheets of Excel workbooks."""

from __future__ import annotations

import io
import itertools
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dialog_policy.corpus.cells import with_date
from dialog_policy.corpus.readers.named_rows import Row, Table, header_below, is_header, named_rows
from dialog_policy.corpus.readers.source import Source
from dialog_policy.errors import CorpusError, require

__all__ = ["WORKBOOKS", "sheets", "unread_sheets"]

# Suffixes of workbooks.
WORKBOOKS = (".xlsx", ".xlsm")


def sheets(source: Source, member: str, columns: Mapping[str, str]) -> Iterator[Table]:
    """Yield each sheet of a workbook that has the column with the dialogues' ids.

    Parameters
    ----------
    source, member
        The file.
    columns
        What is read to the name of its column.

    Raises
    ------
    CorpusError
        If it is no workbook, or none of its sheets has the column.
    MissingExtraError
        If the library that reads workbooks is not installed.
    """
    place, id_column = source.place(member), columns["dialogue_id"]
    headers = _headers(source, member)
    chosen = [name for name, header in headers.items() if id_column in header]
    if not chosen:
        listed = "; ".join(f"{name!r}: {', '.join(filter(None, header))}" for name, header in headers.items())
        remedy = "Name the column with --reader dialogue_id=COLUMN."
        for name in headers:
            below = header_below(_excel_rows(source, member, name), columns)
            if below is not None and not is_header(headers[name], columns):
                remedy = f"The header of the sheet {name!r} seems to be in row {below}: delete the rows above it."
        raise CorpusError(
            f"expected a sheet with a column {id_column!r}, found the sheets {listed}.",
            path=place,
            line=1,
            remedy=remedy,
        )
    for name in chosen:
        sheet_place = place if len(headers) == 1 else f"{place}, sheet {name!r}"
        yield Table(sheet_place, _sheet_rows(source, member, name, sheet_place, columns), is_text=True)


def unread_sheets(source: Source, member: str, id_column: str) -> list[str]:
    """Return the sheets of a workbook that are not empty and lack the column `id_column`: :func:`tables` passes over them."""
    if not member.lower().endswith(WORKBOOKS):
        return []
    return [name for name, header in _headers(source, member).items() if any(header) and id_column not in header]


def _headers(source: Source, member: str) -> dict[str, list[str]]:
    """Return the header of each sheet of a workbook: its first row that is not blank."""
    return {
        name: [cell.strip() for cell in next(_excel_rows(source, member, name), (1, []))[1]]
        for name in _workbook(source, member).sheetnames
    }


def _sheet_rows(
    source: Source, member: str, name: str, place: str, columns: Mapping[str, str]
) -> Callable[[], Iterator[tuple[int, Row]]]:
    return lambda: named_rows(_excel_rows(source, member, name), place, columns)


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
