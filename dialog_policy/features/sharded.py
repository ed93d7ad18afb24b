"""Encoded dialogues in shards on disk: what batches take for a whole, of which only what is asked for is read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from dialog_policy.corpus.stored_files import check_files, unreadable
from dialog_policy.errors import CorpusError
from dialog_policy.features.encoded import PADDING, EmbeddedTexts, EncodedDialogues, PackedTurns
from dialog_policy.features.encoded_files import read_dialogues, write_dialogues
from dialog_policy.features.feature_manifest import FeatureShard
from dialog_policy.features.matrices import SparseRows
from dialog_policy.text.embedding import TrainableTable
from dialog_policy.text.ragged import Ragged
from dialog_policy.text.table import FloatArray

__all__ = ["ShardedDialogues", "write_shard"]

_NAME = "dialogues"
# Bytes of the shards that are kept in memory or mapped.
_KEPT_BYTES = 160 << 20
# Turns of the dialogues that an epoch shuffles together: the shards of so many are about what is kept.
_POOL_TURNS = 300_000


def write_shard(folder: Path, encoded: EncodedDialogues) -> None:
    """Write a shard whose mapped matrices are in its folder already."""
    write_dialogues(folder, _NAME, encoded)


class ShardedDialogues(EncodedDialogues):
    """Encoded dialogues of a store.

    Parameters
    ----------
    root
        The folder of the store's features.
    shards
        Those of one part.
    n_features, n_actions
        Widths of a turn's features and targets.
    tables
        The encoder's tables that training changes, in the order of the features.

    Raises
    ------
    CorpusError
        If a shard is missing, cut or changed: when it is opened, or when its turns are first asked for.
    """

    def __init__(
        self,
        root: Path,
        shards: Sequence[FeatureShard],
        *,
        n_features: int,
        n_actions: int,
        tables: Sequence[TrainableTable] = (),
    ) -> None:
        self._root, self._shards, self._tables = root, list(shards), tables
        self._kept: OrderedDict[int, tuple[EncodedDialogues, int]] = OrderedDict()
        self._checked: set[int] = set()
        offsets, is_target = self._heads()
        self._starts = np.concatenate([[0], np.cumsum([shard.turns for shard in shards])]).astype(np.int64)
        self.offsets, self.is_target = offsets, is_target
        self.lengths = np.diff(offsets)
        self.n_features, self.n_actions = n_features, n_actions
        if not shards:
            raise CorpusError("the store has no features of this part.", path=root)
        first = self._shard(0)
        self._widths = first.widths
        nothing = Ragged(np.zeros(0, dtype=np.int32), np.zeros(1, dtype=np.int64))
        self.embedded = {part: EmbeddedTexts(texts.table, nothing) for part, texts in first.embedded.items()}
        if (sum(self._widths), first.n_actions) != (n_features, n_actions):
            raise CorpusError("the shards do not fit the store's encoder. Prepare it again.", path=root)

    def __len__(self) -> int:
        return len(self.lengths)

    def _heads(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return where every dialogue begins, and which turns are to be predicted; nothing else is read."""
        offsets, targets, start = [np.zeros(1, dtype=np.int64)], [np.zeros(0, dtype=np.bool_)], 0
        for shard in self._shards:
            check_files(self._root / shard.folder, shard.files, content=False)
            head = self._read(shard, ("offsets", "is_target"))
            offsets.append(head["offsets"][1:] + start)
            targets.append(head["is_target"])
            start += shard.turns
        return np.concatenate(offsets), np.concatenate(targets)

    def _read(self, shard: FeatureShard, names: Sequence[str]) -> dict[str, Any]:
        place = self._root / shard.folder / f"{_NAME}.safetensors"
        try:
            with safe_open(place, framework="np") as file:
                return {name: file.get_tensor(name) for name in names}
        except (SafetensorError, OSError) as error:
            raise unreadable(place, error) from None

    def _shard(self, number: int) -> EncodedDialogues:
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number][0]
        shard = self._shards[number]
        folder = self._root / shard.folder
        if number not in self._checked:
            check_files(folder, shard.files, content=True)
            self._checked.add(number)
        try:
            encoded = read_dialogues(folder, _NAME, [""] * shard.dialogues, self._tables)
        except (OSError, ValueError, KeyError, TypeError, StopIteration, SafetensorError) as error:
            raise unreadable(folder, error) from None
        self._kept[number] = encoded, _size(encoded)
        while len(self._kept) > 1 and sum(size for _, size in self._kept.values()) > _KEPT_BYTES:
            self._kept.popitem(last=False)
        return encoded

    def forget(self) -> None:
        """Let go of the shards that are kept in memory; they are read again when they are asked for."""
        self._kept.clear()

    @property
    def pool_size(self) -> int:
        """Number of dialogues that an epoch shuffles together: all, if they fit."""
        turns = int(self.offsets[-1])
        return len(self) if turns <= _POOL_TURNS else max(1, len(self) * _POOL_TURNS // turns)

    def shuffled_shards(self, random: np.random.Generator) -> npt.NDArray[np.int64]:
        """Return the numbers of all dialogues, those of one shard together, the shards in a random order."""
        ends = np.cumsum([shard.dialogues for shard in self._shards])
        parts = np.split(np.arange(len(self)), ends[:-1])
        return np.concatenate([parts[i] for i in random.permutation(len(parts))])

    @property
    def widths(self) -> list[int]:
        """Number of features of each part."""
        return self._widths

    def check(self) -> None:
        """Check every shard as :meth:`EncodedDialogues.check` does."""
        for number in range(len(self._shards)):
            self._shard(number).check()

    def _by_shard(self, turns: npt.NDArray[np.int64]) -> list[tuple[int, npt.NDArray[np.intp]]]:
        """Return the shards of some turns, shape (n,), and the places in `turns` of those of each."""
        shards = np.where(turns == PADDING, -1, np.searchsorted(self._starts, turns, side="right") - 1)
        order = np.argsort(shards, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(shards[order])) + 1)
        return [(int(shards[group[0]]), group) for group in groups if len(group) and shards[group[0]] >= 0]

    def features(self, turns: npt.NDArray[np.int64], *, embedded: bool = True) -> FloatArray:
        """Features of turns given by number, shape (*turns.shape, n_features), zeros where the number is PADDING.

        Without `embedded` the features of :attr:`embedded` parts are left out.
        """
        left_out = 0 if embedded else sum(self._widths[part] for part in self.embedded)
        flat = turns.reshape(-1)
        gathered = np.zeros((len(flat), self.n_features - left_out), dtype=np.float32)
        for number, places in self._by_shard(flat):
            own = flat[places] - self._starts[number]
            gathered[places] = self._shard(number).features(own, embedded=embedded)
        return gathered.reshape(*turns.shape, -1)

    def targets(self, turns: npt.NDArray[np.int64]) -> FloatArray:
        """Return action bits of turns given by number, shape (*turns.shape, n_actions), zeros for history."""
        flat = turns.reshape(-1)
        bits = np.zeros((len(flat), self.n_actions), dtype=np.float32)
        for number, places in self._by_shard(flat):
            bits[places] = self._shard(number).targets(flat[places] - self._starts[number])
        return bits.reshape(*turns.shape, self.n_actions)

    def packed(self, part: int, turns: npt.NDArray[np.int64]) -> PackedTurns:
        """Texts of turns given by number in one of the :attr:`embedded` parts; that of PADDING is empty."""
        flat = turns.reshape(-1)
        rows = np.zeros(len(flat), dtype=np.int64)  # row 0 is the empty text
        texts = [Ragged(np.zeros(0, dtype=np.int32), np.zeros(2, dtype=np.int64))]
        n_texts = 1
        for number, places in self._by_shard(flat):
            own = self._shard(number).packed(part, flat[places] - self._starts[number])
            rows[places] = own.rows + n_texts
            texts.append(own.texts)
            n_texts += len(own.texts)
        return PackedTurns(Ragged.concatenate(texts), rows.reshape(turns.shape))

    def mean_terms(self, part: int) -> float:
        """Terms that a turn's text has on average in one of the :attr:`embedded` parts."""
        shards = range(len(self._shards))
        means = [self._shard(number).mean_terms(part) * self._shards[number].turns for number in shards]
        return sum(means) / max(1, int(self.offsets[-1]))

    def balanced_weights(self) -> npt.NDArray[np.float64]:
        """Weight of a turn such that every action set weighs the same; see :meth:`EncodedDialogues.balanced_weights`."""
        numbering: dict[bytes, int] = {}
        rows = []
        for shard in self._shards:
            goals = self._read(shard, ("targets", "targets.rows"))
            own = [numbering.setdefault(row.tobytes(), len(numbering)) for row in goals["targets"]]
            rows.append(np.array(own, dtype=np.int32)[goals["targets.rows"]])
        return self._balanced(np.concatenate(rows))

    def action_rates(self) -> npt.NDArray[np.float64]:
        """Share of the turns to predict that have each action; see :meth:`EncodedDialogues.action_rates`."""
        counts, turns = np.zeros(self.n_actions), 0
        for shard, start in zip(self._shards, self._starts.tolist(), strict=False):
            goals = self._read(shard, ("targets", "targets.rows"))
            is_target = self.is_target[start : start + shard.turns]
            of_sets = np.bincount(goals["targets.rows"][is_target], minlength=len(goals["targets"]))
            counts += of_sets @ goals["targets"].astype(np.float64)
            turns += int(of_sets.sum())
        rates: npt.NDArray[np.float64] = (counts + 0.5) / (turns + 1.0)
        return rates


def _size(encoded: EncodedDialogues) -> int:
    """Return the bytes that encoded dialogues take in memory, mapped or not."""
    size = encoded.goals[0].nbytes + encoded.goals[1].nbytes + encoded.offsets.nbytes + encoded.is_target.nbytes
    seen: set[int] = set()
    for number, (matrix, rows) in enumerate(encoded.parts):
        size += 0 if id(rows) in seen else rows.nbytes
        seen.add(id(rows))
        if number in encoded.embedded:
            size += encoded.embedded[number].packed.values.nbytes + encoded.embedded[number].packed.offsets.nbytes
        elif isinstance(matrix, SparseRows):
            size += matrix.columns.values.nbytes + matrix.columns.offsets.nbytes + matrix.values.nbytes
        else:
            size += int(np.prod(matrix.shape)) * 4
    return size
