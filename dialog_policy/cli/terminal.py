"""Texts of others on somebody's terminal."""

from __future__ import annotations

import unicodedata

__all__ = ["printable"]

# Marks that reorder what stands around them: "txt.exe" is shown as "exe.txt".
_REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str, *, newline: str = "\\n") -> str:
    r"""Return a text that a terminal shows and does not obey: control characters as ``\x1b``, lines joined by `newline`."""
    if text.isprintable():
        return text
    return newline.join("".join(map(_shown, line)) for line in text.replace("\r\n", "\n").split("\n"))


def _shown(character: str) -> str:
    if character == "\t":
        return " "
    if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _REORDERING:
        return character.encode("unicode_escape", "surrogatepass").decode()
    return character
