"""The figures of parts: by length, by turn, by action, by slice, by confidence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from dialog_policy.evaluation.calibration import (
    BINS,
    Reliability,
    bin_of,
    expected_calibration_error,
    reliability_rows,
)
from dialog_policy.evaluation.probabilities import Probabilities
from dialog_policy.evaluation.slices import LENGTH_BINS, Slicing
from dialog_policy.evaluation.sums import Headline, Sums, ratio
from dialog_policy.evaluation.turns import Integers, Turns

__all__ = ["Breakdown"]


class Breakdown:
    """Makes the lists of a report, and fills in their intervals once they are known.

    Parameters
    ----------
    turns
        The scored turns.
    sums
        Gets the columns that the intervals need.
    headline
        The metrics of the whole.
    """

    def __init__(self, turns: Turns, sums: Sums, headline: Headline) -> None:
        self._turns, self._sums, self._headline = turns, sums, headline
        # Where the interval of which ratio belongs: a dict and its key.
        self._pending: list[tuple[dict[str, Any], str, int]] = []

    def _expect(self, rows: Iterable[dict[str, Any]], places: slice, key: str = "ci95") -> None:
        self._pending += [(row, key, place) for place, row in enumerate(rows, places.start)]

    def fill(self, intervals: list[list[float] | None]) -> None:
        """Write the intervals of the wanted ratios into the rows that they belong to; an undefined one is left out."""
        for row, key, place in self._pending:
            if (interval := intervals[place]) is not None:
                row[key] = interval

    def by_length(self) -> list[dict[str, Any]]:
        """Return a row for each bin of the number of target turns that has dialogues."""
        turns, sums = self._turns, self._sums
        lengths = np.bincount(turns.dialogue, minlength=len(turns.dialogues))
        bins = np.searchsorted(LENGTH_BINS, lengths, side="left")
        in_bin = (np.arange(len(LENGTH_BINS) + 1) == bins[:, None])[:, np.unique(bins)]
        exact = np.bincount(turns.dialogue, turns.exact, minlength=len(lengths))
        above, below = sums.add(in_bin * exact[:, None]), sums.add(in_bin * lengths[:, None])
        rows = []
        for i, chosen in zip(np.unique(bins).tolist(), in_bin.T, strict=True):
            low = LENGTH_BINS[i - 1] + 1 if i else 1
            high = LENGTH_BINS[i] if i < len(LENGTH_BINS) else None
            rows.append(
                {
                    "length": f"{low}+" if high is None else f"{low}-{high}" if high > low else f"{low}",
                    "from": low,
                    "to": high,
                    "dialogues": int(chosen.sum()),
                    "turns": int(lengths[chosen].sum()),
                    "turn_accuracy": float(exact[chosen].sum() / lengths[chosen].sum()),
                    "dialogue_accuracy": float((exact == lengths)[chosen].mean()),
                }
            )
        self._expect(rows, sums.want(above, below))
        return rows

    def by_turn(self) -> list[dict[str, Any]]:
        """Return a row for each number of a turn in its dialogue."""
        turns, sums = self._turns, self._sums
        numbers, group = _occurring(turns.number)
        all_rows = np.arange(len(turns))
        below = sums.of_groups(all_rows, group, len(numbers))
        above = sums.of_groups(all_rows, group, len(numbers), turns.exact)
        n, exact = np.bincount(group), np.bincount(group, turns.exact)
        rows = [
            {"turn": number, "turns": int(n[i]), "turn_accuracy": float(exact[i] / n[i])}
            for i, number in enumerate(numbers.tolist())
        ]
        self._expect(rows, sums.want(above, below))
        return rows

    def by_action(self, told: Probabilities | None) -> list[dict[str, Any]]:
        """Return a row for each action, the most frequent first."""
        turns, sums, columns = self._turns, self._sums, self._headline
        names = turns.space.classes_
        totals = sums.totals()[0]
        hit, gold, predicted = (totals[part] for part in (columns.hit, columns.gold, columns.predicted))
        precision, recall, f1 = ratio(hit, predicted), ratio(hit, gold), ratio(2 * hit, gold + predicted)
        matrix = sums.matrix()
        above = sums.add(2 * matrix[:, columns.hit])
        below = sums.add(matrix[:, columns.gold] + matrix[:, columns.predicted])
        rows: list[dict[str, Any]] = [
            {
                "action": name,
                "support": int(gold[bit]),
                "predicted": int(predicted[bit]),
                "precision": float(precision[bit]),
                "recall": float(recall[bit]),
                "f1": float(f1[bit]),
            }
            for bit, name in enumerate(names)
        ]
        for row, curve in zip(rows, told.curves() if told else (), strict=False):
            row["average_precision"], row["precision_recall"] = curve
        self._expect(rows, sums.want(above, below))
        return sorted(rows, key=lambda row: (-row["support"], row["action"]))

    def by_slice(self, slicings: Iterable[Slicing]) -> list[dict[str, Any]]:
        """Return a row for each slice that has turns."""
        turns, sums = self._turns, self._sums
        twice_hit = 2 * turns.per_turn(turns.hits)
        bits = turns.per_turn(turns.gold) + turns.per_turn(turns.predicted)
        rows = []
        for slicing in slicings:
            there, values = _occurring(slicing.values)
            n = len(there)
            count, exact, both, size = (
                sums.of_groups(slicing.rows, values, n, of_turn) for of_turn in (None, turns.exact, twice_hit, bits)
            )
            parts = sums.last(4 * n)
            totals = parts.sum(axis=0, dtype=np.float64).reshape(4, n)
            dialogues = np.count_nonzero(parts[:, :n], axis=0)
            found: list[dict[str, Any]] = [
                {
                    "field": slicing.field,
                    "value": slicing.names[value],
                    "dialogues": int(dialogues[i]),
                    "turns": int(totals[0, i]),
                    "turn_accuracy": float(totals[1, i] / totals[0, i]),
                    "micro_f1": float(ratio(totals[2, i], totals[3, i])),
                    "ci95": {},
                }
                for i, value in enumerate(there.tolist())
            ]
            self._expect([row["ci95"] for row in found], sums.want(exact, count), "turn_accuracy")
            self._expect([row["ci95"] for row in found], sums.want(both, size), "micro_f1")
            rows += found
        return rows

    def calibration(self, confidence: npt.NDArray[np.float64]) -> dict[str, Any]:
        """Return how often predicted sets are right, by their confidence of shape (n_turns,)."""
        turns, sums = self._turns, self._sums
        found = Reliability.of(confidence, turns.exact)
        rows = reliability_rows(found)
        there = np.flatnonzero(found.n)
        bins, all_rows = bin_of(confidence), np.arange(len(turns))
        below = sums.of_groups(all_rows, bins, BINS)[there]
        above = sums.of_groups(all_rows, bins, BINS, turns.exact)[there]
        self._expect(rows, sums.want(above, below))
        return {"of": "set", "ece": expected_calibration_error(found), "bins": rows}

    def calibration_of_bits(self, told: Probabilities) -> dict[str, Any]:
        """Return how often actions are right, by their probability; what was left out has probability 0."""
        turns = self._turns
        assert turns.shares is not None
        stated = Reliability.of(turns.shares.values, told.is_gold)
        n_left_out = len(turns) * turns.n_listed - len(turns.shares.values)
        found = stated.with_zeros(max(0, n_left_out), int(told.left_out.sum()))
        return {"of": "action", "ece": expected_calibration_error(found), "bins": reliability_rows(found)}


def _occurring(groups: Integers) -> tuple[Integers, Integers]:
    """Return the groups that occur, and for each item which of these is its own."""
    occurs = np.bincount(groups) > 0
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[groups]
