"""Gold and predicted actions of every scored turn as arrays: a million turns need no object each."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.corpus import ActionSpace, Dialogue

__all__ = ["Integers", "Pairs", "ScoredTurns", "SparseProbabilities"]

Integers = npt.NDArray[np.signedinteger]


class Pairs(NamedTuple):
    """A sparse table of bits: row and bit of each that is set, shape (n_pairs,), sorted by row and then bit."""

    rows: Integers
    bits: Integers


class SparseProbabilities(NamedTuple):
    """A sparse table of probabilities: row, bit and probability, shape (n_probabilities,), sorted by row and then bit."""

    rows: Integers
    bits: Integers
    values: npt.NDArray[np.float64]


@dataclass(frozen=True)
class ScoredTurns:
    """The scored turns of one policy, in the order of the corpus.

    Attributes
    ----------
    space
        Actions: those of training and gold, then those that only predictions have.
    n_listed
        How many of them are training's or gold's: averages over actions run over these.
    training
        Shape (n_actions,): whether training has the action.
    dialogues
        The scored dialogues.
    dialogue, number
        Shape (n_turns,): number of the turn's dialogue among them, and of the turn in its dialogue.
    gold, predicted
        Gold and predicted actions.
    probabilities
        ProbabilityScores of actions; None where the predictions have none.
    confidence
        Shape (n_turns,): probability of the predicted set; None likewise.
    gold_set
        Shape (n_turns,): probability of the gold set; None where not every prediction has it.
    set_rank
        Shape (n_turns,): place of the gold set among the most probable ones, from 0, infinite where it is none of them; None where
        not every prediction lists these.
    """

    space: ActionSpace
    n_listed: int
    training: npt.NDArray[np.bool_]
    dialogues: Sequence[Dialogue]
    dialogue: Integers
    number: Integers
    gold: Pairs
    predicted: Pairs
    probabilities: SparseProbabilities | None
    confidence: npt.NDArray[np.float64] | None
    gold_set: npt.NDArray[np.float64] | None = None
    set_rank: npt.NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.dialogue)

    def keys(self, pairs: Pairs | SparseProbabilities) -> Integers:
        """Return one number for each (row, bit), ascending."""
        keys: Integers = pairs.rows * np.int64(max(1, len(self.space))) + pairs.bits
        return keys

    @cached_property
    def hits(self) -> Pairs:
        """Actions that are gold and predicted."""
        is_gold = np.isin(self.keys(self.predicted), self.keys(self.gold), assume_unique=True)
        return Pairs(self.predicted.rows[is_gold], self.predicted.bits[is_gold])

    def per_turn(self, pairs: Pairs) -> Integers:
        """Return the number of bits of each turn, shape (n_turns,)."""
        return np.bincount(pairs.rows, minlength=len(self))

    @cached_property
    def exact(self) -> npt.NDArray[np.bool_]:
        """Shape (n_turns,): whether the predicted set is the gold set."""
        hits = self.per_turn(self.hits)
        exact: npt.NDArray[np.bool_] = (hits == self.per_turn(self.gold)) & (hits == self.per_turn(self.predicted))
        return exact

    def sets(self, pairs: Pairs) -> list[frozenset[str]]:
        """Return the actions of each turn by name; equal sets are one object."""
        names = self.space.classes_
        one: dict[tuple[int, ...], frozenset[str]] = {}
        ends = np.searchsorted(pairs.rows, np.arange(len(self) + 1)).tolist()
        bits = pairs.bits.tolist()
        sets = []
        for start, end in itertools.pairwise(ends):
            key = tuple(bits[start:end])
            if key not in one:
                one[key] = frozenset(names[bit] for bit in key)
            sets.append(one[key])
        return sets

    def over(self, kept: npt.NDArray[np.bool_]) -> ScoredTurns:
        """Return the same turns as if only some actions existed; shape (n_actions,): which. Probabilities are left out."""
        number = np.cumsum(kept) - 1
        names = [name for name, is_kept in zip(self.space.classes_, kept.tolist(), strict=True) if is_kept]

        def only(pairs: Pairs) -> Pairs:
            chosen = kept[pairs.bits]
            return Pairs(pairs.rows[chosen], number[pairs.bits[chosen]])

        return ScoredTurns(
            ActionSpace(names),
            int(kept[: self.n_listed].sum()),
            self.training[kept],
            self.dialogues,
            self.dialogue,
            self.number,
            only(self.gold),
            only(self.predicted),
            None,
            None,
        )
