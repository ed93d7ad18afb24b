"""Vectors of texts that a sentence model has computed, kept in the user's cache: milliseconds a text are saved the next time."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from dialog_policy.files import CACHE, user_folder

__all__ = ["SentenceCache"]

FloatArray = npt.NDArray[np.float32]

# Bytes of a file; one that has become larger begins anew.
_LIMIT = 1 << 30
_WAIT_S = 30.0


class SentenceCache:
    """A context in which vectors are looked up, and those that are new are kept when it ends.

    A disk that is full or read-only, or a damaged file, is no reason not to compute: then nothing is kept.

    Parameters
    ----------
    model
        SHA-256 of the model. Vectors of another model, or computed by another version of onnxruntime, are not found.
    dim
        Length of a vector.
    """

    def __init__(self, model: str, dim: int) -> None:
        import onnxruntime  # here, since only those who have a sentence model need it

        self._name, self._dim = f"{model}-{onnxruntime.__version__}.sqlite", dim
        self._file: sqlite3.Connection | None = None
        self._new: dict[str, FloatArray] = {}

    def __enter__(self) -> SentenceCache:
        """Open the cache."""
        folder = user_folder("cache", CACHE, "sentences")
        if folder is not None:
            with contextlib.suppress(OSError, sqlite3.Error):
                self._file = _opened(folder / self._name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Keep what is new."""
        if self._file is None:
            return
        with contextlib.suppress(sqlite3.Error), self._file:
            rows = ((text, vector.tobytes()) for text, vector in self._new.items())
            self._file.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
        self._file.close()

    def vector(self, text: str, compute: Callable[[str], FloatArray]) -> FloatArray:
        """Return the vector of a text, shape (dim,)."""
        found = None
        if self._file is not None:
            with contextlib.suppress(sqlite3.Error, UnicodeEncodeError):
                found = self._file.execute("SELECT vector FROM vectors WHERE text = ?", (text,)).fetchone()
        if found is not None and isinstance(found[0], bytes) and len(found[0]) == 4 * self._dim:
            kept: FloatArray = np.frombuffer(found[0], dtype=np.float32)
            if np.isfinite(kept).all():
                return kept
        made = compute(text)
        if text.isprintable():  # a half of a character is no text that SQLite keeps
            self._new[text] = made
        return made


def _opened(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LIMIT:
        path.unlink()
    file = sqlite3.connect(path, timeout=_WAIT_S)
    file.execute("CREATE TABLE IF NOT EXISTS vectors (text TEXT PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID")
    return file
