"""What is known of every dialogue of a store without reading it, and the dialogues that were read last."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.shards import ShardFile, read_columns_of, read_shard
from dialog_policy.errors import CorpusError

__all__ = ["StoreIndex", "StoredIds"]

_IntArray = npt.NDArray[np.int64]

# Shards whose dialogues are kept in memory: who predicts and who judges are seldom in different ones.
_KEPT_SHARDS = 2


class StoreIndex:
    """What is known of every dialogue of a store without reading it."""

    def __init__(self, path: Path, shards: list[ShardFile]) -> None:
        self.path, self.shards = path, shards
        heads = read_columns_of(path, shards, ["id", "split", "targets"])
        self.ids = heads["id"].combine_chunks()
        self.splits: list[str | None] = heads["split"].to_pylist()
        self.targets: npt.NDArray[np.int32] = heads["targets"].to_numpy()
        # Number of the first dialogue of each shard, and of all.
        self.starts: _IntArray = np.concatenate([[0], np.cumsum([shard.dialogues for shard in shards])]).astype(
            np.int64
        )
        if len(self.targets) != self.starts[-1]:
            raise CorpusError(
                f"expected {self.starts[-1]:,} dialogues, found {len(self.targets):,}.",
                path=path,
                remedy="Prepare the store again.",
            )
        self._lengths: npt.NDArray[np.int32] | None = None
        self._sorted: tuple[_IntArray, _IntArray] | None = None
        self.kept: OrderedDict[tuple[int, bytes | None], dict[int, Dialogue]] = OrderedDict()

    @property
    def lengths(self) -> npt.NDArray[np.int32]:
        """Turns of each dialogue."""
        if self._lengths is None:
            users = read_columns_of(self.path, self.shards, ["user"])["user"]
            counts = [chunk.value_lengths().to_numpy(zero_copy_only=False) for chunk in users.chunks]
            self._lengths = np.concatenate([np.zeros(0, dtype=np.int32), *counts]).astype(np.int32)
        return self._lengths

    def id(self, number: int) -> str:
        """Return the id of a dialogue."""
        name: str = self.ids[number].as_py()
        return name

    @property
    def hashed(self) -> tuple[_IntArray, _IntArray]:
        """Hashes of the ids, ascending, and the numbers of the dialogues in this order."""
        if self._sorted is None:
            hashes = np.fromiter(map(hash, iter_texts(self.ids)), dtype=np.int64, count=len(self.ids))
            order = np.argsort(hashes, kind="stable")
            self._sorted = hashes[order], order
        return self._sorted

    def number(self, dialogue_id: str) -> int:
        """Return the number of the dialogue with an id, or -1."""
        hashes, order = self.hashed
        place = int(np.searchsorted(hashes, hash(dialogue_id)))
        while place < len(hashes) and hashes[place] == hash(dialogue_id):
            if self.id(int(order[place])) == dialogue_id:
                return int(order[place])
            place += 1
        return -1

    def dialogues(self, shard: int, rows: _IntArray | None) -> dict[int, Dialogue]:
        """Return dialogues of a shard by their rows in it; None: all."""
        key = shard, None if rows is None else rows.tobytes()
        if key in self.kept:
            self.kept.move_to_end(key)
            return self.kept[key]
        while len(self.kept) >= _KEPT_SHARDS:
            self.kept.popitem(last=False)
        found = read_shard(self.path, self.shards[shard], None if rows is None else rows.tolist())
        self.kept[key] = dict(zip(range(len(found)) if rows is None else rows.tolist(), found, strict=True))
        return self.kept[key]


def iter_texts(column: Any) -> Iterator[str]:
    """Yield the texts of a PyArrow array, some thousand at a time."""
    for start in range(0, len(column), 65_536):
        yield from column[start : start + 65_536].to_pylist()


class StoredIds(Set[str]):
    """Ids of some dialogues of a store."""

    def __init__(self, index: StoreIndex, numbers: _IntArray | None) -> None:
        self._index, self._numbers = index, numbers
        self._is_in: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self._index.ids) if self._numbers is None else len(self._numbers)

    def __iter__(self) -> Iterator[str]:
        ids = self._index.ids
        return iter_texts(ids if self._numbers is None else ids.take(self._numbers))

    def __contains__(self, dialogue_id: object) -> bool:
        return isinstance(dialogue_id, str) and self.number(dialogue_id) >= 0

    def number(self, dialogue_id: str) -> int:
        """Return the number within the store, or -1 if it is not among these."""
        number = self._index.number(dialogue_id)
        if number < 0 or self._numbers is None:
            return number
        if self._is_in is None:
            self._is_in = np.zeros(len(self._index.ids), dtype=np.bool_)
            self._is_in[self._numbers] = True
        return number if self._is_in[number] else -1
