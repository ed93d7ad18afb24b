"""A corpus' summary for the browser: one self-contained page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dialog_policy.report.corpus_text import binned
from dialog_policy.report.figure import Paint, Plot
from dialog_policy.report.page import render
from dialog_policy.report.rows import Row, draw_rows, numbered, rows_size

__all__ = ["corpus_report"]

_SHOWN_ACTIONS, _SHOWN_IN_GRID, _SHOWN_PAIRS = 30, 12, 100


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
        plots.append(_lengths(summary))
    if summary["actions"]:
        plots += [_per_turn(summary), _actions(summary)]
    if summary["co_occurrence"]:
        plots.append(_together(summary))
    return render(
        "corpus.html",
        plots,
        title=f"{summary['corpus']}: {summary['dialogues']} dialogues",
        s=summary,
        problems=problems,
        pairs=summary["co_occurrence"][:_SHOWN_PAIRS],
        n={row["action"]: row["turns"] for row in summary["actions"]},
    )


def _bars(name: str, title: str, counts: Sequence[tuple[str, int]], label: str, noun: str) -> Plot:
    def draw(figure: Any, paint: Paint) -> None:
        axes = figure.add_subplot()
        axes.bar([value for value, _ in counts], [count for _, count in counts], color=paint.series[0], width=0.9)
        axes.set(xlabel=label, ylabel=noun)
        axes.grid(axis="x", visible=False)
        if len(counts) > 8:
            axes.tick_params(axis="x", rotation=45)

    most = max(counts, key=lambda item: item[1])
    return Plot(
        name=name,
        title=title,
        text=f"Most frequent: {most[0]} ({most[1]}).",
        draw=draw,
        header=(label, noun),
        rows=counts,
    )


def _lengths(summary: Mapping[str, Any]) -> Plot:
    return _bars("lengths", "Dialogues by number of turns", binned(summary["lengths"]), "turns", "dialogues")


def _per_turn(summary: Mapping[str, Any]) -> Plot:
    counts = [(str(number), count) for number, count in summary["actions_per_turn"].items()]
    return _bars("per_turn", "Turns by how many actions they have", counts, "actions in a turn", "turns")


def _actions(summary: Mapping[str, Any]) -> Plot:
    rows = summary["actions"]
    drawn = [Row(row["action"], row["turns"], note=str(row["turns"])) for row in rows[:_SHOWN_ACTIONS]]
    more = f"Shown: {_SHOWN_ACTIONS} of {len(rows)}." if len(rows) > _SHOWN_ACTIONS else ""
    limits = (0.0, 1.02 * rows[0]["turns"])
    return Plot(
        name="actions",
        title="The most frequent actions",
        text=more,
        draw=lambda figure, paint: draw_rows(figure, paint, drawn, label="turns", limits=limits, bars=True),
        header=("action", "turns"),
        rows=[(row["action"], row["turns"]) for row in rows],
        size=rows_size(drawn),
    )


def _together(summary: Mapping[str, Any]) -> Plot:
    shown = [row["action"] for row in summary["actions"][:_SHOWN_IN_GRID]]
    place = {action: number for number, action in enumerate(shown, 1)}
    points = [
        (place[one], place[other], pair["turns"])
        for pair in summary["co_occurrence"]
        for one, other in (pair["actions"], pair["actions"][::-1])
        if one in place and other in place
    ]
    most = max((turns for _, _, turns in points), default=1)
    legend = numbered(shown)

    def draw(figure: Any, paint: Paint) -> None:
        axes = figure.add_subplot()
        x, y, turns = zip(*points, strict=True) if points else ((), (), ())
        axes.scatter(x, y, s=[2 + 180 * count / most for count in turns], color=paint.series[0])
        numbers = range(1, len(shown) + 1)
        axes.set(xticks=numbers, yticks=numbers, xlim=(0.4, len(shown) + 0.6), ylim=(len(shown) + 0.6, 0.4))
        axes.set_xlabel("\n".join(legend), loc="left")

    return Plot(
        name="together",
        title="Actions in the same turn",
        text="The larger the dot, the more turns.",
        draw=draw,
        header=("action", "action", "turns"),
        rows=[(*pair["actions"], pair["turns"]) for pair in summary["co_occurrence"][:_SHOWN_PAIRS]],
        size=(4.5, 3.4 + 0.16 * len(legend)),
    )
