"""The files of a run as they are read: bounded in size, checked against their hashes, and for what they are said to be.

A run may come from anybody: what is wrong with it is one sentence that names the file, before anything is computed with it.
"""

from __future__ import annotations

import contextlib
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from safetensors import SafetensorError
from safetensors.numpy import load

from dialog_policy.errors import DialogPolicyError, MissingExtraError, RunError, did_you_mean
from dialog_policy.files import is_recoverable, locked, recover_folder
from dialog_policy.runtime.run_files import OpenFile, held, open_file, stamp

__all__ = ["FORMAT_VERSION", "MANIFEST", "MODEL_FILES", "RunReader"]

FORMAT_VERSION = 4
MANIFEST = "run.json"
# What a policy and its baselines are made of: checked when a run is opened. Other files of a run, such as the checkpoint from
# which training goes on, are checked when they are read.
MODEL_FILES = frozenset(
    f"{part}.{kind}"
    for part, kinds in {
        "baselines": ("json", "safetensors"), "decoder": ("json",), "dialogues": ("json",),
        "encoder": ("json", "safetensors"), "model": ("onnx",), "network": ("safetensors",), "replies": ("json",),
    }.items()
    for kind in kinds
)  # fmt: skip
# A file of arrays begins with the length of its header, which names some tens of arrays.
_LARGEST_HEADER = 1 << 20
_CHUNK = 1 << 20
# What a policy reads right after its run is opened is kept until then, unless it is larger: it is read and hashed once.
_READ_AT_ONCE = frozenset(
    {"decoder.json", "encoder.json", "encoder.safetensors", "network.safetensors", "replies.json"}
)
_LARGEST_KEPT = 64 << 20
# How often a run is opened that is replaced by another one each time before it was read.
_ATTEMPTS = 10


class _Part(msgspec.Struct):
    dialogues: int
    turns: int


class _Corpus(msgspec.Struct):
    name: str
    format: str
    reader: dict[str, str]
    train: _Part
    dev: _Part | None


class _Manifest(msgspec.Struct):
    """What ``run.json`` has to say; there may be more."""

    files: dict[str, str]
    actions: list[str]
    corpus: _Corpus
    config: dict[str, Any]
    package_version: str
    created: str
    history: list[dict[str, float | None]]


