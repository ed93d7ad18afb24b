"""The figures of parts: by length, by turn, by action, by slice, by confidence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from dialog_policy.evaluation.calibration import (
    BINS,
    Reliability,
    bin_of,
    expected_calibration_error,
    reliability_rows,
)
from dialog_policy.evaluation.evaluation import ActionRow, Calibration, LengthRow, SliceRow, TurnRow
from dialog_policy.evaluation.probability_scores import ProbabilityScores
from dialog_policy.evaluation.scored_turns import Integers, ScoredTurns
from dialog_policy.evaluation.slices import LENGTH_BINS, SMALL, Slicing
from dialog_policy.evaluation.totals import DialogueTotals, MetricSet, ratio

__all__ = ["Breakdown"]


class Breakdown:
    """Makes the lists of a report, and fills in their intervals once they are known.

    Parameters
    ----------
    turns
        The scored turns.
    totals
        Gets the columns that the intervals need.
    metrics
        The metrics of the whole.
    """

    def __init__(self, turns: ScoredTurns, totals: DialogueTotals, metrics: MetricSet) -> None:
        self._turns, self._totals, self._metrics = turns, totals, metrics
        # What takes the interval of which ratio.
        self._pending: list[tuple[Callable[[list[float]], None], int]] = []

    def _expect(self, rows: Sequence[object], places: slice) -> None:
        """Note that the rows get the intervals of these ratios as `ci95`."""
        self._pending += [(partial(setattr, row, "ci95"), place) for place, row in enumerate(rows, places.start)]

    def fill(self, intervals: list[list[float] | None]) -> None:
        """Write the intervals of the wanted ratios into the rows that they belong to; an undefined one is left out."""
        for take, place in self._pending:
            if (interval := intervals[place]) is not None:
                take(interval)

    def by_length(self) -> list[LengthRow]:
        """Return a row for each bin of the number of target turns that has dialogues."""
        turns, totals = self._turns, self._totals
        lengths = np.bincount(turns.dialogue, minlength=len(turns.dialogues))
        bins = np.searchsorted(LENGTH_BINS, lengths, side="left")
        in_bin = (np.arange(len(LENGTH_BINS) + 1) == bins[:, None])[:, np.unique(bins)]
        exact = np.bincount(turns.dialogue, turns.exact, minlength=len(lengths))
        above, below = totals.add(in_bin * exact[:, None]), totals.add(in_bin * lengths[:, None])
        rows = []
        for i, chosen in zip(np.unique(bins).tolist(), in_bin.T, strict=True):
            low = LENGTH_BINS[i - 1] + 1 if i else 1
            high = LENGTH_BINS[i] if i < len(LENGTH_BINS) else None
            n_turns = int(lengths[chosen].sum())
            rows.append(
                LengthRow(
                    length=f"{low}+" if high is None else f"{low}-{high}" if high > low else f"{low}",
                    from_=low,
                    to=high,
                    dialogues=int(chosen.sum()),
                    turns=n_turns,
                    turn_accuracy=float(exact[chosen].sum() / n_turns),
                    dialogue_accuracy=float((exact == lengths)[chosen].mean()),
                    small=n_turns < SMALL,
                )
            )
        self._expect(rows, totals.want(above, below))
        return rows

    def by_turn(self) -> list[TurnRow]:
        """Return a row for each number of a turn in its dialogue."""
        turns, totals = self._turns, self._totals
        numbers, group = _occurring(turns.number)
        all_rows = np.arange(len(turns))
        below = totals.of_groups(all_rows, group, len(numbers))
        above = totals.of_groups(all_rows, group, len(numbers), turns.exact)
        n, exact = np.bincount(group), np.bincount(group, turns.exact)
        rows = [
            TurnRow(turn=number, turns=int(n[i]), turn_accuracy=float(exact[i] / n[i]), small=bool(n[i] < SMALL))
            for i, number in enumerate(numbers.tolist())
        ]
        self._expect(rows, totals.want(above, below))
        return rows

    def by_action(self, stated: ProbabilityScores | None) -> list[ActionRow]:
        """Return a row for each action, the most frequent first."""
        turns, totals, columns = self._turns, self._totals, self._metrics
        names = turns.space.classes_
        whole = totals.totals()[0]
        hit, gold, predicted = (whole[part] for part in (columns.hit, columns.gold, columns.predicted))
        precision, recall, f1 = ratio(hit, predicted), ratio(hit, gold), ratio(2 * hit, gold + predicted)
        matrix = totals.matrix()
        above = totals.add(2 * matrix[:, columns.hit])
        below = totals.add(matrix[:, columns.gold] + matrix[:, columns.predicted])
        rows = [
            ActionRow(
                action=name,
                support=int(gold[bit]),
                predicted=int(predicted[bit]),
                precision=float(precision[bit]),
                recall=float(recall[bit]),
                f1=float(f1[bit]),
            )
            for bit, name in enumerate(names)
        ]
        for row, curve in zip(rows, stated.curves() if stated else (), strict=False):
            row.average_precision, row.precision_recall = curve
        self._expect(rows, totals.want(above, below))
        return sorted(rows, key=lambda row: (-row.support, row.action))

    def by_slice(self, slicings: Iterable[Slicing]) -> list[SliceRow]:
        """Return a row for each slice that has turns."""
        turns, totals = self._turns, self._totals
        twice_hit = 2 * turns.per_turn(turns.hits)
        bits = turns.per_turn(turns.gold) + turns.per_turn(turns.predicted)
        rows: list[SliceRow] = []
        for slicing in slicings:
            occurring, values = _occurring(slicing.values)
            n = len(occurring)
            count, exact, both, size = (
                totals.of_groups(slicing.rows, values, n, of_turn) for of_turn in (None, turns.exact, twice_hit, bits)
            )
            parts = totals.last(4 * n)
            whole = parts.sum(axis=0, dtype=np.float64).reshape(4, n)
            dialogues = np.count_nonzero(parts[:, :n], axis=0)
            own = [
                SliceRow(
                    field=slicing.field,
                    value=slicing.names[value],
                    dialogues=int(dialogues[i]),
                    turns=int(whole[0, i]),
                    turn_accuracy=float(whole[1, i] / whole[0, i]),
                    micro_f1=float(ratio(whole[2, i], whole[3, i])),
                    ci95={},
                    small=bool(whole[0, i] < SMALL),
                )
                for i, value in enumerate(occurring.tolist())
            ]
            for metric, places in (
                ("turn_accuracy", totals.want(exact, count)),
                ("micro_f1", totals.want(both, size)),
            ):
                takers = [partial(row.ci95.__setitem__, metric) for row in own]
                self._pending += [(take, place) for place, take in enumerate(takers, places.start)]
            rows += own
        return rows

    def calibration(self, confidence: npt.NDArray[np.float64]) -> Calibration:
        """Return how often predicted sets are right, by their confidence of shape (n_turns,)."""
        turns, totals = self._turns, self._totals
        reliability = Reliability.of(confidence, turns.exact)
        rows = reliability_rows(reliability)
        filled = np.flatnonzero(reliability.n)
        bins, all_rows = bin_of(confidence), np.arange(len(turns))
        below = totals.of_groups(all_rows, bins, BINS)[filled]
        above = totals.of_groups(all_rows, bins, BINS, turns.exact)[filled]
        self._expect(rows, totals.want(above, below))
        return Calibration(of="set", ece=expected_calibration_error(reliability), bins=rows)

    def calibration_of_bits(self, stated: ProbabilityScores) -> Calibration:
        """Return how often actions are right, by their probability; what was left out has probability 0."""
        turns = self._turns
        assert turns.probabilities is not None
        values = turns.probabilities.values
        n_left_out = len(turns) * turns.n_listed - len(values)
        reliability = Reliability.of(values, stated.is_gold).with_zeros(max(0, n_left_out), int(stated.left_out.sum()))
        return Calibration(of="action", ece=expected_calibration_error(reliability), bins=reliability_rows(reliability))


def _occurring(groups: Integers) -> tuple[Integers, Integers]:
    """Return the groups that occur, and for each item which of these is its own."""
    occurs = np.bincount(groups) > 0
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[groups]
