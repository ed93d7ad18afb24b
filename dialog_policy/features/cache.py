"""Storage of encoded corpora, found again by their content: a second training on the same dialogues starts at once.

An entry is a folder named by the SHA-256 of all that its content depends on. It is written aside and renamed when it is whole,
every file is checked against its hash before it is used, and whatever cannot be used is ignored and made anew.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from dialog_policy.corpus import ActionSpace, Corpus
from dialog_policy.corpus.gazetteer import Entries
from dialog_policy.errors import DialogPolicyError
from dialog_policy.features.encoded import EmbeddedTexts, EncodedDialogues
from dialog_policy.features.encoder import TurnEncoder
from dialog_policy.features.matrices import MappedRows, Matrix, NewMatrix, SparseRows, new_file
from dialog_policy.features.settings import EncoderSettings
from dialog_policy.files import sha256_of, user_folder
from dialog_policy.text.embedding import TrainableTable
from dialog_policy.text.encoders import Pretrained
from dialog_policy.text.ragged import Ragged

__all__ = ["CACHE", "EncodedParts", "NewEntry", "cache_folder", "entry_name", "new_entry", "read_entry"]

# Environment variable that names the folder; empty: nothing is kept.
CACHE = "DIALOG_POLICY_CACHE"
_MANIFEST = "entry.json"
_ENCODER, _ENCODER_ARRAYS = "encoder.json", "encoder.safetensors"
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
        (encoder.path, status.st_size, status.st_mtime_ns)
        for encoder in (*settings.user, *settings.system)
        if isinstance(encoder, Pretrained) and (status := _status(encoder.path)) is not None
    ]
    depends = [_code(), settings, seed, vectors, gazetteer, list(actions.classes_), dict(fingerprints)]
    return sha256(msgspec.json.encode(depends, order="deterministic")).hexdigest()


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


@cache
def _code() -> list[Any]:
    """Versions of what computes, and a hash of our own modules: an entry of other code is not found."""
    versions = {}
    for package in ("dialog-policy", "numpy", "scipy", "scikit-learn", "gensim"):
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    root = Path(__file__).resolve().parent.parent
    digest = sha256()
    for module in sorted(path for room in ("corpus", "features", "text") for path in (root / room).glob("*.py")):
        digest.update(module.read_bytes())
    return [versions, digest.hexdigest()]


class NewEntry:
    """An entry while it is made, in a folder of its own."""

    def __init__(self, folder: Path, entry: Path) -> None:
        self._folder, self._entry = folder, entry

    def matrices(self, part: str) -> NewMatrix:
        """Return what makes the dense matrices of a part, as files of the entry."""
        return lambda name, shape: new_file(self._folder / f"{part}.{name}.npy", shape)

    def keep(self, parts: EncodedParts) -> None:
        """Write the rest and give the entry its name.

        Raises
        ------
        OSError
            If the disk has no room for it.
        """
        _write(self._folder, parts)
        if _put_in_place(self._folder, self._entry):
            _trim(self._entry.parent, self._entry)


@contextlib.contextmanager
def new_entry(entry: Path) -> Iterator[NewEntry]:
    """Begin an entry beside its place; what is not kept is removed.

    Raises
    ------
    OSError
        If there cannot be such a folder.
    """
    folder = entry.parent / f".{entry.name}.{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    try:
        yield NewEntry(folder, entry)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(folder: Path, content: EncodedParts) -> None:
    described, arrays = content.encoder.to_parts()
    # A run stores trained tables only, which are like any other.
    described["trainable"] = {
        name: {str(n): table.word_dropout for n, table in enumerate(tables) if isinstance(table, TrainableTable)}
        for name, tables in content.encoder.tables.items()
    }
    (folder / _ENCODER).write_bytes(msgspec.json.encode(described))
    (folder / _ENCODER_ARRAYS).write_bytes(save({name: np.ascontiguousarray(a) for name, a in arrays.items()}))
    for part, encoded in (("train", content.train), ("dev", content.dev)):
        if encoded is not None:
            layout, named = _packed(encoded)
            (folder / f"{part}.json").write_bytes(msgspec.json.encode(layout))
            (folder / f"{part}.safetensors").write_bytes(save(named))
    hashes = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
    (folder / _MANIFEST).write_bytes(msgspec.json.encode({"files": hashes}))


def _packed(encoded: EncodedDialogues) -> tuple[list[Any], dict[str, Any]]:
    """Return what kind each part's matrix is, and all arrays but the mapped ones by name."""
    layout: list[Any] = []
    arrays: dict[str, Any] = {"offsets": encoded.offsets, "is_target": encoded.is_target}
    arrays["targets"], arrays["targets.rows"] = encoded.goals
    rows_of: dict[int, int] = {}
    for number, (matrix, rows) in enumerate(encoded.parts):
        # Blocks of one part of a turn share their row numbers.
        shared = rows_of.setdefault(id(rows), number)
        if shared == number:
            arrays[f"{number}.rows"] = rows
        kind: dict[str, Any] = {"rows": shared}
        if number in encoded.embedded:
            packed = encoded.embedded[number].packed
            kind["trainable"] = True
            # Without the empty text that was added for padding.
            arrays[f"{number}.ids"], arrays[f"{number}.offsets"] = packed.values, packed.offsets[:-1]
        elif isinstance(matrix, MappedRows):
            kind["file"] = matrix.path.name
        elif isinstance(matrix, SparseRows):
            kind["width"] = matrix.width
            arrays[f"{number}.columns"] = matrix.columns.values
            arrays[f"{number}.offsets"] = matrix.columns.offsets
            arrays[f"{number}.values"] = matrix.values
        else:
            arrays[f"{number}.matrix"] = matrix
        layout.append(kind)
    return layout, {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _unpacked(
    layout: list[Any], arrays: Mapping[str, Any], folder: Path, ids: Sequence[str], tables: Sequence[TrainableTable]
) -> EncodedDialogues:
    """Undo :func:`_packed`."""
    parts: list[tuple[Matrix, Any]] = []
    embedded: dict[int, EmbeddedTexts] = {}
    remaining = iter(tables)
    for number, kind in enumerate(layout):
        matrix: Matrix
        if kind.get("trainable"):
            table = next(remaining)
            packed = Ragged(arrays[f"{number}.ids"], arrays[f"{number}.offsets"])
            embedded[number] = EmbeddedTexts(table, packed)
            matrix = np.broadcast_to(np.float32(0), (len(packed) + 1, table.dim))
        elif "file" in kind:
            matrix = MappedRows(folder / Path(kind["file"]).name)
        elif "width" in kind:
            columns = Ragged(arrays[f"{number}.columns"], arrays[f"{number}.offsets"])
            matrix = SparseRows(columns, arrays[f"{number}.values"], kind["width"])
        else:
            matrix = arrays[f"{number}.matrix"]
        parts.append((matrix, arrays[f"{kind['rows']}.rows"]))
    targets = arrays["targets"], arrays["targets.rows"]
    encoded = EncodedDialogues(ids, arrays["offsets"], parts, targets, arrays["is_target"], embedded)
    encoded.check()
    return encoded


def read_entry(entry: Path, train: Corpus, dev: Corpus | None, actions: ActionSpace) -> EncodedParts | None:
    """Return an entry, made of these parts; None if there is none, or it is damaged."""
    try:
        hashes = msgspec.json.decode((entry / _MANIFEST).read_bytes())["files"]
        if any(sha256_of(entry / Path(name).name) != digest for name, digest in hashes.items()):
            return None
        described = msgspec.json.decode((entry / _ENCODER).read_bytes())
        arrays = load((entry / _ENCODER_ARRAYS).read_bytes())
        encoder = TurnEncoder.from_parts(described, arrays, actions, train.gazetteer)
        trainable = _make_trainable(encoder, described["trainable"])
        encoded = {}
        for part, corpus in (("train", train), ("dev", dev)):
            if corpus is not None:
                layout = msgspec.json.decode((entry / f"{part}.json").read_bytes())
                arrays = load((entry / f"{part}.safetensors").read_bytes())
                encoded[part] = _unpacked(layout, arrays, entry, [d.id for d in corpus], trainable)
                if (encoded[part].n_features, encoded[part].n_actions) != (encoder.dim, len(actions)):
                    return None
        os.utime(entry / _MANIFEST)
    except _UNUSABLE:
        return None
    return EncodedParts(encoder, encoded["train"], encoded.get("dev"))


def _make_trainable(encoder: TurnEncoder, dropouts: Mapping[str, Mapping[str, float]]) -> list[TrainableTable]:
    """Turn tables that were trainable back into such, and return them in the order of the features."""
    trainable: list[TrainableTable] = []
    for name, tables in encoder.tables.items():
        content = list(tables)
        for number, dropout in dropouts[name].items():
            own = tables[int(number)]
            if own.vectors is None or not 0 <= dropout < 1:
                raise ValueError("a table that cannot be trained")
            pools: Any = own.pools
            table = TrainableTable(own.analyzer, own.terms, own.vectors, pools=pools, word_dropout=dropout)
            content[int(number)] = table
            trainable.append(table)
        encoder.tables[name] = tuple(content)
    return trainable


def _put_in_place(folder: Path, entry: Path) -> bool:
    """Give a whole entry its name; it replaces a damaged one, and is dropped where another process was as fast."""
    old = folder.with_name(f"{folder.name}.old")
    try:
        if entry.exists():
            os.replace(entry, old)
        os.replace(folder, entry)
    except OSError:
        return False
    finally:
        shutil.rmtree(old, ignore_errors=True)
    return True


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