class RunReader:
    """Reads the files of a run, wherever they lie, and checks each against its hash.

    Parameters
    ----------
    open_file
        Opens a file by its name; returns None if there is no such file.
    place
        What the run is called in messages.

    Attributes
    ----------
    manifest
        What ``run.json`` says.
    path
        Where the run lies; None: it is not written yet.

    Raises
    ------
    RunError
        If this is not a run, is of another format version, or a file is missing, damaged or was changed.
    """

    def __init__(self, open_file: OpenFile, place: str) -> None:
        self._open, self.place = open_file, place
        self.path: Path | None = None
        self._stamp: object = None
        self._kept: dict[str, bytes] = {}
        with self._opened(MANIFEST) as file:
            if file is None:
                raise RunError(f"{place} is not a run: it has no {MANIFEST}.")
            written = file.read()
        about = self._parsed(MANIFEST, written)
        version = about.get("format_version")
        if version != FORMAT_VERSION:
            raise RunError(
                f"{place} is a run of format version {version}; this version of dialog-policy reads version "
                f"{FORMAT_VERSION}. Train it again, or install the version that made it "
                f"({about.get('package_version', 'unknown')})."
            )
        with self.contents(MANIFEST):
            actions = msgspec.convert(about, _Manifest).actions
            if len(set(actions)) != len(actions):
                raise ValueError("an action has two bits")
        self.manifest: dict[str, Any] = about

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunReader:
        """Open a run's folder, or the archive that ``dialog-policy export`` wrote, and check all that it is made of.

        One that is replaced by another meanwhile is opened again: what is returned is one of them, whole.
        """
        place = Path(path)
        if is_recoverable(place):
            # A process was killed while it replaced the run; one that does so right now holds the lock.
            with contextlib.suppress(DialogPolicyError), locked(place, "recovering"):
                recover_folder(place)
        for _ in range(_ATTEMPTS - 1):
            before = stamp(place, MANIFEST)
            try:
                return cls._of_place(place, before)
            except RunError:
                if stamp(place, MANIFEST) == before:
                    raise
        return cls._of_place(place, stamp(place, MANIFEST))

    @classmethod
    def _of_place(cls, place: Path, stamped: object) -> RunReader:
        name = os.fsencode(place).decode(errors="replace")
        if not place.exists():
            hint = did_you_mean(place.name, (each.name for each in place.parent.glob("*")))
            raise RunError(f"found no run at {name}.{hint} `dialog-policy train CORPUS --out {name}` makes one.")
        with held(place, name) as open_held:
            reader = cls(open_held, name)
            for file in sorted(MODEL_FILES & set(reader.manifest["files"])):
                with reader._hashed(file) as content:
                    kept = content.read(_LARGEST_KEPT) if file in _READ_AT_ONCE else b""
                    while content.read(_CHUNK):
                        kept = b""
                if kept:
                    reader._kept[file] = kept
        reader._open, reader.path, reader._stamp = partial(open_file, place, name), place, stamped
        return reader

    @classmethod
    def of_files(cls, files: Mapping[str, bytes], place: str) -> RunReader:
        """Read the files of a run that is not written yet."""
        return cls(lambda name: io.BytesIO(files[name]) if name in files else None, place)

    def has(self, name: str) -> bool:
        """Whether the run has this file."""
        return name in self.manifest["files"]

    @contextlib.contextmanager
    def contents(self, name: str) -> Iterator[None]:
        """Turn what is wrong with a file's contents into a :class:`RunError` that names it."""
        try:
            yield
        except (RunError, MissingExtraError):
            raise
        except (ValueError, TypeError, KeyError, SafetensorError, DialogPolicyError) as error:
            said = f"it lacks {error}" if isinstance(error, KeyError) else str(error).rstrip(".")
            raise RunError(f"{self.place}/{name} is damaged: {said}. Copy the run again or train it again.") from None

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[BinaryIO | None]:
        try:
            file = self._open(name)
            if file is None:
                yield None
            else:
                with file:
                    yield file
        # RuntimeError: an encrypted file; NotImplementedError, a kind of it: a compression that zipfile does not know.
        # UnicodeDecodeError: a name before its content that is no text.
        except (
            zipfile.BadZipFile,
            zlib.error,
            lzma.LZMAError,
            OSError,
            RuntimeError,
            EOFError,
            UnicodeDecodeError,
        ) as error:
            raise RunError(
                f"the file {name} in {self.place} is damaged ({error}). Copy the run again or train it again."
            ) from None

    @contextlib.contextmanager
    def _hashed(self, name: str) -> Iterator[_Hashing]:
        """Open a file that the manifest lists; when all of it was read, its hash is checked."""
        expected = self.manifest["files"].get(name)
        with self._opened(name) if expected is not None else contextlib.nullcontext() as file:
            if file is None:
                self._check_not_replaced()
                raise RunError(
                    f"the run {self.place} has no file {name}: it is incomplete; copy it again or train it again."
                )
            hashing = _Hashing(file)
            yield hashing
            digest = hashing.digest.hexdigest()
        if digest != expected:
            self._check_not_replaced()
            raise RunError(
                f"{self.place}/{name} was changed after training: expected SHA-256 {expected[:16]}…, found {digest[:16]}…. "
                "Copy the run again or train it again."
            )

    def _check_not_replaced(self) -> None:
        if self.path is not None and stamp(self.path, MANIFEST) != self._stamp:
            raise RunError(f"the run {self.place} was replaced by another one after it was opened. Open it again.")

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        if name in self._kept:
            return self._kept.pop(name)
        with self._hashed(name) as file:
            return file.read()

    def document(self, name: str) -> dict[str, Any]:
        """Return a JSON object."""
        return self._parsed(name, self.read(name))

    def _parsed(self, name: str, content: bytes) -> dict[str, Any]:
        try:
            return msgspec.json.decode(content, type=dict[str, Any])
        except (ValueError, RecursionError) as error:
            raise RunError(
                f"the {name} of {self.place} is not JSON, or not an object ({error}): the run is damaged; train it again."
            ) from None

    def beside(self, name: str) -> dict[str, Any]:
        """Return a JSON object that is no part of the run and lies beside its files; an empty one if there is none to be read."""
        try:
            with self._opened(name) as file:
                return {} if file is None else self._parsed(name, file.read())
        except RunError:
            return {}

    def arrays(self, name: str) -> dict[str, Any]:
        """Return the arrays of a safetensors file."""
        if name in self._kept:
            content = self._kept.pop(name)
            self._check_header(name, content[:8])
        else:
            with self._hashed(name) as file:
                length = file.read(8)
                self._check_header(name, length)
                content = length + file.read()
        with self.contents(name):
            return load(content)

    def _check_header(self, name: str, length: bytes) -> None:
        if not 2 <= int.from_bytes(length, "little") <= _LARGEST_HEADER:
            raise RunError(f"{self.place}/{name} is not a safetensors file (its header is too large).")


class _Hashing:
    """A file, and the hash of what was read of it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.digest = file, sha256()

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self.digest.update(content)
        return content
