"""Half a surrogate pair in JSON, which is no text."""

from __future__ import annotations

import re

import msgspec

__all__ = ["json_problem"]

# A whole pair; half of one, as a group; any other escape.
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


def json_problem(error: Exception, content: str | bytes) -> str:
    """Return what is wrong with JSON that msgspec refused; of half a surrogate pair it says that the input is truncated.

    Parameters
    ----------
    error
        Msgspec's.
    content
        The JSON.
    """
    if isinstance(error, msgspec.DecodeError) and not isinstance(error, msgspec.ValidationError):
        text = content if isinstance(content, str) else content.decode("utf-8", "replace")
        half = next((match[0] for match in _ESCAPE.finditer(text) if match[1]), "")
        if half:
            return f"a text has {half}, which is half of a surrogate pair; both halves make a character"
    return str(error)
