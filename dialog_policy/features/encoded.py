"""A corpus as arrays: each distinct utterance, context and action set encoded once, each turn a few row numbers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from dialog_policy.corpus import Dialogue
from dialog_policy.features.encoder import START, TurnEncoder, context_key
from dialog_policy.text.table import FloatArray

__all__ = ["EncodedDialogues", "encode_dialogues"]

IntArray = npt.NDArray[np.int32]

# Row number of padding. Every matrix ends in a row of zeros, which is what this picks.
PADDING = -1


class _Column:
    """Distinct values and, for every turn, which of them it has."""

    def __init__(self) -> None:
        self.position: dict[Hashable, int] = {}
        self.rows: list[int] = []

    def add(self, value: Hashable) -> None:
        self.rows.append(self.position.setdefault(value, len(self.position)))

    def matrix(self, encode: Callable[[Sequence[Any]], FloatArray]) -> FloatArray:
        encoded = encode(list(self.position))
        return np.concatenate([encoded, np.zeros((1, encoded.shape[1]), dtype=np.float32)])


class EncodedDialogues:
    """Dialogues as arrays, never padded: turns follow each other, `offsets` say where each dialogue starts.

    Attributes
    ----------
    ids
        The dialogues' ids.
    offsets
        Shape (n_dialogues + 1,): dialogue d has the turns offsets[d] to offsets[d + 1] - 1.
    is_target
        Shape (n_turns,), bool: whether the turn is to be predicted.
    n_features, n_actions
        Widths of a turn's features and targets.
    """

    def __init__(
        self,
        ids: Sequence[str],
        offsets: npt.NDArray[np.int64],
        parts: Sequence[tuple[FloatArray, IntArray]],
        targets: tuple[FloatArray, IntArray],
        is_target: npt.NDArray[np.bool_],
    ) -> None:
        self.ids, self.offsets, self._parts, self._targets, self.is_target = (
            tuple(ids),
            offsets,
            parts,
            targets,
            is_target,
        )
        self.n_features = sum(matrix.shape[1] for matrix, _ in parts)
        self.n_actions = targets[0].shape[1]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Turns of each dialogue, shape (n_dialogues,)."""
        return np.diff(self.offsets)

    def padded_turns(self, dialogues: npt.ArrayLike, length: int | None = None) -> npt.NDArray[np.int64]:
        """Turn numbers of some dialogues side by side, shape (n, length), :data:`PADDING` on the right.

        `length` defaults to the longest of them.
        """
        chosen = np.asarray(dialogues, dtype=np.int64)
        lengths = self.lengths[chosen]
        steps = np.arange(lengths.max(initial=0) if length is None else length)
        turns: npt.NDArray[np.int64] = np.where(
            steps < lengths[:, None], self.offsets[chosen][:, None] + steps, np.int64(PADDING)
        )
        return turns

    def features(self, turns: npt.NDArray[np.int64]) -> FloatArray:
        """Features of turns given by number, shape (*turns.shape, n_features), zeros where the number is PADDING."""
        gathered = np.empty((*turns.shape, self.n_features), dtype=np.float32)
        start = 0
        for matrix, rows in self._parts:
            width = matrix.shape[1]
            gathered[..., start : start + width] = matrix[_pick(rows, turns)]
            start += width
        return gathered

    def targets(self, turns: npt.NDArray[np.int64]) -> FloatArray:
        """Return action bits of turns given by number, shape (*turns.shape, n_actions), zeros for history."""
        matrix, rows = self._targets
        bits: FloatArray = matrix[_pick(rows, turns)]
        return bits

    def weights(self, turns: npt.NDArray[np.int64]) -> FloatArray:
        """One where a turn is to be predicted, zero elsewhere and in the padding; shape of `turns`."""
        return np.where(turns == PADDING, False, self.is_target[turns]).astype(np.float32)


def _pick(rows: IntArray, turns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.where(turns == PADDING, PADDING, rows[turns])


def encode_dialogues(dialogues: Iterable[Dialogue], encoder: TurnEncoder) -> EncodedDialogues:
    """Encode dialogues with the true system side of earlier turns as history (teacher forcing)."""
    columns = {name: _Column() for name in encoder.layout}
    goals = _Column()
    ids: list[str] = []
    ends: list[int] = [0]
    is_target: list[bool] = []
    for dialogue in dialogues:
        before: frozenset[str] | str | None = START
        said = ""
        for turn in dialogue.turns:
            columns["user"].add(turn.user)
            columns["system"].add(said)
            columns["context"].add(context_key(turn.context))
            columns["actions"].add(before)
            goals.add(turn.actions)
            is_target.append(turn.is_target)
            before, said = turn.actions, turn.system
        ids.append(dialogue.id)
        ends.append(len(is_target))
    parts = [
        (column.matrix(partial(encoder.encode, name)), np.array(column.rows, dtype=np.int32))
        for name, column in columns.items()
    ]
    targets = (goals.matrix(encoder.actions.transform), np.array(goals.rows, dtype=np.int32))
    return EncodedDialogues(ids, np.array(ends, dtype=np.int64), parts, targets, np.array(is_target, dtype=np.bool_))
