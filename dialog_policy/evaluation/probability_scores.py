"""How good the stated probabilities are: log-loss, Brier score, top-k accuracy, precision and recall at every threshold."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.arrays import Doubles
from dialog_policy.evaluation.scored_turns import Integers, ScoredTurns

__all__ = ["LEAST", "LEFT_OUT", "TOP", "Curve", "ProbabilityScores", "Shares", "exclude_each_other"]


TOP = (1, 3, 5)
# What an action counts that predictions leave out and that was right: policies leave out what is less probable than that.
LEFT_OUT = 1e-3
# What a gold set counts that the policy cannot choose, as with an action that training never showed: 27.6 nats.
LEAST = 1e-12
# How far the probabilities of actions that exclude each other may be from 1, besides what may have been left out.
_ROUNDING = 1e-3
_POINTS = 50
# So many stated probabilities are kept one by one; more of them in bins.
_MOST_RAW = 4_000_000
_BINS = 4_096


def exclude_each_other(least: float, most: float, n_listed: int) -> bool:
    """Whether the probabilities of the turns add up to 1, all from `least` to `most`, but for what may have been left out."""
    return most <= 1 + _ROUNDING and least >= 1 - (_ROUNDING + LEFT_OUT * n_listed)


class Curve(NamedTuple):
    """Precision and recall of one action: the average precision, and points (recall, precision) by rising recall."""

    average_precision: float
    points: list[list[float]]


class ProbabilityScores:
    """The probabilities of scored turns against their gold actions.

    Parameters
    ----------
    turns
        Turns whose predictions have probabilities.

    Attributes
    ----------
    is_gold
        Shape (n_probabilities,): whether the action of each stated probability is gold.
    has_gold
        Shape (n_turns,): whether a turn has gold actions.
    left_out
        Shape (n_turns,): gold actions without a probability.
    may_exclude
        Whether there is one action in every gold and every predicted set.
    least, most
        Of the sums of a turn's probabilities.
    """

    def __init__(self, turns: ScoredTurns) -> None:
        if turns.probabilities is None:
            raise ValueError("these predictions have no probabilities")
        self._turns, self._stated = turns, turns.probabilities
        n = len(turns)
        rows, _, values = turns.probabilities
        self.is_gold: npt.NDArray[np.bool_] = np.isin(
            turns.keys(turns.probabilities), turns.keys(turns.gold), assume_unique=True
        )
        self._n_gold = turns.per_turn(turns.gold)
        self.has_gold: npt.NDArray[np.bool_] = self._n_gold > 0
        self.left_out = self._n_gold - np.bincount(rows[self.is_gold], minlength=n)
        totals = np.bincount(rows, values, minlength=n).astype(np.float64)
        self.may_exclude = bool((self._n_gold == 1).all() and (turns.per_turn(turns.predicted) == 1).all())
        self.least, self.most = float(totals.min(initial=np.inf)), float(totals.max(initial=-np.inf))

    def log_losses(self) -> tuple[Doubles, Doubles]:
        """Binary cross-entropy summed over the actions, of each turn, shape (n_turns,), in nats: of gold actions, and of others.

        That is −Σ y ln p and −Σ (1 − y) ln(1 − p). Where actions exclude each other the first is all there is.
        Probabilities are clipped as scikit-learn clips them; a gold action that was left out counts 0.001.
        """
        rows, _, values = self._stated
        least = np.finfo(np.float64).eps
        clipped, gold = np.clip(values, least, 1 - least), self.is_gold
        n = len(self._turns)
        of_gold: Doubles = np.bincount(rows[gold], -np.log(clipped[gold]), minlength=n) - self.left_out * np.log(
            LEFT_OUT
        )
        of_others = -np.bincount(rows[~gold], np.log1p(-clipped[~gold]), minlength=n).astype(np.float64)
        return of_gold, of_others

    def brier(self) -> Doubles:
        """Σ (p − y)² over the actions, of each turn, shape (n_turns,) (Brier 1950)."""
        rows, _, values = self._stated
        loss: Doubles = np.bincount(rows, np.square(values - self.is_gold), minlength=len(self._turns)) + self.left_out
        return loss

    def top(self, k: int) -> npt.NDArray[np.bool_]:
        """Shape (n_turns,): whether a turn has gold actions and all of them are among its `k` most probable."""
        hit: npt.NDArray[np.bool_] = self.has_gold & (self._worst_rank < k)
        return hit

    @cached_property
    def _worst_rank(self) -> npt.NDArray[np.float64]:
        rows = self._stated.rows
        # By turn, and in it the greatest first; equal ones in the order of their names.
        names = np.argsort(np.argsort(np.array(self._turns.space.classes_)))
        order = np.lexsort((names[self._stated.bits], -self._stated.values, rows))
        rank = np.arange(len(order)) - np.searchsorted(rows, rows, side="left")
        worst = np.zeros(len(self._turns))
        gold = self.is_gold[order]
        np.maximum.at(worst, rows[order][gold], rank[gold])
        worst[self.left_out > 0] = np.inf
        return worst

    def shares(self) -> Shares:
        """Return all stated probabilities by action."""
        return Shares.of(self._stated.bits, self._stated.values, self.is_gold)


class Shares:
    """Stated probabilities of each action, and how many of them were right: all of them, or, of very many, in 4,096 bins.

    Counts are whole numbers, so that those of parts add up to those of the whole, bins included.
    """

    def __init__(self) -> None:
        self._raw: list[tuple[Integers, Doubles, npt.NDArray[np.bool_]]] = []
        self._n_raw = 0
        # Shape (n_actions, bins, 2): how many were stated, how many of these were right.
        self._binned: npt.NDArray[np.int64] | None = None

    @classmethod
    def of(cls, bits: Integers, values: Doubles, right: npt.NDArray[np.bool_]) -> Shares:
        """Take the action, the probability, and whether it was right, of each stated probability."""
        shares = cls()
        shares._take(bits, values, right)
        return shares

    def _take(self, bits: Integers, values: Doubles, right: npt.NDArray[np.bool_]) -> None:
        self._raw.append((bits.astype(np.int32), values, right))
        self._n_raw += len(bits)
        if self._binned is not None or self._n_raw > _MOST_RAW:
            self._bin()

    def merge(self, other: Shares, bits: Integers | None = None) -> None:
        """Add what was stated elsewhere; `bits` are the numbers that the other's actions have here."""
        for own_bits, values, right in other._raw:
            self._take(own_bits if bits is None else bits[own_bits], values, right)
        if other._binned is not None:
            n = len(other._binned)
            places = np.arange(n) if bits is None else bits[:n]
            self._bin()
            self._widen(int(places.max(initial=-1)) + 1)
            assert self._binned is not None
            self._binned[places] += other._binned

    def _widen(self, n_actions: int) -> None:
        if self._binned is None:
            self._binned = np.zeros((0, _BINS + 1, 2), dtype=np.int64)
        if n_actions > len(self._binned):
            self._binned = np.pad(self._binned, ((0, n_actions - len(self._binned)), (0, 0), (0, 0)))

    def _bin(self) -> None:
        """Put what is kept one by one into bins, which have a width of 1/256 of the probability: 16 octaves down from 1."""
        for bits, values, right in self._raw:
            self._widen(int(bits.max(initial=-1)) + 1)
            assert self._binned is not None
            bins = _bins_of(values)
            np.add.at(self._binned[:, :, 0], (bits, bins), 1)
            np.add.at(self._binned[:, :, 1], (bits, bins), right)
        self._widen(0)
        self._raw, self._n_raw = [], 0

    def curves(self, n_turns: int, support: Integers) -> list[Curve]:
        """Return precision and recall of every action over the thresholds; what was left out has probability 0.

        Parameters
        ----------
        n_turns
            How many turns there are.
        support
            Shape (n_actions,): how many of them have each action.
        """
        if self._binned is not None:
            self._widen(len(support))
            counted = (row[::-1] for row in self._binned)
            return [_curve(*_occurring(row), int(n), n_turns) for row, n in zip(counted, support, strict=True)]
        empty = np.zeros(0, dtype=np.int32), np.zeros(0), np.zeros(0, dtype=np.bool_)
        bits, values, right = (np.concatenate(column) for column in zip(empty, *self._raw, strict=True))
        order = np.lexsort((-values, bits))
        ends = np.searchsorted(bits[order], np.arange(len(support) + 1))
        return [
            _curve(*_ties(values[order[start:end]], right[order[start:end]]), int(positives), n_turns)
            for start, end, positives in zip(ends[:-1], ends[1:], support, strict=True)
        ]


