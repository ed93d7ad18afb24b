"""A corpus as arrays: each distinct utterance, context and action set encoded once, each turn a few row numbers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from dialog_policy.corpus import Dialogue
from dialog_policy.errors import OptionError
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
    lengths
        Turns of each dialogue, shape (n_dialogues,).
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
        self.lengths: npt.NDArray[np.int64] = np.diff(offsets)
        self.n_features = sum(matrix.shape[1] for matrix, _ in parts)
        self.n_actions = targets[0].shape[1]

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def from_arrays(
        cls,
        features: Sequence[npt.ArrayLike],
        targets: Sequence[npt.ArrayLike],
        is_target: Sequence[npt.ArrayLike] | None = None,
    ) -> EncodedDialogues:
        """Take dialogues that somebody else encoded.

        Parameters
        ----------
        features, targets
            For each dialogue arrays of shape (turns, n_features) and (turns, n_actions).
        is_target
            For each dialogue whether its turns are to be predicted, shape (turns,); None: all are.

        Raises
        ------
        OptionError
            If numbers of dialogues, turns or columns differ.
        """
        xs, ys = ([np.asarray(array, dtype=np.float32) for array in arrays] for arrays in (features, targets))
        goals = [np.ones(len(x), dtype=np.bool_) for x in xs] if is_target is None else list(map(np.asarray, is_target))
        sizes = [[len(array) for array in arrays] for arrays in (xs, ys, goals)]
        if not xs or not sizes[0] == sizes[1] == sizes[2]:
            raise OptionError("expected features and targets for the same dialogues, and one row of each a turn.")
        if any(array.ndim != 2 or array.shape[1] != arrays[0].shape[1] for arrays in (xs, ys) for array in arrays):
            raise OptionError(
                "expected arrays of shape (turns, n_features) and (turns, n_actions), n the same throughout."
            )
        rows = np.arange(sum(sizes[0]), dtype=np.int32)
        padded = [
            np.concatenate([*arrays, np.zeros_like(arrays[0][:1], shape=(1, arrays[0].shape[1]))])
            for arrays in (xs, ys)
        ]
        offsets = np.concatenate([[0], np.cumsum(sizes[0])]).astype(np.int64)
        ids = [str(number) for number in range(len(xs))]
        return cls(ids, offsets, [(padded[0], rows)], (padded[1], rows), np.concatenate(goals).astype(np.bool_))

    def padded_turns(
        self, dialogues: npt.ArrayLike, length: int | None = None, starts: npt.ArrayLike = 0
    ) -> npt.NDArray[np.int64]:
        """Turn numbers of some dialogues side by side, shape (n, length), :data:`PADDING` on the right.

        `length` defaults to the longest of them. Dialogue -1 is all padding. `starts` says from which of its turns each
        dialogue is taken.
        """
        chosen = np.asarray(dialogues, dtype=np.int64)
        lengths = np.where(chosen < 0, 0, self.lengths[chosen])
        steps = np.asarray(starts).reshape(-1, 1) + np.arange(lengths.max(initial=0) if length is None else length)
        turns: npt.NDArray[np.int64] = np.where(
            steps < lengths[:, None], self.offsets[chosen][:, None] + steps, np.int64(PADDING)
        )
        return turns

    def dialogue_weights(self) -> npt.NDArray[np.float64]:
        """Weight of a turn to predict such that every dialogue weighs the same and all turns weigh 1 on average.

        Shape (n_dialogues,); 0 for a dialogue without a turn to predict.
        """
        counts = np.diff(np.concatenate([[0], np.cumsum(self.is_target)])[self.offsets])
        with np.errstate(divide="ignore"):
            weights = np.where(counts > 0, 1.0 / counts, 0.0)
        total = float((weights * counts).sum())
        return weights * (counts.sum() / total) if total else weights

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
