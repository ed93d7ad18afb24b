"""The files of a run: how they are written whole, as a folder or as one archive."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from safetensors.numpy import save

from dialog_policy.errors import OptionError, RunError
from dialog_policy.files import atomic_folder, atomic_write, check_output, locked, sha256_of, write_file
from dialog_policy.runtime.run_reader import FORMAT_VERSION, MANIFEST, MODEL_FILES, RunReader

__all__ = [
    "LOGS",
    "check_target",
    "pack",
    "partial_folder",
    "repack",
    "save_run",
    "write_archive",
    "write_run",
]

# Logs carry wall times, so they differ between equal trainings; they are no part of the model and have no hash.
LOGS = "logs"


def check_target(run: str | os.PathLike[str]) -> None:
    """Refuse a place where a run cannot be written, or where something else than a run would give way to it.

    Raises
    ------
    RunError
        If there is a folder that is neither a run nor empty.
    OptionError
        If it is a file, its place is missing or read-only.
    """
    target = check_output(run, folder=True)
    try:
        os.fspath(run).encode()
    except UnicodeEncodeError:
        raise OptionError(f"expected a run's name in UTF-8, found {os.fspath(run)!a}. Choose another name.") from None
    if target.exists() and not (target / MANIFEST).exists() and any(target.iterdir()):
        raise RunError(f"{run} exists and is not a run folder. Name another folder, or remove it first.")


def partial_folder(run: Path) -> Path:
    """Return the folder in which a run is made before it takes its place."""
    target = run.resolve() if run.is_symlink() else run
    return target.with_name(f"{target.name}.partial")


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


def repack(
    run: RunReader, names: Iterable[str] | None = None, added: Mapping[str, bytes] | None = None, **changed: Any
) -> dict[str, bytes]:
    """Return files of a run, and a manifest of these.

    Parameters
    ----------
    run
        The run.
    names
        Of the files. None: all that policy and baselines are made of.
    added
        Further files.
    **changed
        What the manifest says otherwise.
    """
    about = {name: value for name, value in run.manifest.items() if name not in ("files", "format_version")}
    chosen = sorted(MODEL_FILES & set(run.manifest["files"])) if names is None else names
    return pack({}, {}, {name: run.read(name) for name in chosen} | dict(added or {}), about | changed)


def write_run(folder: Path, files: Mapping[str, bytes], present: Iterable[str] = ()) -> None:
    """Write the files of a run into a folder, the manifest last.

    Parameters
    ----------
    folder
        Where the run is made.
    files
        As :func:`pack` returns them.
    present
        Names of files that are there already and become part of the run, such as a checkpoint.
    """
    for name, content in files.items():
        if name != MANIFEST:
            write_file(folder / name, content)
    manifest = msgspec.json.decode(files[MANIFEST])
    manifest["files"].update({name: sha256_of(folder / name) for name in present})
    manifest["files"] = dict(sorted(manifest["files"].items()))
    write_file(folder / MANIFEST, _json(manifest))


def save_run(run: str | os.PathLike[str], files: Mapping[str, bytes]) -> None:
    """Write a run's folder: aside, then in place of the run that is there, if there is one.

    Raises
    ------
    RunError
        If there is a folder that is not a run, or another process is writing the run.
    OptionError
        If the place cannot be written.
    """
    check_target(run)
    with locked(run, "saving"), atomic_folder(run) as folder:
        check_target(run)
        write_run(folder, files)


def write_archive(path: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a run as one ``.zip``, the same bytes for the same files."""
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name), files[name], zipfile.ZIP_DEFLATED)


def _json(document: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"
