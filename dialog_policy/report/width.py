"""How wide text is, in columns of a terminal: East Asian characters are two wide, marks and joiners none."""

from __future__ import annotations

import unicodedata

__all__ = ["left", "right", "width", "wrap"]


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def width(text: str) -> int:
    """Return the columns that `text` fills (Unicode Standard Annex 11)."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def left(text: str, columns: int) -> str:
    """Return `text` with spaces after it up to this width."""
    return text + " " * (columns - width(text))


def right(text: str, columns: int) -> str:
    """Return `text` with spaces before it up to this width."""
    return " " * (columns - width(text)) + text


def wrap(text: str, columns: int) -> list[str]:
    """Break `text` into lines of at most this width: after a space, an underscore or the like where there is one."""
    lines, line, used, gap = [], "", 0, 0
    for character in text:
        size = _columns(character)
        while used + size > columns and line:
            cut = gap or len(line)
            lines.append(line[:cut].rstrip())
            line = line[cut:].lstrip()
            used, gap = width(line), 0
        line += character
        used += size
        if character in " _-+/.,;:|()=":
            gap = len(line)
    return [*lines, line] if line or not lines else lines
