"""Totals of any number of dialogues, added up in groups that resampling takes for dialogues."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dialog_policy.evaluation.scored_turns import Integers
from dialog_policy.evaluation.totals import Block, DialogueTotals

__all__ = ["GROUPS", "GroupedTotals", "group_of"]

# More dialogues are summed in so many groups, for resampling.
GROUPS = 10_000


def group_of(numbers: Integers) -> Integers:
    """Return the group of dialogues by their numbers in the corpus.

    Each of the first 10,000 has a group of its own; of every further 10,000 in a row one goes into each, at random.
    """
    blocks, places = np.divmod(numbers, GROUPS)
    groups = places.astype(np.int64)
    for block in np.unique(blocks[blocks > 0]).tolist():
        is_here = blocks == block
        groups[is_here] = np.random.default_rng(block).permutation(GROUPS)[places[is_here]]
    return groups


class GroupedTotals:
    """Totals of any number of dialogues, summed in groups: whole numbers, so that sums of parts add up to those of the whole.

    Parameters
    ----------
    groups
        Whether to keep groups, for intervals, or the sums of all dialogues only.
    """

    def __init__(self, *, groups: bool = True) -> None:
        self._groups = GROUPS if groups else 1
        self._blocks: list[Block] = []
        self._bearing: list[npt.NDArray[np.int64]] = []
        self._n_in_group = np.zeros(self._groups, dtype=np.int64)

    def __getstate__(self) -> tuple[int, Integers, list[Block], list[npt.NDArray[np.int64]], npt.NDArray[np.int64]]:
        """Leave groups without dialogues behind when the totals are sent to another process."""
        rows = np.flatnonzero(self._n_in_group)
        blocks = [block._replace(values=block.values[rows]) for block in self._blocks]
        return self._groups, rows, blocks, self._bearing, self._n_in_group[rows]

    def __setstate__(
        self, state: tuple[int, Integers, list[Block], list[npt.NDArray[np.int64]], npt.NDArray[np.int64]]
    ) -> None:
        """Undo :meth:`__getstate__`."""
        self._groups, rows, blocks, bearing, n = state
        self._blocks, self._bearing, self._n_in_group = [], [], np.zeros(self._groups, dtype=np.int64)
        if blocks:
            self._include(blocks, bearing, rows, n)

    def add(self, totals: DialogueTotals, numbers: Integers) -> None:
        """Add the totals of dialogues with these numbers in the corpus."""
        groups = group_of(numbers) if self._groups > 1 else np.zeros(len(numbers), dtype=np.int64)
        order = np.argsort(groups, kind="stable")
        present, starts = np.unique(groups[order], return_index=True)
        summed = [b._replace(values=np.add.reduceat(b.values[order], starts, axis=0)) for b in totals.blocks]
        bearing = [np.count_nonzero(block.values, axis=0) for block in totals.blocks]
        self._include(summed, bearing, present, np.diff(np.append(starts, len(order))))

    def merge(self, other: GroupedTotals, bits: Integers | None = None) -> None:
        """Add the sums of other dialogues; `bits` are the numbers that the other's actions have here."""
        blocks, bearing = other._blocks, other._bearing
        if bits is not None:
            n = int(bits.max(initial=-1)) + 1
            moved = []
            for i, block in enumerate(blocks):
                if block.of_actions:
                    values = np.zeros((len(block.values), n), dtype=np.int64)
                    values[:, bits[: block.values.shape[1]]] = block.values
                    bears = np.zeros(n, dtype=np.int64)
                    bears[bits[: block.values.shape[1]]] = bearing[i]
                    block, bearing = block._replace(values=values), [*bearing[:i], bears, *bearing[i + 1 :]]
                moved.append(block)
            blocks = moved
        self._include(blocks, bearing, np.arange(self._groups), other._n_in_group)

    def _include(
        self, blocks: Sequence[Block], bearing: Sequence[npt.NDArray[np.int64]], groups: Integers, n: Integers
    ) -> None:
        if not self._blocks:
            self._blocks = [b._replace(values=np.zeros((self._groups, 0), dtype=np.int64)) for b in blocks]
            self._bearing = [np.zeros(0, dtype=np.int64) for _ in blocks]
        self._n_in_group[groups] += n
        for i, (block, bears) in enumerate(zip(blocks, bearing, strict=True)):
            width = block.values.shape[1]
            more = width - self._blocks[i].values.shape[1]
            if more > 0:  # actions that only predictions have
                wider = np.pad(self._blocks[i].values, ((0, 0), (0, more)))
                self._blocks[i] = self._blocks[i]._replace(values=wider)
                self._bearing[i] = np.pad(self._bearing[i], (0, more))
            self._blocks[i].values[groups, :width] += block.values
            self._bearing[i][:width] += bears

    def fill(self, layout: DialogueTotals) -> None:
        """Give totals without dialogues, of which only the columns and ratios are known, these sums."""
        rows = np.flatnonzero(self._n_in_group)
        widths = [block.values.shape[1] for block in layout.blocks]
        padded = [(0, width - block.values.shape[1]) for width, block in zip(widths, self._blocks, strict=True)]
        blocks = [
            block._replace(values=np.pad(block.values[rows], ((0, 0), pad)))
            for block, pad in zip(self._blocks, padded, strict=True)
        ]
        bearing = np.concatenate([np.pad(b, pad) for b, pad in zip(self._bearing, padded, strict=True)])
        layout.fill(blocks, bearing, int(self._n_in_group.sum()))
