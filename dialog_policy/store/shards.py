"""The steps of making a store that are done shard by shard, wherever the shard's files can be reached.

Every step finds what it needs in the store's folder, does its work once, and returns what is in its receipt.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from dialog_policy.collector import uncollected
from dialog_policy.corpus import ActionSpace, Dialogue
from dialog_policy.corpus.shards import read_shard
from dialog_policy.corpus.stored import StoreManifest
from dialog_policy.corpus.stored_files import describe_files
from dialog_policy.features.encode import encode_dialogues
from dialog_policy.features.encoded_files import read_encoder
from dialog_policy.features.encoder import TurnEncoder
from dialog_policy.features.feature_manifest import FeatureShard
from dialog_policy.features.matrices import new_file
from dialog_policy.features.settings import EncoderSettings
from dialog_policy.features.sharded import write_shard
from dialog_policy.features.streamed import CountedShard, count_shard, load_columns, sample_shard
from dialog_policy.store.workshop import WORK, once
from dialog_policy.threads import one_thread

__all__ = [
    "FEATURES",
    "Context",
    "Sample",
    "ShardTask",
    "Values",
    "columns_file",
    "count",
    "encode",
    "sample",
    "write_context",
]

FEATURES = "features"
_CONTEXT = "context"

Samples = dict[str, dict[int, list[list[str]]]]


class Values(msgspec.Struct):
    """The values of entities that the training part knows.

    Attributes
    ----------
    gazetteer
        The corpus' own, with the ways to write its values that the training part shows.
    unlisted
        Values of it that users of the training part asked for and none of its records has.
    """

    gazetteer: dict[str, tuple[str | tuple[str, str], ...]]
    unlisted: dict[str, frozenset[str]]


class Context(msgspec.Struct):
    """What all steps need to know: the text of the store, and what the encoder is fitted by."""

    manifest: StoreManifest
    settings: EncoderSettings
    values: Values
    actions: list[str] = []


class ShardTask(NamedTuple):
    """Dialogues of one part that are in one shard of the text.

    Attributes
    ----------
    folder
        The store while it is made.
    part
        ``"train"`` or ``"dev"``.
    number
        Of the shard among those of the part.
    shard
        Of the text.
    rows
        Of the dialogues in the shard, int64; None: all.
    """

    folder: str
    part: str
    number: int
    shard: int
    rows: bytes | None

    @property
    def name(self) -> str:
        """The name of the part's shard."""
        return f"{self.part}-{self.number:05}"


class Sample(NamedTuple):
    """Which texts of a shard to read again: parameters of :func:`~dialog_policy.features.streamed.sample_shard`."""

    task: ShardTask
    before: Mapping[str, int]
    steps: Mapping[str, Sequence[int]]


def write_context(folder: Path, context: Context) -> None:
    """Write what all steps need to know."""
    (folder / WORK / _CONTEXT).write_bytes(msgspec.json.encode(context))


def _context(folder: str) -> Context:
    place = Path(folder, WORK, _CONTEXT)
    return _read_context(place, place.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _read_context(place: Path, _: int) -> Context:
    return msgspec.json.decode(place.read_bytes(), type=Context)


@lru_cache(maxsize=1)
def _encoder(folder: str, _: int) -> TurnEncoder:
    context = _context(folder)
    return read_encoder(Path(folder, FEATURES), ActionSpace(context.actions), context.values.gazetteer)[0]


def _dialogues(task: ShardTask, context: Context) -> list[Dialogue]:
    rows = None if task.rows is None else np.frombuffer(task.rows, dtype=np.int64).tolist()
    return read_shard(Path(task.folder), context.manifest.shards[task.shard], rows)


def columns_file(task: ShardTask) -> Path:
    """Return where the columns of a shard are kept between the steps."""
    return Path(task.folder, WORK, f"{task.name}.columns")


def count(task: ShardTask) -> CountedShard:
    """Read a shard as columns and count what encoders are fitted by."""

    def make() -> CountedShard:
        context = _context(task.folder)
        with uncollected(), one_thread():
            dialogues = _dialogues(task, context)
            known = context.values
            return count_shard(columns_file(task), dialogues, known.gazetteer, known.unlisted, context.settings)

    return once(Path(task.folder, WORK, f"{task.name}.counts"), CountedShard, make)


def sample(wanted: Sample) -> Samples:
    """Read some texts of a shard again."""
    task = wanted.task

    def make() -> Samples:
        tokenizer = _context(task.folder).settings.tokenizer
        with uncollected():
            drawn = sample_shard(columns_file(task), tokenizer, wanted.before, wanted.steps)
        return {part: {step: list(map(list, texts)) for step, texts in own.items()} for part, own in drawn.items()}

    return once(Path(task.folder, WORK, f"{task.name}.sample"), Samples, make)


def encode(task: ShardTask) -> FeatureShard:
    """Encode a shard; its features are files in a folder of its own."""

    def make() -> FeatureShard:
        context = _context(task.folder)
        encoder = _encoder(task.folder, Path(task.folder, FEATURES, "encoder.json").stat().st_mtime_ns)
        folder = Path(task.folder, FEATURES, task.name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        with uncollected(), one_thread():
            is_counted = columns_file(task).exists()
            columns = load_columns(columns_file(task), context.settings.tokenizer) if is_counted else None
            encoded = encode_dialogues(
                () if is_counted else _dialogues(task, context),
                encoder,
                columns,
                new_matrix=lambda name, shape: new_file(folder / f"{name}.npy", shape),
            )
            write_shard(folder, encoded)
        return FeatureShard(task.name, len(encoded), int(encoded.offsets[-1]), describe_files(folder))

    return once(Path(task.folder, WORK, f"{task.name}.features"), FeatureShard, make)
