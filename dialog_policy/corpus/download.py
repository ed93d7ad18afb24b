"""Fetching public corpora: pinned addresses, checked by SHA-256, kept in a cache folder."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec
from tqdm import tqdm

from dialog_policy.errors import CorpusError, OptionError, check_known, require
from dialog_policy.files import CACHE, atomic_write, sha256_of, user_folder

__all__ = ["Entry", "catalogue", "download"]

_TIMEOUT = 30.0
_CHUNK = 1 << 16
_NAME = re.compile(r"[\w][\w.-]*")


class Entry(msgspec.Struct, forbid_unknown_fields=True):
    """A corpus that can be fetched.

    Attributes
    ----------
    title, licence, citation, homepage
        For people.
    url
        Address of a file; ``{file}`` stands for its name.
    files
        Names of the files, with ``/`` between folders, to their SHA-256 (hexadecimal).
    format
        The reader's name.
    example
        Reader options to begin with, as the command line has them.
    sha256_from
        Where the hashes come from.
    """

    title: str
    licence: str
    citation: str
    homepage: str
    url: str
    files: dict[str, Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]]
    format: str
    example: str = ""
    sha256_from: str = ""


def catalogue(path: str | Path | None = None) -> dict[str, Entry]:
    """Return the corpora that can be fetched, by name: ours, or those of a JSON file of the same form.

    Raises
    ------
    OptionError
        If the file cannot be read or has another form.
    """
    place = files("dialog_policy.corpus").joinpath("catalogue.json") if path is None else Path(path)
    try:
        known = msgspec.json.decode(place.read_bytes(), type=dict[str, Entry])
    except OSError as error:
        raise OptionError(f"the catalogue {path} cannot be read: {error.strerror}.") from None
    except msgspec.DecodeError as error:
        raise OptionError(f"{path}: expected a catalogue (name to title, url, files, …); found: {error}.") from None
    for name, entry in known.items():
        parts = [name, *(part for file in entry.files for part in file.split("/"))]
        if not entry.files or not all(_NAME.fullmatch(part) for part in parts):
            raise OptionError(f"{path}: the entry {name!r} has no files, or names that are not plain file names.")
    return known


def download(
    name: str,
    *,
    cache: str | Path | None = None,
    mirror: str | None = None,
    known: Mapping[str, Entry] | None = None,
) -> Path:
    """Fetch a corpus, unless it is there already, and return the path to read.

    Each file is written aside and takes its place once its SHA-256 is right; what is complete is not fetched again.

    Parameters
    ----------
    name
        A name of the catalogue.
    cache
        Folder for all corpora; default: the user's cache folder, or ``DIALOG_POLICY_CACHE`` if that is set (empty: there is none).
    mirror
        Address to use instead of the pinned one: ``MIRROR/NAME/FILE``. The SHA-256 must be the same.
    known
        The catalogue; default: ours.

    Returns
    -------
    Path
        The archive, or the folder of a corpus of several files.

    Raises
    ------
    OptionError
        If the catalogue has no such corpus, or there is no folder to keep it.
    CorpusError
        If a file cannot be fetched or has another SHA-256.
    OptionError
        If nothing can be written there.
    MissingExtraError
        If the extra `download` is not installed.
    """
    known = catalogue() if known is None else known
    check_known("corpus", name, known)
    entry = known[name]
    pooch = require("pooch", extra="download", purpose="downloading")
    folder = user_folder("cache", CACHE, name) if cache is None else Path(cache) / name
    if folder is None:
        raise OptionError(
            f"{CACHE} is empty, so nothing is kept in the user's cache folder. Name a folder for the corpus: --cache FOLDER."
        )
    # One file shows its bytes, several show how many there are.
    one = len(entry.files) == 1
    for file in tqdm(entry.files, desc=name, unit="file", leave=False, disable=one or not sys.stderr.isatty()):
        address = _address(entry, name, file, mirror)
        _fetch(pooch, folder / file, address, entry.files[file], entry.homepage, show=one and sys.stderr.isatty())
    return folder / next(iter(entry.files)) if one else folder


def _address(entry: Entry, name: str, file: str, mirror: str | None) -> str:
    if mirror is not None:
        return f"{mirror.rstrip('/')}/{name}/{file}"
    return entry.url.replace("{file}", file)


def _fetch(pooch: Any, path: Path, address: str, sha256: str, homepage: str, *, show: bool) -> None:
    requests = require("requests", extra="download", purpose="downloading")
    if path.exists() and sha256_of(path) == sha256:
        return
    # pooch sets the true total; a bar without one has no truth value, which pooch asks for.
    bar: Any = tqdm(desc=path.name, total=1, unit="B", unit_scale=True, leave=False) if show else False
    fetcher = pooch.HTTPDownloader(progressbar=bar, chunk_size=_CHUNK, timeout=_TIMEOUT)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            hashed = _Hashed(file)
            fetcher(address, hashed, None)
            if hashed.digest.hexdigest() == sha256:
                return
            raise CorpusError(
                f"checksum mismatch: the SHA-256 of the file is not {sha256}. The file was deleted.",
                path=address,
                remedy=f"Try again. If this happens again, the file was changed or replaced: see {homepage}.",
            )
    except requests.HTTPError as error:
        problem = f"the server answered {error.response.status_code} {error.response.reason}."
        remedy = f"See {homepage} for where the corpus is now; --mirror names another address."
    except requests.RequestException as error:
        problem = f"the connection failed: {_reason(error)}."
        remedy = "Try again: files that are complete are kept, nothing half-written is."
    except OSError as error:
        raise CorpusError(f"cannot be read or written: {error.strerror}.", path=path) from None
    finally:
        if show:
            bar.close()
    raise CorpusError(problem, path=address, remedy=remedy) from None


class _Hashed:
    """A file to write into, and the SHA-256 of what was written."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.digest = file, hashlib.sha256()

    def write(self, content: bytes) -> None:
        self.digest.update(content)
        self.file.write(content)

    def flush(self) -> None:
        self.file.flush()


def _reason(error: BaseException) -> str:
    """Say in a few words what lies at the bottom of a chain of network errors."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    return str(error).rstrip(".") or type(error).__name__
