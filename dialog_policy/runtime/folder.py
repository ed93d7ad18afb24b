"""The files of a run: how they are written whole, as a folder or as one archive, and how they are checked."""

from __future__ import annotations

import contextlib
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from safetensors import SafetensorError
from safetensors.numpy import load, save

from dialog_policy.errors import RunError
from dialog_policy.files import atomic_write, sha256_of

__all__ = [
    "FORMAT_VERSION",
    "LOGS",
    "MANIFEST",
    "RunReader",
    "aside",
    "check_target",
    "pack",
    "put_in_place",
    "write_archive",
    "write_run",
]

FORMAT_VERSION = 4
MANIFEST = "run.json"
# Logs carry wall times, so they differ between equal trainings; they are no part of the model and have no hash.
LOGS = "logs"


def aside(run: Path) -> Path:
    """Return the folder in which a run is made before it takes its place."""
    return run.parent / f"{run.name}.partial"


def check_target(run: Path) -> None:
    """Refuse a target that exists and is not a run (or empty).

    Raises
    ------
    RunError
        If writing the run would replace something else.
    """
    if run.exists() and not (run.is_dir() and ((run / MANIFEST).exists() or not any(run.iterdir()))):
        raise RunError(f"{run} exists and is not a run. Name another folder, or remove it first.")


def pack(
    documents: Mapping[str, Any], arrays: Mapping[str, Mapping[str, Any]], blobs: Mapping[str, bytes],
    manifest: Mapping[str, Any],
) -> dict[str, bytes]:  # fmt: skip
    """Return the files of a run, its manifest with all hashes among them.

    Parameters
    ----------
    documents, arrays, blobs
        File name to a JSON document, to named arrays (safetensors), to bytes.
    manifest
        What the manifest says besides format version and hashes.
    """
    files = {name: _json(document) for name, document in documents.items()}
    files.update({name: save(dict(named)) for name, named in arrays.items()})
    files.update(blobs)
    hashes = {name: sha256(content).hexdigest() for name, content in sorted(files.items())}
    files[MANIFEST] = _json({"format_version": FORMAT_VERSION, **manifest, "files": hashes})
    return files


def write_run(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a run into `folder`, the manifest last; files there already (a checkpoint) become part of it."""
    for name, content in files.items():
        if name != MANIFEST:
            with atomic_write(folder / name) as file:
                file.write(content)
    manifest = msgspec.json.decode(files[MANIFEST])
    others = (p for p in folder.iterdir() if p.is_file() and p.name not in files)
    manifest["files"].update({path.name: sha256_of(path) for path in others})
    manifest["files"] = dict(sorted(manifest["files"].items()))
    with atomic_write(folder / MANIFEST) as file:
        file.write(_json(manifest))


def write_archive(path: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a run as one ``.zip``, the same bytes for the same files."""
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name), files[name], zipfile.ZIP_DEFLATED)


def put_in_place(made: Path, run: Path) -> None:
    """Give a finished run its name; a run that has the name gives way only now."""
    check_target(run)
    old = run.parent / f"{run.name}.old"
    shutil.rmtree(old, ignore_errors=True)
    if run.exists():
        os.replace(run, old)
    os.replace(made, run)
    with contextlib.suppress(OSError):
        shutil.rmtree(old)


def _json(document: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


class RunReader:
    """Reads the files of a run, wherever they lie, and checks each against its hash.

    Parameters
    ----------
    read
        Returns a file's bytes by its name, None if there is no such file.
    place
        What the run is called in messages.

    Attributes
    ----------
    manifest
        What ``run.json`` says.

    Raises
    ------
    RunError
        If this is no run, is of another format version, or a file is missing or was changed.
    """

    def __init__(self, read: Callable[[str], bytes | None], place: str) -> None:
        self._read, self.place = read, place
        written = read(MANIFEST)
        if written is None:
            raise RunError(f"{place} is not a run: it has no {MANIFEST}.")
        try:
            manifest = msgspec.json.decode(written)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RunError(
                f"the {MANIFEST} of {place} is not JSON ({error}): the run is damaged; train it again."
            ) from None
        about = manifest if isinstance(manifest, dict) else {}
        version = about.get("format_version")
        if version != FORMAT_VERSION:
            raise RunError(
                f"{place} is a run of format version {version}; this version of dialog-policy reads version "
                f"{FORMAT_VERSION}. Train it again, or install the version that made it "
                f"({about.get('package_version', 'unknown')})."
            )
        self.manifest: dict[str, Any] = about

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunReader:
        """Open a run's folder, or the archive that ``dialog-policy export`` wrote."""
        place = Path(path)
        if place.is_dir():
            return cls(lambda name: (place / name).read_bytes() if (place / name).is_file() else None, str(place))
        if not place.is_file():
            raise RunError(f"there is no run at {place}. `dialog-policy train CORPUS --out {place}` makes one.")
        return cls(partial(_archived, place), str(place))

    def has(self, name: str) -> bool:
        """Whether the run has this file."""
        return name in self.manifest["files"]

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        expected = self.manifest.get("files", {}).get(name)
        content = None if expected is None else self._read(name)
        if content is None:
            raise RunError(
                f"the run {self.place} has no file {name}: it is incomplete; copy it again or train it again."
            )
        found = sha256(content).hexdigest()
        if found != expected:
            raise RunError(
                f"{self.place}/{name} was changed after training: expected SHA-256 {expected[:16]}…, found {found[:16]}…. "
                "Copy the run again or train it again."
            )
        return content

    def document(self, name: str) -> Any:
        """Return a JSON document."""
        return msgspec.json.decode(self.read(name))

    def arrays(self, name: str) -> dict[str, Any]:
        """Return the arrays of a safetensors file."""
        try:
            return load(self.read(name))
        except SafetensorError as error:
            raise RunError(f"{self.place}/{name} is not a safetensors file ({error}).") from None


def _archived(path: Path, name: str) -> bytes | None:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    except KeyError:
        return None
    # RuntimeError: an encrypted file; NotImplementedError, a kind of it: a compression that zipfile does not know.
    except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, EOFError) as error:
        raise RunError(
            f"{path} is neither a run's folder nor an archive made by `dialog-policy export` ({error})."
        ) from None
