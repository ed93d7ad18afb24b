"""A store: a corpus of any size on disk, in shards. It is a :class:`Corpus` whose dialogues are read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from functools import lru_cache
from pathlib import Path
from typing import SupportsIndex, overload

import msgspec
import numpy as np
import numpy.typing as npt

from dialog_policy.corpus.corpus import Corpus
from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.gazetteer import Entries
from dialog_policy.corpus.shards import ShardFile, read_columns_of
from dialog_policy.corpus.stored_index import StoredIds, StoreIndex
from dialog_policy.errors import CorpusError

__all__ = ["FORMAT", "STORE_MANIFEST", "StoreManifest", "StoredCorpus", "is_store"]

STORE_MANIFEST = "store.json"
FORMAT = 1

_IntArray = npt.NDArray[np.int64]


class StoreManifest(msgspec.Struct, kw_only=True):
    """What a store says of itself.

    Attributes
    ----------
    format
        Version of the store's layout.
    name, corpus_format, reader_options, gazetteer, replies_are_templates
        Of the corpus that was prepared, as in :class:`Corpus`.
    shards
        The text, in the order of the corpus.
    features
        What `features/` says of its own files; null: the store has text only.
    """

    format: int
    name: str
    corpus_format: str
    reader_options: dict[str, str]
    gazetteer: dict[str, tuple[str | tuple[str, str], ...]]
    replies_are_templates: bool
    shards: list[ShardFile]
    features: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def has_features(self) -> bool:
        """Whether the store has features, too."""
        return bytes(self.features) != b"null"


def is_store(path: Path) -> bool:
    """Whether a path is that of a store."""
    return (path / STORE_MANIFEST).is_file()


def read_manifest(path: Path) -> StoreManifest:
    """Return the manifest of a store.

    Raises
    ------
    CorpusError
        If it is damaged or of another version.
    """
    place = path / STORE_MANIFEST
    try:
        content = place.read_bytes()
        version = msgspec.json.decode(content).get("format")
        if version != FORMAT:
            raise CorpusError(
                f"expected a store of format {FORMAT}, found {version!r}.",
                path=path,
                remedy="Prepare it again from its corpus with this version of dialog-policy.",
            )
        return msgspec.json.decode(content, type=StoreManifest)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, AttributeError) as error:
        raise CorpusError(f"the manifest of the store cannot be read ({error}).", path=place) from None


class StoredCorpus(Corpus):
    """The dialogues of a store, or some of them, read shard by shard when they are asked for.

    Use :func:`~dialog_policy.load_corpus` on the store's path. What it offers is what any corpus offers; :meth:`split`,
    :meth:`only` and slices stay on disk.

    Parameters
    ----------
    path
        The store.
    manifest
        What it says of itself, where that is not written yet.

    Attributes
    ----------
    path
        The store.
    manifest
        What the store says of itself.

    Raises
    ------
    CorpusError
        If the store is of another version, or a shard is missing or cut.
    """

    def __init__(self, path: Path, manifest: StoreManifest | None = None) -> None:
        manifest = read_manifest(path) if manifest is None else manifest
        self.path, self.manifest = path, manifest
        super().__init__(
            (),
            name=manifest.name,
            format=manifest.corpus_format,
            reader_options=manifest.reader_options,
            gazetteer=manifest.gazetteer,
            replies_are_templates=manifest.replies_are_templates,
        )
        self._index = StoreIndex(path, manifest.shards)
        self._take(None)

    def _take(self, numbers: _IntArray | None) -> None:
        self._numbers = numbers
        self._ids = StoredIds(self._index, numbers)

    def __reduce__(self) -> tuple[Callable[..., StoredCorpus], tuple[str, bytes | None, Entries | None]]:
        """Go to another process as the store's place, which is opened there, once, and what is not the store's own."""
        numbers = None if self._numbers is None else self._numbers.tobytes()
        own = None if self.gazetteer == self.manifest.gazetteer else self.gazetteer
        return _part_of, (str(self.path.absolute()), numbers, own)

    def check_ids(self) -> None:
        """Check that no id occurs twice.

        Raises
        ------
        CorpusError
            If one does.
        """
        hashes, order = self._index.hashed
        for place in np.flatnonzero(hashes[1:] == hashes[:-1]).tolist():
            alike = [self._index.id(int(number)) for number in order[place : place + 2]]
            if alike[0] == alike[1]:
                raise CorpusError(
                    f"the dialogue id {alike[0]!r} occurs twice in {self.name}.",
                    remedy="Give every dialogue an id of its own.",
                )

    def only(self, chosen: Iterable[bool]) -> StoredCorpus:
        """Return a corpus with the same description and the chosen ones of its dialogues, still on disk."""
        is_chosen = np.fromiter(chosen, dtype=np.bool_, count=len(self))
        return self.numbered(np.flatnonzero(is_chosen) if self._numbers is None else self._numbers[is_chosen])

    def numbered(self, numbers: _IntArray) -> StoredCorpus:
        """Return the dialogues with these numbers in the store, ascending; still on disk."""
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        other._take(numbers)
        return other

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[Dialogue]:
        for shard, rows in self.shard_rows():
            yield from self._index.dialogues(shard, rows).values()

    def shard_rows(self) -> Iterator[tuple[int, _IntArray | None]]:
        """Yield the shards that have dialogues of this corpus, and the rows of these in the shard; None: all rows."""
        starts = self._index.starts
        if self._numbers is None:
            yield from ((shard, None) for shard in range(len(self._index.shards)))
            return
        shards = np.searchsorted(starts, self._numbers, side="right") - 1
        borders = np.flatnonzero(np.diff(shards)) + 1
        for part in np.split(np.arange(len(shards)), borders) if len(shards) else ():
            shard = int(shards[part[0]])
            rows = self._numbers[part] - starts[shard]
            is_whole = len(rows) == starts[shard + 1] - starts[shard] and bool((np.diff(rows) == 1).all())
            yield shard, None if is_whole else rows

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Dialogue: ...

    @overload
    def __getitem__(self, index: slice, /) -> StoredCorpus: ...

    def __getitem__(self, index: SupportsIndex | slice, /) -> Dialogue | StoredCorpus:
        """Return the dialogue at a position, or, for a slice, a corpus of those within it."""
        if isinstance(index, slice):
            if index.step is not None and index.step < 0:
                return self.with_dialogues(list(self)[index])  # type: ignore[return-value]  # the wrong way round: in memory
            numbers = np.arange(len(self), dtype=np.int64) if self._numbers is None else self._numbers
            return self.numbered(numbers[index])
        if isinstance(index, str):
            return super().__getitem__(index)  # raises, and says what to do
        position = range(len(self))[index]
        return self._at(position if self._numbers is None else int(self._numbers[position]))

    def _at(self, number: int) -> Dialogue:
        shard = int(np.searchsorted(self._index.starts, number, side="right")) - 1
        row = number - int(self._index.starts[shard])
        for (kept, _), dialogues in self._index.kept.items():
            if kept == shard and row in dialogues:
                return dialogues[row]
        return self._index.dialogues(shard, None)[row]

    def __contains__(self, item: object) -> bool:
        """Whether a dialogue, or a dialogue with this id, is in the corpus."""
        if isinstance(item, Dialogue):
            return item.id in self._ids and self.dialogue(item.id) == item
        return item in self._ids

    def dialogue(self, dialogue_id: str) -> Dialogue:
        """Return the dialogue with an id.

        Raises
        ------
        CorpusError
            If there is none.
        """
        number = self._ids.number(dialogue_id)
        if number < 0:
            raise CorpusError(f"{self.name} has no dialogue with the id {dialogue_id!r}.")
        return self._at(number)

    def position(self, dialogue_id: str) -> int:
        """Return the position of the dialogue with an id, or -1 if there is none."""
        number = self._ids.number(dialogue_id)
        if number < 0 or self._numbers is None:
            return number
        return int(np.searchsorted(self._numbers, number))  # numbers ascend

    @property
    def targets(self) -> Sequence[int]:
        """Number of turns to predict of each dialogue, in their order."""
        targets = self._index.targets if self._numbers is None else self._index.targets[self._numbers]
        found: list[int] = targets.tolist()
        return found

    @property
    def ids(self) -> Set[str]:
        """Ids of the dialogues, in their order; whether one is among them is looked up, not searched."""
        return self._ids

    @property
    def lengths(self) -> npt.NDArray[np.int32]:
        """Turns of each dialogue, shape (n_dialogues,)."""
        return self._index.lengths if self._numbers is None else self._index.lengths[self._numbers]

    @property
    def n_turns(self) -> int:
        """Number of turns, history-only turns included."""
        return int(self.lengths.sum(dtype=np.int64))

    @property
    def n_targets(self) -> int:
        """Number of turns to predict."""
        targets = self._index.targets if self._numbers is None else self._index.targets[self._numbers]
        return int(targets.sum(dtype=np.int64))

    @property
    def labels(self) -> list[str | None]:
        """Each dialogue's own part, in their order."""
        splits = self._index.splits
        return list(splits) if self._numbers is None else [splits[number] for number in self._numbers.tolist()]

    def fingerprints(self) -> list[str]:
        """Return the :meth:`Dialogue.fingerprint` of each dialogue, in their order; the dialogues are not read."""
        column = read_columns_of(self.path, self._index.shards, ["fingerprint"])["fingerprint"].combine_chunks()
        chosen = column if self._numbers is None else column.take(self._numbers)
        return [value.hex() for value in chosen.to_numpy(zero_copy_only=False)]


@lru_cache(maxsize=1)
def _opened_once(path: str) -> StoredCorpus:
    return StoredCorpus(Path(path))


def _part_of(path: str, numbers: bytes | None, gazetteer: Entries | None) -> StoredCorpus:
    store = _opened_once(path) if gazetteer is None else _opened_once(path).with_gazetteer(gazetteer)
    return store if numbers is None else store.numbered(np.frombuffer(numbers, dtype=np.int64))
