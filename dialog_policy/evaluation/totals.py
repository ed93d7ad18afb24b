"""What each dialogue adds to the figures: every metric is a function of these totals, so that a bootstrap only has to weigh them.

Averages of F1 follow scikit-learn with ``zero_division=0`` (also the samples average: a turn where both sets are empty counts 0).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from dialog_policy.arrays import Floats
from dialog_policy.evaluation.evaluation import Metrics
from dialog_policy.evaluation.intervals import bootstrap_intervals
from dialog_policy.evaluation.scored_turns import Integers, ScoredTurns

__all__ = ["SCALARS", "UNIT", "Block", "DialogueTotals", "Loss", "MetricSet", "ratio"]

# The metrics that every policy has, in their order.
SCALARS = tuple(field.name for field in msgspec.structs.fields(Metrics) if field.required)


def ratio(above: Floats, below: Floats, undefined: float = 0.0) -> Floats:
    """Divide, where there is something to divide by."""
    quotient: Floats = np.divide(above, below, out=np.full(np.shape(above), undefined), where=below > 0)
    return quotient


class Loss(NamedTuple):
    """A metric that is a mean over turns.

    Attributes
    ----------
    values
        Shape (n_turns,).
    is_rate
        Whether it is between 0 and 1.
    counted
        Shape (n_turns,): which turns count. None: all.
    """

    values: npt.NDArray[Any]
    is_rate: bool = True
    counted: npt.NDArray[np.bool_] | None = None


# Sums of what is no whole number are kept in this many parts of one, so that they are exact: in whatever order, and from whatever
# parts of a corpus, they are added up.
UNIT = 1 << 30


class Block(NamedTuple):
    """Columns that were added together: whole numbers, and how many of them are one."""

    values: npt.NDArray[np.int64]
    unit: int
    of_actions: bool


class DialogueTotals:
    """Columns of sums, one row a dialogue or a group of dialogues, and the ratios of columns that are wanted.

    Parameters
    ----------
    turns
        The scored turns.
    """

    def __init__(self, turns: ScoredTurns) -> None:
        self._dialogue, self.n = turns.dialogue, len(turns.dialogues)
        self.blocks: list[Block] = []
        self._width = 0
        self._above: list[Integers] = []
        self._below: list[Integers] = []
        self._bearing: npt.NDArray[np.int64] | None = None

    def add(self, values: npt.NDArray[Any], *, of_actions: bool = False) -> Integers:
        """Add columns of shape (n_dialogues, n); return their numbers. `of_actions`: one for each action."""
        is_whole = values.dtype.kind in "biu"
        unit = 1 if is_whole else UNIT
        whole = values.astype(np.int64) if is_whole else np.rint(values * float(unit)).astype(np.int64)
        self.blocks.append(Block(whole, unit, of_actions))
        self._width += values.shape[1]
        return np.arange(self._width - values.shape[1], self._width)

    def of_turns(self, values: npt.NDArray[Any] | None = None) -> Integers:
        """Add the sum of values of turns, shape (n_turns,); of ones, if there are none given."""
        return self.add(_sums(self._dialogue, values, self.n)[:, None])

    def of_groups(
        self,
        rows: Integers,
        groups: Integers,
        n: int,
        values: npt.NDArray[Any] | None = None,
        *,
        of_actions: bool = False,
    ) -> Integers:
        """Add one column for each of `n` groups: the sum of `values`, where turn `rows[i]` gives `values[i]` to its group."""
        flat = self._dialogue[rows] * np.int64(n) + groups
        weights = None if values is None else values[rows]
        return self.add(_sums(flat, weights, self.n * n).reshape(self.n, n), of_actions=of_actions)

    def want(self, above: Integers, below: Integers) -> slice:
        """Ask for the ratios of columns; return where they are among all ratios."""
        start = sum(map(len, self._above))
        self._above.append(above)
        self._below.append(below)
        return slice(start, start + len(above))

    def matrix(self) -> npt.NDArray[np.float32]:
        """Return all columns, shape (n_dialogues or groups, n_columns)."""
        return np.concatenate([(b.values / b.unit).astype(np.float32) for b in self.blocks], axis=1)

    def bearing(self) -> npt.NDArray[np.int64]:
        """Return how many dialogues each column is not 0 of, shape (n_columns,)."""
        if self._bearing is not None:
            return self._bearing
        return np.concatenate([np.count_nonzero(b.values, axis=0) for b in self.blocks])

    def fill(self, blocks: list[Block], bearing: npt.NDArray[np.int64], n: int) -> None:
        """Give the same columns and ratios other content."""
        self.blocks, self._bearing, self.n = blocks, bearing, n

    def totals(self) -> npt.NDArray[np.float64]:
        """Return the sum of each column, shape (1, n_columns); it is exact."""
        return np.concatenate([b.values.sum(axis=0) / b.unit for b in self.blocks])[None]

    def intervals(
        self, metrics: MetricSet, *, resamples: int, seed: int, dialogues: Integers | None = None
    ) -> tuple[dict[str, list[float]], list[list[float] | None]]:
        """Return 95 % intervals of the metrics by name, and of the ratios in the order in which they were asked for.

        An interval of which nothing can be said is left out, or None.

        Parameters
        ----------
        metrics
            What is computed from the totals.
        resamples, seed
            Of the bootstrap.
        dialogues
            Numbers of the dialogues that the sample has, with repetitions. None: each once.
        """
        above = np.concatenate([*self._above, np.zeros(0, dtype=np.int64)]).astype(np.intp)
        below = np.concatenate([*self._below, np.zeros(0, dtype=np.int64)]).astype(np.intp)

        def statistic(totals: Floats) -> Floats:
            ratios = ratio(totals[:, above], totals[:, below], np.nan)
            return np.concatenate([metrics(totals), ratios], axis=1)

        matrix = self.matrix() if dialogues is None else self.matrix()[dialogues]
        bearing = self.bearing() if dialogues is None else np.count_nonzero(matrix, axis=0)
        n_metrics = len(metrics.names)
        bounds = bootstrap_intervals(
            matrix,
            statistic,
            np.concatenate([np.full(n_metrics, self.n if dialogues is None else len(matrix)), bearing[below]]),
            bounded=np.concatenate([metrics.bounded, np.ones(len(below), dtype=np.bool_)]),
            resamples=resamples,
            seed=seed,
        )
        # No metric and no loss is negative; Student's t with a few dialogues does not know that.
        intervals = [None if np.isnan(pair).any() else np.maximum(pair, 0.0).tolist() for pair in bounds]
        named = zip(metrics.names, intervals[:n_metrics], strict=True)
        return {name: pair for name, pair in named if pair is not None}, intervals[n_metrics:]


def _sums(bins: Integers, values: npt.NDArray[Any] | None, n: int) -> npt.NDArray[Any]:
    """Add up values by bins; whole numbers stay whole."""
    if values is None or values.dtype.kind in "biu":
        return np.bincount(bins, values, minlength=n).astype(np.int64)
    return np.bincount(bins, values, minlength=n).astype(np.float64)


class MetricSet:
    """The metrics of a policy as a function of totals.

    Parameters
    ----------
    totals
        Gets the columns.
    turns
        The scored turns.
    losses
        Further metrics by name.
    """

    def __init__(self, totals: DialogueTotals, turns: ScoredTurns, losses: Mapping[str, Loss] | None = None) -> None:
        losses = losses or {}
        self._n_listed, n_actions = turns.n_listed, len(turns.space)
        hits, gold, predicted = map(turns.per_turn, (turns.hits, turns.gold, turns.predicted))
        own_f1 = ratio(2.0 * hits, (gold + predicted).astype(np.float64))
        self.turns, self.exact, own = totals.of_turns(), totals.of_turns(turns.exact), totals.of_turns(own_f1)
        wrong = np.bincount(turns.dialogue, ~turns.exact, minlength=totals.n)
        dialogues, whole = totals.add(np.ones((totals.n, 1), dtype=np.int64)), totals.add((wrong == 0)[:, None])
        self.hit, self.gold, self.predicted = (
            totals.of_groups(pairs.rows, pairs.bits, n_actions, of_actions=True)
            for pairs in (turns.hits, turns.gold, turns.predicted)
        )
        self._means = {"turn_accuracy": (self.exact, self.turns), "dialogue_accuracy": (whole, dialogues)}
        self._means["samples_f1"] = (own, self.turns)
        for name, loss in losses.items():
            below = self.turns if loss.counted is None else totals.of_turns(loss.counted)
            self._means[name] = (totals.of_turns(loss.values), below)
        self.names = (*SCALARS, *losses)
        self.bounded = np.array([True] * len(SCALARS) + [loss.is_rate for loss in losses.values()])

    def __call__(self, totals: Floats) -> Floats:
        """Return every metric, shape (m, n_names), for totals of shape (m, n_columns)."""
        hit, gold, predicted = totals[:, self.hit], totals[:, self.gold], totals[:, self.predicted]
        f1 = ratio(2 * hit, gold + predicted)
        in_gold = gold > 0
        all_hit, all_gold, all_predicted = hit.sum(axis=1), gold.sum(axis=1), predicted.sum(axis=1)
        bits = totals[:, self.turns[0]] * max(1, hit.shape[1])
        values = {
            "micro_f1": ratio(2 * all_hit, all_gold + all_predicted),
            "macro_f1": f1[:, : self._n_listed].sum(axis=1) / max(1, self._n_listed),
            "macro_f1_gold": ratio((f1 * in_gold).sum(axis=1), in_gold.sum(axis=1).astype(np.float64)),
            "weighted_f1": ratio((f1 * gold).sum(axis=1), all_gold),
            "precision": ratio(all_hit, all_predicted),
            "recall": ratio(all_hit, all_gold),
            "hamming_loss": ratio(all_gold + all_predicted - 2 * all_hit, bits),
        }
        for name, (above, below) in self._means.items():
            values[name] = ratio(totals[:, above[0]], totals[:, below[0]])
        return np.stack([values[name] for name in self.names], axis=1)

    def drop(self, name: str) -> None:
        """Leave a metric out."""
        is_kept = np.array([other != name for other in self.names])
        self.names, self.bounded = tuple(n for n in self.names if n != name), self.bounded[is_kept]
        self._means.pop(name)

    def settle(self, name: str, other: str, *, take_other: bool) -> None:
        """Decide which of two metrics has the name `name`."""
        if take_other:
            self._means[name] = self._means[other]
        self.drop(other)

    def values(self, totals: Floats) -> dict[str, float]:
        """Return every metric of one row of totals."""
        return dict(zip(self.names, self(totals)[0].tolist(), strict=True))
