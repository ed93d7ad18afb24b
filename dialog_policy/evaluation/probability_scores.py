"""How good the stated probabilities are: log-loss, Brier score, top-k accuracy, precision and recall at every threshold."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.arrays import Doubles
from dialog_policy.evaluation.scored_turns import Integers, ScoredTurns

__all__ = ["LEAST", "LEFT_OUT", "TOP", "Curve", "ProbabilityScores"]


TOP = (1, 3, 5)
# What an action counts that predictions leave out and that was right: policies leave out what is less probable than that.
LEFT_OUT = 1e-3
# What a gold set counts that the policy cannot choose, as with an action that training never showed: 27.6 nats.
LEAST = 1e-12
# How far the probabilities of actions that exclude each other may be from 1, besides what may have been left out.
_ROUNDING = 1e-3
_POINTS = 50


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
    exclusive
        Whether the actions of a turn exclude each other: one in every gold and every predicted set, probabilities add up to 1.
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
        totals = np.bincount(rows, values, minlength=n)
        slack = _ROUNDING + LEFT_OUT * turns.n_listed
        self.exclusive = bool(
            (self._n_gold == 1).all()
            and (turns.per_turn(turns.predicted) == 1).all()
            and (totals <= 1 + _ROUNDING).all()
            and (totals >= 1 - slack).all()
        )

    def log_loss(self) -> Doubles:
        """Binary cross-entropy summed over the actions, of each turn, shape (n_turns,), in nats.

        That is −Σ y ln p + (1 − y) ln(1 − p). Where actions exclude each other, −ln p of the gold one.
        ProbabilityScores are clipped as scikit-learn clips them; a gold action that was left out counts 0.001.
        """
        rows, _, values = self._stated
        least = np.finfo(np.float64).eps
        clipped, gold = np.clip(values, least, 1 - least), self.is_gold
        n = len(self._turns)
        loss: Doubles = np.bincount(rows[gold], -np.log(clipped[gold]), minlength=n) - self.left_out * np.log(LEFT_OUT)
        if not self.exclusive:
            loss -= np.bincount(rows[~gold], np.log1p(-clipped[~gold]), minlength=n)
        return loss

    def brier(self) -> Doubles:
        """Σ (p − y)² over the actions, of each turn, shape (n_turns,) (Brier 1950)."""
        rows, _, values = self._stated
        loss: Doubles = np.bincount(rows, np.square(values - self.is_gold), minlength=len(self._turns)) + self.left_out
        return loss

    @cached_property
    def _place(self) -> Integers:
        """Place of each stated probability among all, the greatest first; equal ones in the order of turns and actions."""
        place = np.empty(len(self._stated.values), dtype=np.int64)
        place[np.argsort(-self._stated.values, kind="stable")] = np.arange(len(place))
        return place

    def _falling(self, groups: Integers) -> Integers:
        """Order of the stated probabilities by group, and in it the greatest first."""
        return np.argsort(groups * np.int64(max(1, len(self._place))) + self._place)

    def top(self, k: int) -> npt.NDArray[np.bool_]:
        """Shape (n_turns,): whether a turn has gold actions and all of them are among its `k` most probable."""
        hit: npt.NDArray[np.bool_] = self.has_gold & (self._worst_rank < k)
        return hit

    @cached_property
    def _worst_rank(self) -> npt.NDArray[np.float64]:
        rows = self._stated.rows
        order = self._falling(rows)
        rank = np.arange(len(order)) - np.searchsorted(rows, rows, side="left")
        worst = np.zeros(len(self._turns))
        gold = self.is_gold[order]
        np.maximum.at(worst, rows[order][gold], rank[gold])
        worst[self.left_out > 0] = np.inf
        return worst

    def curves(self) -> list[Curve]:
        """Precision and recall of every action over the thresholds; what was left out has probability 0."""
        order = self._falling(self._stated.bits)
        ends = np.searchsorted(self._stated.bits[order], np.arange(len(self._turns.space) + 1))
        support = np.bincount(self._turns.gold.bits, minlength=len(self._turns.space))
        return [
            self._curve(order[start:end], int(positives))
            for start, end, positives in zip(ends[:-1], ends[1:], support, strict=True)
        ]

    def _curve(self, chosen: Integers, positives: int) -> Curve:
        if not positives:
            return Curve(0.0, [])
        n = len(self._turns)
        values = self._stated.values[chosen]
        stated = int(np.count_nonzero(values))
        last_of_tie = np.flatnonzero(np.append(values[1:stated] != values[: max(0, stated - 1)], stated > 0))
        hits = np.cumsum(self.is_gold[chosen])[last_of_tie]
        n_predicted = last_of_tie + 1
        if stated < n:  # at threshold 0 every turn is taken
            hits, n_predicted = np.append(hits, positives), np.append(n_predicted, n)
        recall, precision = hits / positives, hits / n_predicted
        average = float(np.sum(np.diff(recall, prepend=0.0) * precision))
        last = int(np.searchsorted(recall, 1.0))  # beyond it only precision falls
        shown = np.unique(np.linspace(0, last, min(_POINTS, last + 1)).round().astype(np.intp))
        points = np.stack([recall[shown], precision[shown]], axis=1).round(4)
        return Curve(average, points.tolist())
