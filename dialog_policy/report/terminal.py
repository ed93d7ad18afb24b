"""Results in a terminal, written by rich: as wide as it is, in colours only where it takes them."""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
from typing import Literal

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
    console = Console(
        width=width,
        height=height,
        color_system=colours,
        force_jupyter=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
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
        Columns that a line may fill.
    """
    stream = io.StringIO()
    console = Console(
        file=stream, width=width, color_system=None, force_jupyter=False, highlight=False, markup=False, emoji=False
    )
    _print(console, document_of(result), wrap=True)
    return _TRAILING_SPACES.sub("", stream.getvalue()).rstrip("\n")


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
                console.print(_table(part, console.width))
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


def _table(table: Table, width: int) -> RichTable:
    header = [printable(name) for name in table.header]
    rows = [[printable(cell(value)) for value in row] for row in table.rows]
    if _width_of(table, header, rows) > width:
        # One above the other: the words of a figure's name, a figure and its interval.
        figures = [number for number in range(len(header)) if number not in table.left]
        for number in figures:
            header[number] = header[number] if header[number] == "95 % CI" else header[number].replace(" ", "\n")
            for row in rows:
                row[number] = row[number].replace(" [", "\n[")
    shown = RichTable(
        box=box.SIMPLE_HEAD, show_edge=False, padding=(0, _PADDING, 0, 0), pad_edge=False, header_style="dim"
    )
    for number, name in enumerate(header):
        if number in table.left:
            shown.add_column(Text(name), justify="left", overflow="fold")
        else:
            shown.add_column(Text(name), justify="right", no_wrap=True, overflow="fold")
    for row in rows:
        shown.add_row(*(_Name(text) if number in table.left else Text(text) for number, text in enumerate(row)))
    return shown


def _width_of(table: Table, header: list[str], rows: list[list[str]]) -> int:
    """Return the columns that a table needs, its names no wider than is comfortable."""
    widths = [max(cell_len(row[number]) for row in [header, *rows]) for number in range(len(header))]
    for number in table.left:
        widths[number] = min(widths[number], _COMFORTABLE_NAME)
    # Between two columns rich adds one more.
    return sum(widths) + (_PADDING + 1) * (len(widths) - 1)
