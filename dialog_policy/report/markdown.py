"""Results in a few lines of Markdown, for a pull request."""

from __future__ import annotations

from collections.abc import Iterator

from dialog_policy.report.document import Document, Paragraph, Section, Table
from dialog_policy.report.subjects import Result, document_of
from dialog_policy.report.words import cell, printable

__all__ = ["markdown_report"]

_SPECIAL = str.maketrans({character: "\\" + character for character in "\\`*_[]<>|~#$&"})


def markdown_report(result: Result) -> str:
    """Return what matters most of a result as GitHub's Markdown.

    Parameters
    ----------
    result
        An evaluation, a comparison, an off-policy value or the summary of a corpus.
    """
    return "\n".join(_lines(document_of(result, intervals="cells"))).rstrip("\n") + "\n"


def _lines(document: Document) -> Iterator[str]:
    for warning in document.warnings:
        yield from (f"> **Warning:** {_escaped(warning)}", "")
    yield from (f"**{_escaped(document.title)}**", "")
    for sentence in document.about:
        yield from (_escaped(sentence), "")
    for section in document.sections:
        yield from _section(section)


def _section(section: Section) -> Iterator[str]:
    if section.title and section.detail:
        yield from (f"<details><summary>{section.title}</summary>", "")
    elif section.title:
        yield from (f"### {section.title}", "")
    for part in section.parts:
        if isinstance(part, Paragraph):
            text = _escaped(part.text)
            yield from (f"**{text}**" if part.strong else text, "")
        else:
            yield from (*_table(part), "")
    if section.title and section.detail:
        yield from ("</details>", "")


def _table(table: Table) -> Iterator[str]:
    aligned = ["---" if number in table.left else "---:" for number in range(len(table.header))]
    rows = [[_escaped(cell(value)) for value in row] for row in table.rows]
    for cells in (map(_escaped, table.header), aligned, *rows):
        yield f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    """Return a text so that it is shown as it is, on one line."""
    return " ".join(printable(text).translate(_SPECIAL).split())
