"""The run folder: what is in it, how it is written whole, how it is checked."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from safetensors import SafetensorError
from safetensors.numpy import load, save

from dialog_policy.errors import RunError
from dialog_policy.files import atomic_write, sha256_of

__all__ = ["FORMAT_VERSION", "LOGS", "MANIFEST", "RunReader", "aside", "check_target", "put_in_place", "write_run"]

FORMAT_VERSION = 1
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


def write_run(
    folder: Path, documents: Mapping[str, Any], arrays: Mapping[str, Mapping[str, Any]], blobs: Mapping[str, bytes],
    manifest: Mapping[str, Any],
) -> None:  # fmt: skip
    """Write the files of a run into `folder`, its manifest with all hashes last.

    Parameters
    ----------
    folder
        Where; files that are there already (a training's checkpoint) become part of the run.
    documents, arrays, blobs
        File name to a JSON document, to named arrays (safetensors), to bytes.
    manifest
        What the manifest says besides format version and hashes.
    """
    contents: dict[str, Callable[[], bytes]] = {}
    contents.update({name: lambda d=d: _json(d) for name, d in documents.items()})  # type: ignore[misc]
    contents.update({name: lambda a=a: save(dict(a)) for name, a in arrays.items()})  # type: ignore[misc]
    contents.update({name: lambda b=b: b for name, b in blobs.items()})  # type: ignore[misc]
    for name, content in contents.items():
        with atomic_write(folder / name) as file:
            file.write(content())
    files = {
        path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.is_file() and path.name != MANIFEST
    }
    with atomic_write(folder / MANIFEST) as file:
        file.write(_json({"format_version": FORMAT_VERSION, **manifest, "files": files}))


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
    """Reads the files of a run and checks each against its hash.

    Raises
    ------
    RunError
        If the folder is no run, is of another format version, or a file is missing or was changed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise RunError(
                f"there is no run at {self.folder}. `dialog-policy train CORPUS --out {self.folder}` makes one."
            )
        try:
            manifest = msgspec.json.decode((self.folder / MANIFEST).read_bytes())
        except FileNotFoundError:
            raise RunError(f"{self.folder} is not a run: it has no {MANIFEST}.") from None
        except msgspec.DecodeError as error:
            raise RunError(
                f"{self.folder / MANIFEST} is not JSON ({error}): the run is damaged; train it again."
            ) from None
        version = manifest.get("format_version") if isinstance(manifest, dict) else None
        if version != FORMAT_VERSION:
            raise RunError(
                f"{self.folder} is a run of format version {version}; this version of dialog-policy reads version "
                f"{FORMAT_VERSION}. Train it again, or install the version that made it"
                f" ({manifest.get('package_version', 'unknown') if isinstance(manifest, dict) else 'unknown'})."
            )
        self.manifest: dict[str, Any] = manifest

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        path = self.folder / name
        expected = self.manifest.get("files", {}).get(name)
        if expected is None or not path.is_file():
            raise RunError(
                f"the run {self.folder} has no file {name}: it is incomplete; copy it again or train it again."
            )
        found = sha256_of(path)
        if found != expected:
            raise RunError(
                f"{path} was changed after training: expected SHA-256 {expected[:16]}…, found {found[:16]}…. "
                "Copy the run again or train it again."
            )
        return path.read_bytes()

    def document(self, name: str) -> Any:
        """Return a JSON document."""
        return msgspec.json.decode(self.read(name))

    def arrays(self, name: str) -> dict[str, Any]:
        """Return the arrays of a safetensors file."""
        try:
            return load(self.read(name))
        except SafetensorError as error:
            raise RunError(f"{self.folder / name} is not a safetensors file ({error}).") from None
