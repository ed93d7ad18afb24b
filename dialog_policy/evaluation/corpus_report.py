"""A corpus' summary for the browser: one self-contained page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dialog_policy.corpus.describe import binned
from dialog_policy.evaluation.page import ACCENT, Plot, render

__all__ = ["corpus_report"]

_SHOWN_ACTIONS, _SHOWN_IN_GRID, _SHOWN_PAIRS = 30, 16, 100
_LONGEST_NAME = 32


def corpus_report(summary: Mapping[str, Any], problems: Sequence[str]) -> str:
    """Return the page.

    Parameters
    ----------
    summary
        From :func:`~dialog_policy.corpus.checks.examine`, with the corpus' name and format.
    problems
        Sentences to show first.

    Raises
    ------
    MissingExtraError
        If the extra `report` is not installed.
    """
    plots: list[Plot] = []
    if summary["dialogues"]:
        plots.append(("Dialogues by number of turns.", lambda axes: _lengths(axes, summary)))
    if summary["actions"]:
        plots += [
            ("The most frequent actions by number of turns.", lambda axes: _actions(axes, summary)),
            ("Turns by how many actions they have.", lambda axes: _per_turn(axes, summary)),
        ]
    if summary["co_occurrence"]:
        plots.append(
            ("Actions in the same turn: the larger the dot, the more turns.", lambda axes: _together(axes, summary))
        )
    supports = {row["action"]: row["turns"] for row in summary["actions"]}
    return render(
        "corpus.html", plots, s=summary, problems=problems, pairs=summary["co_occurrence"][:_SHOWN_PAIRS], n=supports
    )


def _named(actions: Sequence[str]) -> list[str]:
    """Return action names for an axis: short, and never taken for a formula."""
    short = (name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…" for name in actions)
    return [name.replace("$", r"\$") for name in short]


def _lengths(axes: Any, summary: Mapping[str, Any]) -> None:
    bins = binned(summary["lengths"])
    axes.bar([label for label, _ in bins], [count for _, count in bins], color=ACCENT, width=0.9)
    axes.set(xlabel="turns", ylabel="dialogues")
    axes.tick_params(axis="x", rotation=45)


def _actions(axes: Any, summary: Mapping[str, Any]) -> None:
    rows = summary["actions"][:_SHOWN_ACTIONS][::-1]
    axes.barh(range(len(rows)), [row["turns"] for row in rows], color=ACCENT)
    axes.set_yticks(range(len(rows)), _named([row["action"] for row in rows]), fontsize=7)
    axes.set(xlabel="turns", ylim=(-0.6, len(rows) - 0.4))
    axes.figure.set_figheight(max(3.4, 0.2 * len(rows) + 0.8))


def _per_turn(axes: Any, summary: Mapping[str, Any]) -> None:
    numbers = summary["actions_per_turn"]
    axes.bar(list(numbers), list(numbers.values()), color=ACCENT)
    axes.set(xlabel="actions in a turn", ylabel="turns")


def _together(axes: Any, summary: Mapping[str, Any]) -> None:
    shown = [row["action"] for row in summary["actions"][:_SHOWN_IN_GRID]]
    place = {action: number for number, action in enumerate(shown)}
    points = [
        (place[one], place[other], pair["turns"])
        for pair in summary["co_occurrence"]
        for one, other in (pair["actions"], pair["actions"][::-1])
        if one in place and other in place
    ]
    most = max((turns for _, _, turns in points), default=1)
    axes.scatter(
        [x for x, _, _ in points],
        [y for _, y, _ in points],
        s=[2 + 180 * turns / most for _, _, turns in points],
        color=ACCENT,
    )
    axes.set_xticks(range(len(shown)), _named(shown), fontsize=7, rotation=90)
    axes.set_yticks(range(len(shown)), _named(shown), fontsize=7)
    axes.set(xlim=(-0.6, len(shown) - 0.4), ylim=(len(shown) - 0.4, -0.6))
    axes.figure.set_figheight(5.4)
