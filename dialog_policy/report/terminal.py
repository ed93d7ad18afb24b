"""Results in a terminal, written by rich: as wide as it is, in colours only where it takes them."""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
from collections.abc import Iterable
from typing import Any, Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from dialog_policy.report.document import Document, Paragraph, Table
from dialog_policy.report.subjects import Result, document_of
from dialog_policy.report.words import cell, lines_of, printable

__all__ = ["show", "text_report"]

_WIDTH = 100
_PADDING, _NARROWEST_NAME, _COMFORTABLE_NAME = 1, 12, 28
# A narrower terminal breaks the lines itself.
_NARROWEST = 24
_INTERVAL = "95 % CI"
_TRAILING_SPACES = re.compile(r"[ ]+$", re.MULTILINE)


def show(result: Result) -> None:
    """Print a result on standard output.

    Sentences are broken into lines for a terminal only; elsewhere each is a line, for programs to find.

    Parameters
    ----------
    result
        An evaluation, a comparison, an off-policy value or the summary of a corpus.
    """
    # https://no-color.org; what is no terminal gets no codes from rich.
    colours: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    width, height = shutil.get_terminal_size((_WIDTH, 24))
    console = _console(width, height=height, color_system=colours)
    with console.capture() as capture:
        _print(console, document_of(result), wrap=console.is_terminal)
    text = _TRAILING_SPACES.sub("", capture.get())
    encoding = sys.stdout.encoding or "utf-8"
    # What the terminal's encoding lacks is shown as "?".
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def text_report(result: Result, *, width: int = _WIDTH) -> str:
    """Return what :func:`show` prints, as plain text without a line end at its end.

    Parameters
    ----------
    result
        An evaluation, a comparison, an off-policy value or the summary of a corpus.
    width
        Columns that a line may fill, at least 24.
    """
    stream = io.StringIO()
    console = _console(width, file=stream, color_system=None)
    _print(console, document_of(result), wrap=True)
    return _TRAILING_SPACES.sub("", stream.getvalue()).rstrip("\n")


def _console(width: int, **options: Any) -> Console:
    """Return a console that shows texts as they are."""
    return Console(
        width=max(width, _NARROWEST), force_jupyter=False, highlight=False, markup=False, emoji=False, **options
    )


def _print(console: Console, document: Document, *, wrap: bool) -> None:
    def say(text: str, style: str = "") -> None:
        console.print(Text(printable(text), style=style), soft_wrap=not wrap)

    for warning in document.warnings:
        say(f"Warning: {warning}", "bold red")
    if document.warnings:
        console.print()
    say(document.title, "bold")
    for sentence in document.about:
        say(sentence)
    for section in document.sections:
        console.print()
        if section.title:
            say(section.title, "bold")
        previous: Paragraph | Table | None = None
        for part in section.parts:
            if isinstance(previous, Table) and isinstance(part, Table):
                console.print()
            if isinstance(part, Table):
                for number, shown in enumerate(_tables(part, console.width)):
                    if number:
                        console.print()
                    console.print(shown)
            else:
                say(part.text, "bold" if part.strong else "")
            previous = part


class _Name:
    """A name in a cell, broken after underscores and the like where it is too long."""

    def __init__(self, text: str) -> None:
        self._text = printable(text)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        width = cell_len(self._text)
        return Measurement(min(width, _NARROWEST_NAME), max(width, 1))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in lines_of(self._text, max(2, options.max_width)):
            yield Text(line, no_wrap=True, overflow="crop")


def _tables(table: Table, width: int) -> list[RichTable]:
    """Return a table as one that fits the width, else as several of its figures, else as a small one for each row.

    Figures are never cut, and every table has the names of its rows.
    """
    header = [printable(name) for name in table.header]
    rows = [[printable(cell(value)) for value in row] for row in table.rows]
    figures = [number for number in range(len(header)) if number not in table.left]
    if _total(_widths(table, header, rows, _COMFORTABLE_NAME)) <= width:
        return [_table(table, range(len(header)), header, rows)]
    # One above the other: the words of a figure's name, a figure and its interval.
    tall_header, tall_rows = list(header), [list(row) for row in rows]
    for number in figures:
        tall_header[number] = header[number] if header[number] == _INTERVAL else header[number].replace(" ", "\n")
        for row in tall_rows:
            row[number] = row[number].replace(" [", "\n[")
    widths = _widths(table, tall_header, tall_rows, _NARROWEST_NAME)
    groups: list[list[int]] = [list(table.left)]
    for columns in _together(header, figures):
        if len(groups[-1]) > len(table.left) and _total([widths[n] for n in groups[-1] + columns]) > width:
            groups.append(list(table.left))
        groups[-1] += columns
    if all(_total([widths[number] for number in group]) <= width for group in groups):
        return [_table(table, sorted(group), tall_header, tall_rows) for group in groups]
    return [_block(table, header, row) for row in rows]


def _together(header: list[str], figures: list[int]) -> list[list[int]]:
    """Return the figures, an interval with the figure before it."""
    together: list[list[int]] = []
    for number in figures:
        if header[number] == _INTERVAL and together:
            together[-1].append(number)
        else:
            together.append([number])
    return together


def _table(table: Table, columns: Iterable[int], header: list[str], rows: list[list[str]]) -> RichTable:
    shown = RichTable(
        box=box.SIMPLE_HEAD, show_edge=False, padding=(0, _PADDING, 0, 0), pad_edge=False, header_style="dim"
    )
    columns = list(columns)
    for number in columns:
        if number in table.left:
            shown.add_column(Text(header[number]), justify="left", overflow="fold")
        else:
            shown.add_column(Text(header[number]), justify="right", no_wrap=True, overflow="fold")
    for row in rows:
        shown.add_row(*(_Name(row[number]) if number in table.left else Text(row[number]) for number in columns))
    return shown


def _block(table: Table, header: list[str], row: list[str]) -> RichTable:
    """Return one row of a table, each cell on lines of its own beside its heading."""
    shown = RichTable.grid(padding=(0, _PADDING + 1, 0, 0))
    shown.add_column(style="dim")
    shown.add_column()
    for number, (name, text) in enumerate(zip(header, row, strict=True)):
        if text:
            shown.add_row(_Name(name), _Name(text) if number in table.left else Text(text))
    return shown


def _widths(table: Table, header: list[str], rows: list[list[str]], most: int) -> list[int]:
    """Return the columns of the terminal that each column needs, one of names no more than `most`."""
    lines = [[cell_len(line) for row in [header, *rows] for line in row[n].split("\n")] for n in range(len(header))]
    return [min(max(own), most) if number in table.left else max(own) for number, own in enumerate(lines)]


def _total(widths: list[int]) -> int:
    # Between two columns rich adds one more.
    return sum(widths) + (_PADDING + 1) * (len(widths) - 1)
