"""Groups of turns (lengths, turns, slices, actions): which are small, and which are best and worst, in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from dialog_policy.errors import counted
from dialog_policy.evaluation.evaluation import LengthRow, SliceRow, TurnRow
from dialog_policy.evaluation.slices import SMALL
from dialog_policy.report.words import rate

__all__ = ["LEAST_TURNS", "extremes", "is_small", "listed"]

# A group of fewer turns is small: its accuracy is an extreme by chance.
LEAST_TURNS = SMALL
_LISTED = 3

_Row = TypeVar("_Row", LengthRow, TurnRow, SliceRow)


def is_small(row: LengthRow | TurnRow | SliceRow) -> bool:
    """Whether a group is too small to be judged by itself."""
    return row.small or row.turns < LEAST_TURNS


def listed(names: Sequence[str]) -> str:
    """Return names as a list in a sentence."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def extremes(rows: Sequence[_Row], name: Callable[[_Row], str]) -> str:
    """Return sentences about the best, the worst and the small of some groups: of all that a plot of these rows shows.

    Parameters
    ----------
    rows
        The groups.
    name
        Says what a group is called in a sentence.
    """
    usual = [row for row in rows if not is_small(row)]
    small = [row for row in rows if is_small(row)]

    def said(row: _Row) -> str:
        return f"{name(row)} ({rate(row.turn_accuracy)})"

    sentences = []
    if len(usual) > 1:
        best, worst = (choose(usual, key=lambda row: row.turn_accuracy) for choose in (max, min))
        sentences.append(
            f"Highest: {said(best)}; lowest: {said(worst)}."
            if best.turn_accuracy > worst.turn_accuracy
            else f"All groups of at least {LEAST_TURNS} turns have {rate(best.turn_accuracy)}."
        )
    elif usual:
        sentences.append(f"Only {said(usual[0])} has at least {LEAST_TURNS} turns.")
    if 0 < len(small) <= _LISTED:
        each = [f"{name(row)} ({rate(row.turn_accuracy)}, {counted(row.turns, 'turn')})" for row in small]
        verb = "is" if len(small) == 1 else "are"
        sentences.append(f"Small, with fewer than {LEAST_TURNS} turns, {verb} {listed(each)}.")
    elif small:
        ends = [choose(row.turn_accuracy for row in small) for choose in (min, max)]
        many = f"All {len(small)}" if not usual else str(len(small))
        sentences.append(
            f"{many} groups are small, with fewer than {LEAST_TURNS} turns; they range from {rate(ends[0])} to {rate(ends[1])}."
        )
    return " ".join(sentences)
