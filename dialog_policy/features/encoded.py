"""A corpus as arrays: each distinct utterance, context and action set encoded once, each turn a few row numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.features.checked_arrays import checked_arrays
from dialog_policy.features.matrices import Matrix, SparseRows
from dialog_policy.text.embedding import TrainableTable
from dialog_policy.text.ragged import Ragged
from dialog_policy.text.stored import check_array
from dialog_policy.text.table import FloatArray

__all__ = ["PADDING", "EmbeddedTexts", "EncodedDialogues", "PackedTurns"]

IntArray = npt.NDArray[np.int32]

# Row number of padding. Every matrix ends in a row of zeros, which is what this picks.
PADDING = -1


class EmbeddedTexts:
    """The distinct texts of a part under a table that training changes, and after them an empty one, for padding."""

    def __init__(self, table: TrainableTable, texts: Ragged) -> None:
        self.table, self.packed = table, Ragged(texts.values, np.append(texts.offsets, texts.offsets[-1]))
        self._embedded: tuple[FloatArray, FloatArray] | None = None

    @property
    def matrix(self) -> FloatArray:
        """The texts' vectors by the table as it is now, shape (n_texts, table.dim)."""
        if self._embedded is None or self._embedded[0] is not self.table.vectors:
            self._embedded = self.table.vectors, self.table.encode_packed(self.packed)
        return self._embedded[1]


class PackedTurns(NamedTuple):
    """Distinct texts of some turns as ids of terms, and for each turn, shape of the turns, which of the texts it has."""

    texts: Ragged
    rows: npt.NDArray[np.int64]


