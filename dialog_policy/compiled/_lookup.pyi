"""The compiled lookup of terms, and projections; missing where no compiler was at hand."""

from collections.abc import Sequence

class Index:
    """A table of terms. ValueError: too many of them collide; UnicodeEncodeError: one cannot be spelt in UTF-8."""

    def __init__(self, unit: int, shortest: int, longest: int, terms: tuple[str, ...], unknown: int) -> None: ...
    def distinct(self, tokens: Sequence[str], /) -> tuple[bytes, bytes | None]: ...
    def distinct_of_many(self, texts: Sequence[Sequence[str]], /) -> tuple[bytes, bytes, bytes]: ...

class Projection:
    """Tables (index, weights, values, first feature or -1 for bits, width, frequency, unit length, scale) a matrix, and what is added to it, float32."""

    def __init__(
        self,
        tables: tuple[tuple[Index, bytes, bytes, int, int, int, bool, float], ...],
        matrix: bytes,
        start: bytes,
        n_flags: int,
    ) -> None: ...
    def project(self, tokens: Sequence[str], flags: tuple[float, ...], /) -> bytes: ...

def count_terms(
    unit: int, shortest: int, longest: int, texts: Sequence[Sequence[str]], times: bytes, /
) -> tuple[bytes, bytes, bytes]: ...
def tokenize_ascii(texts: Sequence[str], /) -> list[list[str]]: ...
