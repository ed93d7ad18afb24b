"""The files of a run: how they are written whole, as a folder or as one archive, and how they are checked."""

from __future__ import annotations

import contextlib
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from safetensors import SafetensorError
from safetensors.numpy import load, save

from dialog_policy.errors import DialogPolicyError, OptionError, RunError
from dialog_policy.files import atomic_folder, atomic_write, check_output, locked, recover_folder, sha256_of, write_file

__all__ = [
    "FORMAT_VERSION",
    "LOGS",
    "MANIFEST",
    "RunReader",
    "check_target",
    "pack",
    "partial_folder",
    "repack",
    "save_run",
    "write_archive",
    "write_run",
]

FORMAT_VERSION = 4
MANIFEST = "run.json"
# Logs carry wall times, so they differ between equal trainings; they are no part of the model and have no hash.
LOGS = "logs"
# What a policy and its baselines are made of: checked when a run is opened. Other files of a run, such as the checkpoint from
# which training goes on, are checked when they are read.
_CHECKED = frozenset(
    f"{part}.{kind}"
    for part, kinds in {
        "baselines": ("json", "safetensors"), "decoder": ("json",), "dialogues": ("json",),
        "encoder": ("json", "safetensors"), "model": ("onnx",), "network": ("safetensors",), "replies": ("json",),
    }.items()
    for kind in kinds
)  # fmt: skip


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
    chosen = sorted(_CHECKED & set(run.manifest["files"])) if names is None else names
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
        If this is not a run, is of another format version, or a file is missing or was changed.
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
        if not isinstance(about.get("files"), dict):
            raise RunError(
                f"the {MANIFEST} of {place} lists no files: the run is damaged; copy it again or train it again."
            )
        self.manifest: dict[str, Any] = about

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunReader:
        """Open a run's folder, or the archive that ``dialog-policy export`` wrote, and check all that it is made of."""
        place = Path(path)
        if not place.exists():
            # A process was killed while it replaced the run; one that does so right now holds the lock.
            with contextlib.suppress(DialogPolicyError), locked(place, "recovering"):
                recover_folder(place)
        name = os.fsencode(place).decode(errors="replace")
        if place.is_dir():
            reader = cls(lambda name: (place / name).read_bytes() if (place / name).is_file() else None, name)
        elif place.is_file():
            reader = cls(partial(_archived, place, name), name)
        else:
            raise RunError(f"found no run at {name}. `dialog-policy train CORPUS --out {name}` makes one.")
        for file in sorted(_CHECKED & set(reader.manifest["files"])):
            reader.read(file)
        return reader

    def has(self, name: str) -> bool:
        """Whether the run has this file."""
        return name in self.manifest["files"]

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        expected = self.manifest["files"].get(name)
        content = None if expected is None else self._read(name)
        if content is None:
            raise RunError(
                f"the run {self.place} has no file {name}: it is incomplete; copy it again or train it again."
            )
        digest = sha256(content).hexdigest()
        if digest != expected:
            raise RunError(
                f"{self.place}/{name} was changed after training: expected SHA-256 {expected[:16]}…, found {digest[:16]}…. "
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


def _archived(path: Path, place: str, name: str) -> bytes | None:
    """Return a file of an archive; None if there is no such file."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
            return _member(archive, place, name) if name in members else None
    except (zipfile.BadZipFile, OSError) as error:
        raise RunError(
            f"{place} is neither a run's folder nor an archive made by `dialog-policy export` ({error})."
        ) from None


def _member(archive: zipfile.ZipFile, place: str, name: str) -> bytes:
    try:
        return archive.read(name)
    # RuntimeError: an encrypted file; NotImplementedError, a kind of it: a compression that zipfile does not know.
    except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, EOFError) as error:
        raise RunError(
            f"the file {name} in the archive {place} is damaged ({error}). Copy the archive again or export it again."
        ) from None
