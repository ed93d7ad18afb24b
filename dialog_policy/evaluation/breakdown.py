"""The figures of parts: by length, by turn, by action, by slice, by confidence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from dialog_policy.evaluation.calibration import (
    BINS,
    Reliability,
    bin_of,
    expected_calibration_error,
    reliability_rows,
)
from dialog_policy.evaluation.evaluation import ActionRow, Calibration, LengthRow, SliceRow, TurnRow
from dialog_policy.evaluation.probability_scores import Curve
from dialog_policy.evaluation.scored_turns import Integers, Pairs, ScoredTurns
from dialog_policy.evaluation.slices import LENGTH_BINS, SMALL, Slicing
from dialog_policy.evaluation.totals import DialogueTotals, MetricSet, ratio

__all__ = ["Breakdown", "Intervals", "calibration_of_bits"]

# Of the ratios that were asked for, in their order; None: nothing can be said.
Intervals = Sequence[list[float] | None]


class _SliceColumns(NamedTuple):
    """Columns of the slices of one field, and where the intervals of turn accuracy and micro F1 are."""

    slicing: Slicing
    turns: Integers
    exact: Integers
    twice_hit: Integers
    bits: Integers
    accuracy: slice
    f1: slice


class Breakdown:
    """Adds the columns that the lists of a report need, and makes the lists once the columns are summed.

    Columns are the same whatever turns there are, so that those of parts of a corpus can be added up.

    Parameters
    ----------
    turns
        The scored turns.
    totals
        Gets the columns.
    metrics
        The metrics of the whole.
    longest
        Turns of the longest dialogue.
    ways
        The ways to slice.
    """

    def __init__(
        self,
        turns: ScoredTurns,
        totals: DialogueTotals,
        metrics: MetricSet,
        *,
        longest: int,
        ways: Iterable[Slicing] = (),
    ) -> None:
        self._names, self._metrics = turns.space.classes_, metrics
        self._add_lengths(turns, totals)
        all_rows = np.arange(len(turns))
        self._turn_n = totals.of_groups(all_rows, turns.number, longest)
        self._turn_exact = totals.of_groups(all_rows, turns.number, longest, turns.exact)
        self._turn_ci = totals.want(self._turn_exact, self._turn_n)
        self._add_actions(turns, totals)
        self._slices = list(self._add_slices(turns, totals, ways))
        self._bins: tuple[Integers, Integers, slice] | None = None
        if turns.confidence is not None:
            bins = bin_of(turns.confidence)
            n = totals.of_groups(all_rows, bins, BINS)
            exact = totals.of_groups(all_rows, bins, BINS, turns.exact)
            self._bins = n, exact, totals.want(exact, n)

    def _add_lengths(self, turns: ScoredTurns, totals: DialogueTotals) -> None:
        lengths = np.bincount(turns.dialogue, minlength=len(turns.dialogues))
        exact = np.bincount(turns.dialogue[turns.exact], minlength=len(turns.dialogues))
        bins = np.searchsorted(LENGTH_BINS, lengths, side="left")
        in_bin = np.arange(len(LENGTH_BINS) + 1) == bins[:, None]
        self._length_n, self._length_exact, self._length_whole = (
            totals.add(in_bin * values[:, None]) for values in (lengths, exact, (exact == lengths).astype(np.int64))
        )
        self._length_ci = totals.want(self._length_exact, self._length_n)

    def _add_actions(self, turns: ScoredTurns, totals: DialogueTotals) -> None:
        n = len(self._names)

        def column(*parts: Pairs) -> Integers:
            rows, bits = (np.concatenate(both) for both in zip(*parts, strict=True))
            return totals.of_groups(rows, bits, n, of_actions=True)

        above = column(turns.hits, turns.hits)
        below = column(turns.gold, turns.predicted)
        self._action_ci = totals.want(above, below)

    def _add_slices(
        self, turns: ScoredTurns, totals: DialogueTotals, ways: Iterable[Slicing]
    ) -> Iterable[_SliceColumns]:
        twice_hit = 2 * turns.per_turn(turns.hits)
        bits = turns.per_turn(turns.gold) + turns.per_turn(turns.predicted)
        for way in ways:
            n = len(way.names)
            count, exact, both, size = (
                totals.of_groups(way.rows, way.values, n, of_turn) for of_turn in (None, turns.exact, twice_hit, bits)
            )
            yield _SliceColumns(way, count, exact, both, size, totals.want(exact, count), totals.want(both, size))

    def by_length(self, totals: DialogueTotals, intervals: Intervals) -> list[LengthRow]:
        """Return a row for each bin of the number of target turns that has dialogues."""
        whole, bearing = totals.totals()[0], totals.bearing()
        rows = []
        for i in np.flatnonzero(whole[self._length_n]).tolist():
            low = LENGTH_BINS[i - 1] + 1 if i else 1
            high = LENGTH_BINS[i] if i < len(LENGTH_BINS) else None
            n_turns, exact, right = (
                int(whole[columns[i]]) for columns in (self._length_n, self._length_exact, self._length_whole)
            )
            dialogues = int(bearing[self._length_n[i]])
            rows.append(
                LengthRow(
                    length=f"{low}+" if high is None else f"{low}-{high}" if high > low else f"{low}",
                    from_=low,
                    to=high,
                    dialogues=dialogues,
                    turns=n_turns,
                    turn_accuracy=exact / n_turns,
                    dialogue_accuracy=right / dialogues,
                    small=n_turns < SMALL,
                    ci95=_interval(intervals, self._length_ci, i),
                )
            )
        return rows

    def by_turn(self, totals: DialogueTotals, intervals: Intervals) -> list[TurnRow]:
        """Return a row for each number of a turn in its dialogue."""
        whole = totals.totals()[0]
        n, exact = whole[self._turn_n], whole[self._turn_exact]
        return [
            TurnRow(
                turn=i,
                turns=int(n[i]),
                turn_accuracy=float(exact[i] / n[i]),
                small=bool(n[i] < SMALL),
                ci95=_interval(intervals, self._turn_ci, i),
            )
            for i in np.flatnonzero(n).tolist()
        ]

    def by_action(self, totals: DialogueTotals, intervals: Intervals, curves: Sequence[Curve] = ()) -> list[ActionRow]:
        """Return a row for each action, the most frequent first."""
        whole, columns = totals.totals()[0], self._metrics
        hit, gold, predicted = (whole[part] for part in (columns.hit, columns.gold, columns.predicted))
        precision, recall, f1 = ratio(hit, predicted), ratio(hit, gold), ratio(2 * hit, gold + predicted)
        rows = [
            ActionRow(
                action=name,
                support=int(gold[bit]),
                predicted=int(predicted[bit]),
                precision=float(precision[bit]),
                recall=float(recall[bit]),
                f1=float(f1[bit]),
                ci95=_interval(intervals, self._action_ci, bit),
            )
            for bit, name in enumerate(self._names)
        ]
        for row, curve in zip(rows, curves, strict=False):
            row.average_precision, row.precision_recall = curve
        return sorted(rows, key=lambda row: (-row.support, row.action))

    def by_slice(self, totals: DialogueTotals, intervals: Intervals) -> list[SliceRow]:
        """Return a row for each slice that has turns."""
        whole, bearing = totals.totals()[0], totals.bearing()
        rows = []
        for columns in self._slices:
            for i in np.flatnonzero(whole[columns.turns]).tolist():
                turns, exact, both, bits = (float(whole[part[i]]) for part in columns[1:5])
                found = {
                    "turn_accuracy": _interval(intervals, columns.accuracy, i),
                    "micro_f1": _interval(intervals, columns.f1, i),
                }
                rows.append(
                    SliceRow(
                        field=columns.slicing.field,
                        value=columns.slicing.names[i],
                        dialogues=int(bearing[columns.turns[i]]),
                        turns=int(turns),
                        turn_accuracy=exact / turns,
                        micro_f1=both / bits if bits else 0.0,
                        ci95={metric: pair for metric, pair in found.items() if pair is not None},
                        small=turns < SMALL,
                    )
                )
        return rows

    def calibration(self, reliability: Reliability, intervals: Intervals) -> Calibration:
        """Return how often predicted sets are right, by their confidence."""
        assert self._bins is not None
        rows = reliability_rows(reliability)
        for row, i in zip(rows, np.flatnonzero(reliability.n).tolist(), strict=True):
            row.ci95 = _interval(intervals, self._bins[2], i)
        return Calibration(of="set", ece=expected_calibration_error(reliability), bins=rows)


def calibration_of_bits(reliability: Reliability, n_left_out: int, n_right: int) -> Calibration:
    """Return how often actions are right, by their probability; of those that were left out it is 0."""
    with_zeros = reliability.with_zeros(max(0, n_left_out), n_right)
    return Calibration(of="action", ece=expected_calibration_error(with_zeros), bins=reliability_rows(with_zeros))


def _interval(intervals: Intervals, places: slice, i: int) -> list[float] | None:
    return intervals[places.start + i] if intervals else None
