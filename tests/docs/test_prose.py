"""README and docs can be read in a terminal and at one sitting: short lines, short paragraphs, links that lead somewhere."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.conftest import REPOSITORY

PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    REPOSITORY / "CHANGELOG.md",
    REPOSITORY / "SECURITY.md",
    REPOSITORY / "corpora" / "README.md",
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    *sorted((REPOSITORY / "docs" / "tutorials").glob("*.ipynb")),
]
COLUMNS, PARAGRAPH = 100, 5
# A table's row, a heading, a comment or a picture is not prose and may be as long as it needs.
_OTHER = re.compile(r" *\||#|<!--|!\[")
_ITEM = re.compile(r" *([-*]|\d+\.) ")


def text_of(page) -> str:
    """Return a page's text; of a notebook its cells of text."""
    text = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return text
    return "\n\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown")


def prose(page) -> Iterator[tuple[int, str]]:
    """Yield number and text of the lines outside blocks, tables, headings, comments and pictures; empty lines, too."""
    inside = False
    for number, line in enumerate(text_of(page).splitlines(), start=1):
        if line.lstrip().startswith(("```", ":::")):
            inside = not inside
            yield number, ""
        elif not inside:
            yield number, "" if _OTHER.match(line) else line


def names(pages):
    return [page.relative_to(REPOSITORY).as_posix() for page in pages]


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_prose_is_no_wider_than_a_terminal(page):
    # A link that fits into no line stands alone.
    wide = [(number, line) for number, line in prose(page) if len(line) > COLUMNS and " " in line.strip()]
    assert wide == []


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_paragraphs_are_short(page):
    long, length = [], 0
    for number, line in [*prose(page), (0, "")]:
        if not line or _ITEM.match(line):
            if length > PARAGRAPH:
                long.append((number - length, length))
            length = 0
        length += bool(line)
    assert long == []


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_links_lead_to_files_of_the_repository(page):
    text = re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL)
    targets = re.findall(r"\]\((?!https?://)([^)#]+)", text)
    assert [target for target in targets if not (page.parent / target).exists()] == []


# One table of accuracy.md is as wide as what was measured.
NARROW = [page for page in PAGES if page.relative_to(REPOSITORY).as_posix() != "docs/accuracy.md"]


@pytest.mark.parametrize("page", NARROW, ids=names(NARROW))
def test_tables_fit_a_page(page):
    rows = [line.replace("\\|", "") for line in text_of(page).splitlines() if line.startswith("|")]
    assert [row for row in rows if row.count("|") > 8] == []
