"""``prepare``: read a corpus as a stream, write its text in shards, fit an encoder on its training part, write features in shards."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dialog_policy.collector import uncollected
from dialog_policy.corpus import ActionSpace, Corpus, Dialogue
from dialog_policy.corpus.part_labels import part_problems
from dialog_policy.corpus.problems import warn_of
from dialog_policy.corpus.readers import OpenCorpus, Paths, open_corpus
from dialog_policy.corpus.readers.warehouse import is_address, name_of_address
from dialog_policy.corpus.record_memory import unlisted_values
from dialog_policy.corpus.shards import ShardFile, write_shard
from dialog_policy.corpus.stored import FORMAT, STORE_MANIFEST, StoredCorpus, StoreManifest
from dialog_policy.corpus.stored_files import StoredFile, describe_files
from dialog_policy.corpus.written_forms import with_written_forms
from dialog_policy.errors import CorpusError, OptionError
from dialog_policy.executor import Executor, LocalProcesses
from dialog_policy.features.encoded_files import write_encoder
from dialog_policy.features.feature_manifest import Features
from dialog_policy.features.fit import fit_tables
from dialog_policy.features.stored import digest
from dialog_policy.features.streamed import Totals, streamed_texts
from dialog_policy.policy.config import Config
from dialog_policy.policy.parts import Parts, choose_parts, own_dev
from dialog_policy.store.shards import (
    FEATURES,
    Context,
    Sample,
    ShardTask,
    Values,
    columns_file,
    count,
    encode,
    sample,
    write_context,
)
from dialog_policy.store.workshop import WORK, once, workshop
from dialog_policy.text.counts import svd_step
from dialog_policy.threads import one_thread

__all__ = ["prepare"]

_TURNS_A_SHARD = 50_000
# Bytes of text after which a shard ends all the same: it is in memory while it is written and while it is read.
_BYTES_A_SHARD = 128 << 20
_TEXT = "text"

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")
Say = Callable[[str], None]


def prepare(
    corpus: Corpus | Paths,
    store: str | os.PathLike[str],
    *,
    config: Config | None = None,
    split: str = "train",
    dev: str = "auto",
    format: str | None = None,
    reader: dict[str, str] | None = None,
    executor: Executor | None = None,
    turns_a_shard: int = _TURNS_A_SHARD,
    say: Say = lambda text: None,
) -> StoredCorpus:
    """Make a store of a corpus: shards of text, and of features for training.

    The corpus is read as a stream and never held whole. A call that was interrupted goes on where it was when it is made again.

    Parameters
    ----------
    corpus
        A corpus, or the path or paths of one.
    store
        The store's folder. A store that is there is replaced in one step when the new one is finished.
    config
        Settings; those of the encoders and the seed count. None: the defaults.
    split
        The part that will be trained on, on which the encoders are fitted; ``"none"``: text only.
    dev
        What training will be validated on: a part, ``"inner"``, ``"none"`` or ``"auto"``, as for training.
    format, reader
        As for :func:`~dialog_policy.load_corpus`.
    executor
        What works on shards. None: this process.
    turns_a_shard
        A shard ends with the dialogue that makes it so many turns, or 128 MiB of text.
    say
        Takes sentences about what is going on.

    Raises
    ------
    CorpusError
        If the corpus cannot be read, an id occurs twice, or there is no such part.
    OptionError
        If an option is impossible, or the disk is full: what is finished is kept then.
    RunError
        If another process makes this store, there is something else at its place, or a process was lost.

    Warns
    -----
    CorpusWarning
        If something in the corpus is not read, or should be checked.
    """
    config, executor, place = config or Config(), executor or LocalProcesses(1), Path(store)
    opened = _of_corpus(corpus) if isinstance(corpus, Corpus) else open_corpus(corpus, format=format, reader=reader)
    if turns_a_shard < 1:
        raise OptionError(f"turns_a_shard: expected a number from 1, found {turns_a_shard}.")
    settings = msgspec.to_builtins(config.encoders)
    request = {
        "format": FORMAT,
        "corpus": _identity(corpus),
        "reader": [opened.format, opened.reader_options],
        "settings": [settings, config.seed, config.smallest_dev],
        "parts": [split, dev],
        "turns_a_shard": turns_a_shard,
    }
    with workshop(place, request, say) as folder:
        text = partial(_write_text, opened, folder, turns_a_shard)
        shards = once(folder / WORK / "text", list[ShardFile], text)
        manifest = StoreManifest(
            format=FORMAT,
            name=opened.name,
            corpus_format=opened.format,
            reader_options=dict(opened.reader_options),
            gazetteer={kind: tuple(values) for kind, values in opened.gazetteer.items()},
            replies_are_templates=opened.replies_are_templates,
            shards=shards,
        )
        whole = StoredCorpus(folder, manifest)
        whole.check_ids()
        warn_of([*opened.problems(), *part_problems(Counter(whole.labels))])
        if split != "none":
            own = own_dev(whole, dev)
            if isinstance(own, str) and own != "inner":
                raise OptionError(f"dev: expected a part of the corpus, 'inner', 'none' or 'auto'; found {dev!r}.")
            parts = choose_parts(whole.split(split), own, config.smallest_dev)
            features = _make_features(folder, manifest, parts, config, executor, (split, dev))
            manifest.features = msgspec.Raw(msgspec.json.encode(features))
        (folder / STORE_MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    return StoredCorpus(place)


def _of_corpus(corpus: Corpus) -> OpenCorpus:
    return OpenCorpus(
        corpus.name,
        corpus.format,
        corpus.reader_options,
        corpus.gazetteer,
        corpus.replies_are_templates,
        corpus.__iter__,
        tuple,
    )


def _identity(corpus: Corpus | Paths) -> Any:
    """Return what changes when the corpus changes."""
    if isinstance(corpus, Corpus):
        return digest(corpus.fingerprints())
    paths = [corpus] if isinstance(corpus, str | os.PathLike) else corpus
    found: list[Any] = []
    for named in paths:
        if isinstance(named, str) and is_address(named):
            found.append(name_of_address(named))  # whether a warehouse has changed it does not say
            continue
        path = Path(named)
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        stats = [(str(file.resolve()), file.stat()) for file in files if file.is_file()]
        found.append([(name, status.st_size, status.st_mtime_ns) for name, status in stats])
    return found


def _write_text(opened: OpenCorpus, folder: Path, turns_a_shard: int) -> list[ShardFile]:
    """Write the text of all dialogues; shards that are there already are passed over in reading."""
    (folder / _TEXT).mkdir(exist_ok=True)
    shards: list[ShardFile] = []
    with _progress() as bar:
        task = bar.add_task(f"reading {opened.name}", total=None)
        for number, dialogues in enumerate(_cut(opened.dialogues(), turns_a_shard)):
            write = partial(write_shard, folder, f"{_TEXT}/{number:05}.parquet", dialogues)
            shards.append(once(folder / WORK / f"text-{number:05}", ShardFile, write))
            bar.update(task, advance=len(dialogues))
    if not shards:
        raise CorpusError(f"expected dialogues in the format {opened.format!r}, found none in {opened.name}.")
    return shards


def _cut(dialogues: Iterator[Dialogue], turns: int) -> Iterator[list[Dialogue]]:
    collected: list[Dialogue] = []
    size = text = 0
    for dialogue in dialogues:
        collected.append(dialogue)
        size += max(1, len(dialogue))
        text += sum(len(turn.user) + len(turn.system) + _bytes_of(turn.context) for turn in dialogue.turns)
        if size >= turns or text >= _BYTES_A_SHARD:
            yield collected
            collected, size, text = [], 0, 0
    if collected:
        yield collected


def _bytes_of(context: Mapping[str, Any]) -> int:
    try:
        return len(msgspec.json.encode(context)) if context else 0
    except (TypeError, ValueError):  # writing says what is wrong with it
        return 0


def _make_features(
    folder: Path, manifest: StoreManifest, parts: Parts, config: Config, executor: Executor, labels: tuple[str, str]
) -> Features:
    """Count, fit and encode."""
    (folder / FEATURES).mkdir(exist_ok=True)
    values = once(folder / WORK / "values", Values, partial(_values_of, parts.train))
    write_context(folder, Context(manifest, config.encoders, values))
    of_train = _tasks(folder, "train", parts.train)
    of_dev = [] if parts.dev is None else _tasks(folder, "dev", parts.dev)
    totals = Totals()
    for counted_shard in _each(executor, "counting words", count, of_train):
        totals.add(counted_shard)
    actions = sorted(totals.actions)

    def fit() -> dict[str, StoredFile]:
        wanted = [Sample(task, before, totals.steps) for task, before in zip(of_train, totals.before, strict=True)]
        samples = _each(executor, "drawing texts", sample, wanted)
        tokenizer = config.encoders.tokenizer
        with uncollected(), one_thread():
            texts = streamed_texts(list(map(columns_file, of_train)), tokenizer, totals, samples)
            encoder = fit_tables(
                texts,
                ActionSpace(actions),
                config.encoders,
                gazetteer=values.gazetteer,
                unlisted=values.unlisted,
                seed=config.seed,
            )
        write_encoder(folder / FEATURES, encoder)
        return describe_files(folder / FEATURES)

    encoder_files = once(folder / WORK / "encoder", dict[str, StoredFile], fit)
    write_context(folder, Context(manifest, config.encoders, values, actions))
    shards = list(_each(executor, "encoding", encode, [*of_train, *of_dev]))
    steps = {part: svd_step(n) for part, n in totals.texts.items()}
    return Features(
        settings=config.encoders,
        seed=config.seed,
        split=labels[0],
        dev=labels[1],
        folder=FEATURES,
        actions=actions,
        encoder=encoder_files,
        train=shards[: len(of_train)],
        train_dialogues=digest(parts.train.fingerprints()),
        dev_shards=shards[len(of_train) :],
        dev_dialogues=digest(() if parts.dev is None else parts.dev.fingerprints()),
        svd_texts={part: (-(-n // steps[part]), n) for part, n in totals.texts.items()},
        gazetteer=values.gazetteer,
    )


def _values_of(train: Corpus) -> Values:
    """Read the training part, twice where it has a gazetteer, for the values of entities that it knows."""
    train = with_written_forms(train)
    return Values({kind: tuple(own) for kind, own in train.gazetteer.items()}, unlisted_values(train))


def _tasks(folder: Path, part: str, corpus: Corpus) -> list[ShardTask]:
    assert isinstance(corpus, StoredCorpus)
    return [
        ShardTask(str(folder), part, number, shard, None if rows is None else rows.tobytes())
        for number, (shard, rows) in enumerate(corpus.shard_rows())
    ]


def _each(
    executor: Executor, what: str, function: Callable[[_Task], _Result], tasks: Sequence[_Task]
) -> Iterator[_Result]:
    """Yield the result of each task, with a progress bar."""
    with _progress() as bar:
        task = bar.add_task(what, total=len(tasks))
        for result in executor.map(function, tasks):
            bar.update(task, advance=1)
            yield result


def _progress() -> Progress:
    """Return a progress bar on stderr, which is gone when it is finished, and not there at all off a terminal."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
