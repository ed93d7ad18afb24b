"""The compiled lookup of terms; missing where no compiler was at hand."""

from collections.abc import Sequence

class Index:
    """A table of terms. ValueError: too many of them collide; UnicodeEncodeError: one cannot be spelt in UTF-8."""

    def __init__(self, unit: int, shortest: int, longest: int, terms: tuple[str, ...], unknown: int) -> None: ...
    def distinct(self, tokens: Sequence[str], /) -> tuple[bytes, bytes | None]: ...
