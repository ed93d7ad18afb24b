"""Fetching public corpora: pinned addresses, checked by SHA-256, kept in a cache folder."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import msgspec
from tqdm import tqdm

from dialog_policy.errors import CorpusError, OptionError, check_known, require

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
            raise OptionError(f"{path}: the entry {name!r} has no files, or names that are no plain file names.")
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
        Folder for all corpora; default: the user's cache folder, or ``DIALOG_POLICY_CACHE`` if that is set.
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
        If the catalogue has no such corpus.
    CorpusError
        If a file cannot be fetched or has another SHA-256.
    MissingExtraError
        If the extra `download` is not installed.
    """
    known = catalogue() if known is None else known
    check_known("corpus", name, known)
    entry = known[name]
    pooch = require("pooch", extra="download", purpose="downloading")
    addresses = {file: _address(entry, name, file, mirror) for file in entry.files}
    store = pooch.create(
        path=pooch.os_cache("dialog-policy") if cache is None else Path(cache),
        base_url="",
        registry={f"{name}/{file}": sha256 for file, sha256 in entry.files.items()},
        urls={f"{name}/{file}": address for file, address in addresses.items()},
        env="DIALOG_POLICY_CACHE" if cache is None else None,
    )
    pooch.get_logger().setLevel("WARNING")
    # One file shows its bytes, several show how many there are.
    one = len(entry.files) == 1
    for file in tqdm(entry.files, desc=name, unit="file", leave=False, disable=one or not sys.stderr.isatty()):
        _fetch(pooch, store, f"{name}/{file}", addresses[file], entry, show=one and sys.stderr.isatty())
    folder = Path(store.path) / name
    return folder / next(iter(entry.files)) if one else folder


def _address(entry: Entry, name: str, file: str, mirror: str | None) -> str:
    if mirror is not None:
        return f"{mirror.rstrip('/')}/{name}/{file}"
    return entry.url.replace("{file}", file)


def _fetch(pooch: Any, store: Any, key: str, address: str, entry: Entry, *, show: bool) -> None:
    requests = require("requests", extra="download", purpose="downloading")
    # pooch sets the true total; a bar without one has no truth value, which pooch asks for.
    bar: Any = tqdm(desc=PurePosixPath(key).name, total=1, unit="B", unit_scale=True, leave=False) if show else False
    fetcher = pooch.HTTPDownloader(progressbar=bar, chunk_size=_CHUNK, timeout=_TIMEOUT)
    try:
        store.fetch(key, downloader=fetcher)
    except requests.HTTPError as error:
        problem = f"the server answered {error.response.status_code} {error.response.reason}."
        remedy = f"See {entry.homepage} for where the corpus is now; --mirror names another address."
    except requests.RequestException as error:
        problem = f"the connection failed: {_reason(error)}."
        remedy = "Try again: files that are complete are kept, nothing half-written is."
    except ValueError:  # pooch's word for a wrong checksum
        problem = f"checksum mismatch: the SHA-256 of the file is not {store.registry[key]}. The file was deleted."
        remedy = f"Try again; if it stays so, the file was changed or replaced: see {entry.homepage}."
    except OSError as error:
        raise CorpusError(f"cannot be written: {error.strerror}.", path=Path(store.path) / key) from None
    else:
        return
    finally:
        if show:
            bar.close()
    raise CorpusError(problem, path=address, remedy=remedy) from None


def _reason(error: BaseException) -> str:
    """Say in a few words what lies at the bottom of a chain of network errors."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    return str(error).rstrip(".") or type(error).__name__