def _bins_of(values: Doubles) -> Integers:
    """Return the bin of each probability: 0 for 0, then rising; 256 equal ones in each octave."""
    fraction, exponent = np.frexp(values)  # in [0.5, 1); 1.0 has the exponent 1
    bins = (exponent + 15) * 256 + ((fraction - 0.5) * 512).astype(np.int64) + 1
    return np.where(values > 0, np.clip(bins, 1, _BINS), 0)


def _occurring(row: npt.NDArray[np.int64]) -> tuple[Integers, Integers]:
    stated, right = row[:-1].T  # the last one is that of probability 0, which says nothing
    return np.cumsum(stated)[stated > 0], np.cumsum(right)[stated > 0]


def _ties(values: Doubles, right: npt.NDArray[np.bool_]) -> tuple[Integers, Integers]:
    """Return how many are stated with a probability from each threshold up, and how many of these are right."""
    stated = int(np.count_nonzero(values))
    last_of_tie = np.flatnonzero(np.append(values[1:stated] != values[: max(0, stated - 1)], stated > 0))
    return last_of_tie + 1, np.cumsum(right, dtype=np.int64)[last_of_tie]


def _curve(n_predicted: Integers, hits: Integers, positives: int, n: int) -> Curve:
    if not positives:
        return Curve(0.0, [])
    if not len(n_predicted) or n_predicted[-1] < n:  # at threshold 0 every turn is taken
        hits, n_predicted = np.append(hits, positives), np.append(n_predicted, n)
    recall, precision = hits / positives, hits / n_predicted
    average = float(np.sum(np.diff(recall, prepend=0.0) * precision))
    last = int(np.searchsorted(recall, 1.0))  # beyond it only precision falls
    shown = np.unique(np.linspace(0, last, min(_POINTS, last + 1)).round().astype(np.intp))
    points = np.stack([recall[shown], precision[shown]], axis=1).round(4)
    return Curve(average, points.tolist())
