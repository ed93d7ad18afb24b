"""What the terminal and Markdown show of a result: sentences and tables, described once and written by each in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Document", "Paragraph", "Section", "Table"]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table.

    Attributes
    ----------
    title
        What it shows; pages read it to those who cannot see it.
    header, rows
        Cells: texts, numbers, :class:`~dialog_policy.report.words.Estimate`, or None.
    left
        Columns of names, which stand to the left; the others are figures, to the right.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    left: Sequence[int] = (0,)


@dataclass(frozen=True)
class Paragraph:
    """A sentence or several; `strong` where it is the result itself."""

    text: str
    strong: bool = False


@dataclass(frozen=True, kw_only=True)
class Section:
    """Paragraphs and tables under a title; Markdown folds one that is `detail`."""

    parts: Sequence[Paragraph | Table]
    title: str = ""
    detail: bool = False


@dataclass(frozen=True, kw_only=True)
class Document:
    """A result in sentences and tables.

    Attributes
    ----------
    title
        What it is about, in one line.
    warnings
        What the reader has to know before any figure: sentences, shown before everything else.
    about
        Sentences on the run and on how it was judged.
    sections
        The figures.
    """

    title: str
    warnings: Sequence[str] = ()
    about: Sequence[str] = ()
    sections: Sequence[Section] = ()
