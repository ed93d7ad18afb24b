"""Files of a store, as its manifest describes them: by size and SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from dialog_policy.errors import CorpusError
from dialog_policy.files import sha256_of

__all__ = ["StoredFile", "check_files", "check_stored", "describe_files", "read_stored", "unreadable"]

_REMEDY = "Put the file back, or prepare the store again; its other shards are untouched."


class StoredFile(msgspec.Struct, frozen=True):
    """Size and SHA-256 of a file."""

    bytes: int
    sha256: str


def describe_files(folder: Path) -> dict[str, StoredFile]:
    """Return size and hash of each file of a folder."""
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    return {path.name: StoredFile(path.stat().st_size, sha256_of(path)) for path in paths}


def check_files(folder: Path, files: Mapping[str, StoredFile], *, content: bool) -> None:
    """Refuse files of a folder that are missing, cut or, where their content is looked at, changed.

    Raises
    ------
    CorpusError
        If one is: which.
    """
    for name, file in files.items():
        check_stored(folder / name, file.bytes, file.sha256 if content else None)


def check_stored(place: Path, size: int, sha256: str | None = None) -> None:
    """Refuse a file that is missing, of another size or, where its SHA-256 is given, changed.

    Raises
    ------
    CorpusError
        If it is one of these.
    """
    try:
        found = place.stat().st_size
        digest = sha256_of(place) if sha256 is not None and found == size else sha256
    except OSError as error:
        raise unreadable(place, error) from None
    _compare(place, (size, sha256), (found, digest))


def read_stored(place: Path, size: int, sha256: str) -> bytes:
    """Return the bytes of a file.

    Raises
    ------
    CorpusError
        If it is missing, cut or changed.
    """
    try:
        content = place.read_bytes()
    except OSError as error:
        raise unreadable(place, error) from None
    _compare(place, (size, sha256), (len(content), hashlib.sha256(content).hexdigest()))
    return content


def unreadable(place: Path, error: Exception) -> CorpusError:
    """Return what to raise where a file cannot be read."""
    reason = (error.strerror if isinstance(error, OSError) else None) or error
    return CorpusError(f"a file of the store cannot be read ({reason}).", path=place, remedy=_REMEDY)


def _compare(place: Path, expected: tuple[int, str | None], found: tuple[int, str | None]) -> None:
    if expected[0] != found[0]:
        raise CorpusError(f"expected {expected[0]:,} bytes, found {found[0]:,}.", path=place, remedy=_REMEDY)
    if expected != found:
        raise CorpusError("checksum mismatch: the file was changed.", path=place, remedy=_REMEDY)