def check_offsets(offsets: npt.NDArray[np.integer], n_rows: int, n_values: int) -> None:
    """Refuse (ValueError) offsets that do not cut `n_values` values into `n_rows` rows."""
    if offsets.shape != (n_rows + 1,) or offsets[0] != 0 or offsets[-1] != n_values or np.any(np.diff(offsets) < 0):
        raise ValueError(f"expected offsets of {n_rows} rows over {n_values} values")


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
    parts
        For each block of the features the matrix of its distinct rows, zeros last, and which of them each turn has.
    goals
        The distinct action sets as bits, zeros last, and which of them each turn has.
    n_features, n_actions
        Widths of a turn's features and targets.
    embedded
        By the number of the part: those whose features come from tables that training changes.
    """

    def __init__(
        self,
        ids: Sequence[str],
        offsets: npt.NDArray[np.int64],
        parts: Sequence[tuple[Matrix, IntArray]],
        targets: tuple[FloatArray, IntArray],
        is_target: npt.NDArray[np.bool_],
        embedded: Mapping[int, EmbeddedTexts] | None = None,
    ) -> None:
        self.ids, self.offsets, self.parts, self.goals, self.is_target = tuple(ids), offsets, parts, targets, is_target
        self.embedded = dict(embedded or {})
        self.lengths: npt.NDArray[np.int64] = np.diff(offsets)
        self.n_features = sum(self.widths)
        self.n_actions = targets[0].shape[1]

    def __len__(self) -> int:
        return len(self.ids)

    def forget(self) -> None:
        """Let go of what can be read again: nothing, where all is in memory."""

    def check(self) -> None:
        """Check that everything points to what is there: what comes from a file may not.

        Raises
        ------
        ValueError
            If it does not, or a number is not finite.
        """
        check_offsets(self.offsets, len(self.ids), len(self.is_target))
        n_rows: dict[int, int] = {}
        for matrix, rows in (*self.parts, self.goals):
            # Blocks of one part of a turn share their row numbers.
            if n_rows.setdefault(id(rows), matrix.shape[0]) != matrix.shape[0]:
                raise ValueError("blocks of one part have different numbers of rows")
            if rows.shape != self.is_target.shape or rows.dtype != np.int32 or len(matrix.shape) != 2:
                raise ValueError("expected a row of each part for each turn")
            if len(rows) and not 0 <= rows.min() <= rows.max() < matrix.shape[0] - 1:
                raise ValueError("a turn has a row that is not there")
            if isinstance(matrix, SparseRows):
                columns = matrix.columns
                check_offsets(columns.offsets, matrix.shape[0], len(columns.values))
                check_array("values", matrix.values, columns.values.shape)
                if len(columns.values) and not 0 <= columns.values.min() <= columns.values.max() < matrix.width:
                    raise ValueError("a value is in a column that is not there")
            elif isinstance(matrix, np.ndarray):
                check_array("a part", matrix, matrix.shape)
                if matrix[-1].any():
                    raise ValueError("expected zeros for padding")
        for texts in self.embedded.values():
            packed = texts.packed
            check_offsets(packed.offsets, len(packed), len(packed.values))
            if len(packed.values) and not 0 < packed.values.min() <= packed.values.max() <= len(texts.table.vectors):
                raise ValueError("a text has a term that is not there")
        if self.is_target.dtype != np.bool_:
            raise ValueError("expected whether each turn is to be predicted")

    @property
    def pool_size(self) -> int:
        """Number of dialogues that an epoch shuffles together: all of them, as they are in memory."""
        return len(self)

    def shuffled_shards(self, random: np.random.Generator) -> npt.NDArray[np.int64]:
        """Return the numbers of all dialogues in an order by which those that are read together stand together: as they are."""
        return np.arange(len(self))

    @property
    def widths(self) -> list[int]:
        """Number of features of each part."""
        return [matrix.shape[1] for matrix, _ in self.parts]

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
            For each dialogue arrays of shape (turns, n_features) and (turns, n_actions). Targets are from 0 to 1, as a rule bits.
        is_target
            For each dialogue whether its turns are to be predicted, shape (turns,), False and True or 0 and 1; None: all are.

        Raises
        ------
        OptionError
            If numbers of dialogues, turns or columns differ, a number is NaN or infinite, in float32 too, or a target out of bounds.
        """
        xs, ys, goals = checked_arrays(features, targets, is_target)
        rows = np.arange(sum(map(len, xs)), dtype=np.int32)
        padded = [
            np.concatenate([*arrays, np.zeros_like(arrays[0][:1], shape=(1, arrays[0].shape[1]))])
            for arrays in (xs, ys)
        ]
        offsets = np.concatenate([[0], np.cumsum([len(x) for x in xs])]).astype(np.int64)
        ids = [str(number) for number in range(len(xs))]
        return cls(ids, offsets, [(padded[0], rows)], (padded[1], rows), np.concatenate(goals))

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

    def balanced_weights(self) -> npt.NDArray[np.float64]:
        """Weight of a turn such that every action set weighs the same and all turns to predict weigh 1 on average.

        Shape (n_turns,): n / (number of distinct sets × turns with this set), as scikit-learn's ``class_weight="balanced"``.
        """
        matrix, positions = self.goals
        return self._balanced(np.unique(matrix, axis=0, return_inverse=True)[1].reshape(-1)[positions])

    def _balanced(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
        """Return the weights of turns by the number of the action set that each has."""
        counts = np.bincount(rows[self.is_target], minlength=int(rows.max(initial=0)) + 1)
        present = max(1, int(np.count_nonzero(counts)))
        weights: npt.NDArray[np.float64] = counts.sum() / (present * np.maximum(counts, 1)[rows])
        return weights

    def action_rates(self) -> npt.NDArray[np.float64]:
        """Share of the turns to predict that have each action, shape (n_actions,); never quite 0 or 1, as if half a turn more.

        (Krichevsky & Trofimov 1981.)
        """
        matrix, positions = self.goals
        of_sets = np.bincount(positions[self.is_target], minlength=len(matrix))
        rates: npt.NDArray[np.float64] = (of_sets @ matrix.astype(np.float64) + 0.5) / (of_sets.sum() + 1.0)
        return rates

    def features(self, turns: npt.NDArray[np.int64], *, embedded: bool = True) -> FloatArray:
        """Features of turns given by number, shape (*turns.shape, n_features), zeros where the number is PADDING.

        Without `embedded` the features of :attr:`embedded` parts are left out.
        """
        parts = [
            (self.embedded[number].matrix if number in self.embedded else matrix, rows)
            for number, (matrix, rows) in enumerate(self.parts)
            if embedded or number not in self.embedded
        ]
        if len(parts) == 1:  # a cached corpus: nothing to put side by side
            matrix, rows = parts[0]
            return np.asarray(matrix[_pick(rows, turns)], dtype=np.float32)
        gathered = np.empty((*turns.shape, sum(matrix.shape[1] for matrix, _ in parts)), dtype=np.float32)
        start = 0
        for matrix, rows in parts:
            width = matrix.shape[1]
            gathered[..., start : start + width] = matrix[_pick(rows, turns)]
            start += width
        return gathered

    def packed(self, part: int, turns: npt.NDArray[np.int64]) -> PackedTurns:
        """Texts of turns given by number in one of the :attr:`embedded` parts; that of PADDING is empty."""
        texts = self.embedded[part].packed
        padding = len(texts) - 1
        rows = np.where(turns == PADDING, padding, self.parts[part][1][turns])
        distinct, places = np.unique(rows, return_inverse=True)
        return PackedTurns(texts.take(distinct), places.reshape(turns.shape))

    def mean_terms(self, part: int) -> float:
        """Terms that a turn's text has on average in one of the :attr:`embedded` parts."""
        counts = self.embedded[part].packed.counts
        return float(counts[self.parts[part][1]].mean())

    def targets(self, turns: npt.NDArray[np.int64]) -> FloatArray:
        """Return action bits of turns given by number, shape (*turns.shape, n_actions), zeros for history."""
        matrix, rows = self.goals
        bits: FloatArray = matrix[_pick(rows, turns)]
        return bits

    def weights(self, turns: npt.NDArray[np.int64]) -> FloatArray:
        """One where a turn is to be predicted, zero elsewhere and in the padding; shape of `turns`."""
        return np.where(turns == PADDING, False, self.is_target[turns]).astype(np.float32)


def _pick(rows: IntArray, turns: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.where(turns == PADDING, PADDING, rows[turns])
