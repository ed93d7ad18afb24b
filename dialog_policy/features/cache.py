"""Storage of encoded corpora, found again by their content: a second training on the same dialogues starts at once.

An entry is a folder named by the SHA-256 of all that its content depends on. It is written aside and renamed when it is whole,
every file is checked against its hash before it is used, and whatever cannot be used is ignored and made anew.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from safetensors import SafetensorError

from dialog_policy.compiled import lookup
from dialog_policy.corpus import ActionSpace, Corpus
from dialog_policy.corpus.gazetteer import Entries
from dialog_policy.errors import DialogPolicyError
from dialog_policy.features.encoded import EncodedDialogues
from dialog_policy.features.encoded_files import read_dialogues, read_encoder, write_dialogues, write_encoder
from dialog_policy.features.encoder import TurnEncoder
from dialog_policy.features.matrices import NewMatrix, new_file
from dialog_policy.features.settings import EncoderSettings
from dialog_policy.files import CACHE, atomic_folder, sha256_of, user_folder
from dialog_policy.text.encoders import files_of

__all__ = ["EncodedParts", "NewEntry", "cache_folder", "entry_name", "new_entry", "read_entry"]

_MANIFEST = "entry.json"
# Bytes of all entries together; those not used for longest go first.
_LIMIT = 4 << 30
# What a process that was killed left behind is removed after a day.
_ABANDONED_S = 86_400
_UNUSABLE = (
    OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, SafetensorError, DialogPolicyError
)  # fmt: skip


class EncodedParts(NamedTuple):
    """A fitted encoder, and the training and the dev part encoded by it."""

    encoder: TurnEncoder
    train: EncodedDialogues
    dev: EncodedDialogues | None


def cache_folder() -> Path | None:
    """Return where encoded corpora are kept: `encoded` in ``$DIALOG_POLICY_CACHE`` or the user's cache folder; None: nowhere."""
    return user_folder("cache", CACHE, "encoded")


def entry_name(
    settings: EncoderSettings,
    seed: int,
    gazetteer: Entries,
    actions: ActionSpace,
    fingerprints: Mapping[str, Sequence[str]],
) -> str:
    """Return the name of an entry: SHA-256 (hexadecimal) of all that encoded parts depend on, those of `fingerprints`."""
    vectors = [
        (str(path), status.st_size, status.st_mtime_ns)
        for encoder in (*settings.user, *settings.system)
        for path in files_of(encoder)
        if (status := _status(path)) is not None
    ]
    depends = [_code(), settings, seed, vectors, gazetteer, list(actions.classes_), dict(fingerprints)]
    return sha256(msgspec.json.encode(depends, order="deterministic")).hexdigest()


def _status(path: Path) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


@cache
def _code() -> list[Any]:
    """Versions of what computes, and a hash of our own code, compiled or not: an entry of other code is not found."""
    versions = {"unicode": unicodedata.unidata_version}  # by which Python folds the case of a text
    for package in ("dialog-policy", "numpy", "scipy", "scikit-learn", "gensim", "onnxruntime", "regex", "tokenizers"):
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    root = Path(__file__).resolve().parent.parent
    digest = sha256()
    for module in sorted(path for room in ("corpus", "features", "text") for path in (root / room).glob("*.py")):
        digest.update(module.read_bytes())
    if lookup is not None:
        digest.update(Path(lookup.__file__).read_bytes())
    return [versions, digest.hexdigest()]


class NewEntry:
    """An entry while it is made, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def matrices(self, part: str) -> NewMatrix:
        """Return what makes the dense matrices of a part, as files of the entry."""
        return lambda name, shape: new_file(self._folder / f"{part}.{name}.npy", shape)

    def keep(self, parts: EncodedParts) -> None:
        """Write the rest.

        Raises
        ------
        OSError
            If the disk has no room for it.
        """
        _write(self._folder, parts)


@contextlib.contextmanager
def new_entry(entry: Path) -> Iterator[NewEntry]:
    """Begin an entry beside its place; it gets its name when the block ends without an error, and replaces a damaged one.

    Raises
    ------
    OSError
        If the folder of all entries cannot be made.
    OptionError
        If nothing can be written there.
    """
    entry.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(entry) as folder:
        yield NewEntry(folder)
    _trim(entry.parent, entry)


def _write(folder: Path, content: EncodedParts) -> None:
    write_encoder(folder, content.encoder)
    for part, encoded in (("train", content.train), ("dev", content.dev)):
        if encoded is not None:
            write_dialogues(folder, part, encoded)
    hashes = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
    (folder / _MANIFEST).write_bytes(msgspec.json.encode({"files": hashes}))


def read_entry(entry: Path, train: Corpus, dev: Corpus | None, actions: ActionSpace) -> EncodedParts | None:
    """Return an entry, made of these parts; None if there is none, or it is damaged."""
    try:
        hashes = msgspec.json.decode((entry / _MANIFEST).read_bytes())["files"]
        if any(sha256_of(entry / Path(name).name) != digest for name, digest in hashes.items()):
            return None
        encoder, trainable = read_encoder(entry, actions, train.gazetteer)
        encoded = {}
        for part, corpus in (("train", train), ("dev", dev)):
            if corpus is not None:
                encoded[part] = read_dialogues(entry, part, list(corpus.ids), trainable)
                if (encoded[part].n_features, encoded[part].n_actions) != (encoder.dim, len(actions)):
                    return None
        os.utime(entry / _MANIFEST)
    except _UNUSABLE:
        return None
    return EncodedParts(encoder, encoded["train"], encoded.get("dev"))


def _trim(root: Path, newest: Path) -> None:
    """Remove entries until all together are small enough, those not used for longest first, and what was abandoned."""
    ages: list[tuple[float, int, Path]] = []
    for folder in root.iterdir():
        hexadecimal = folder.name.strip(".").partition(".")[0]
        if len(hexadecimal) != 64 or not folder.is_dir():
            continue  # not ours
        with contextlib.suppress(OSError):
            if folder.name.startswith("."):
                if time.time() - folder.stat().st_mtime > _ABANDONED_S:
                    shutil.rmtree(folder, ignore_errors=True)
                continue
            size = sum(path.stat().st_size for path in folder.iterdir())
            ages.append(((folder / _MANIFEST).stat().st_mtime, size, folder))
    total = sum(size for _, size, _ in ages)
    for _, size, folder in sorted(ages):
        if total > _LIMIT and folder != newest:
            shutil.rmtree(folder, ignore_errors=True)
            total -= size
