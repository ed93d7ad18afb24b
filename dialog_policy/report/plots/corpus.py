"""Plots of a corpus: lengths, actions and what occurs together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dialog_policy.corpus.summary import CorpusSummary
from dialog_policy.errors import counted
from dialog_policy.report.corpus import binned
from dialog_policy.report.plots.figure import Paint, Plot
from dialog_policy.report.plots.rows import Row, draw_rows, numbered, rows_size
from dialog_policy.report.words import action_set

__all__ = ["corpus_plots"]

_SHOWN_ACTIONS, _SHOWN_IN_GRID, _SHOWN_PAIRS = 30, 12, 100


def corpus_plots(summary: CorpusSummary) -> list[Plot]:
    """Return the plots of a corpus."""
    plots: list[Plot] = []
    if summary.dialogues:
        plots.append(_lengths(summary))
    if summary.actions:
        plots += [_per_turn(summary), _actions(summary)]
    if summary.co_occurrence:
        plots.append(_together(summary))
    return plots


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
        text=f"The highest bar: {counted(most[1], noun[:-1])} {'has' if most[1] == 1 else 'have'} {most[0]} "
        f"{label[:-1] if most[0] == '1' else label}.",
        draw=draw,
        header=(label, noun),
        rows=counts,
    )


def _lengths(summary: CorpusSummary) -> Plot:
    return _bars("lengths", "Dialogues by number of turns", binned(summary.lengths), "turns", "dialogues")


def _per_turn(summary: CorpusSummary) -> Plot:
    counts = [(str(number), count) for number, count in summary.actions_per_turn.items()]
    return _bars("per_turn", "Turns by number of actions", counts, "actions", "turns")


def _actions(summary: CorpusSummary) -> Plot:
    rows = summary.actions
    drawn = [Row(row.action, row.turns, note=str(row.turns)) for row in rows[:_SHOWN_ACTIONS]]
    first = rows[0]
    text = f"The most frequent is {first.action}, in {counted(first.turns, 'turn')}."
    if len(rows) > _SHOWN_ACTIONS:
        text += f" {_SHOWN_ACTIONS} of {counted(len(rows), 'action')} are drawn."
    limits = (0.0, 1.02 * rows[0].turns)
    return Plot(
        name="actions",
        title="The most frequent actions",
        text=text,
        draw=lambda figure, paint: draw_rows(figure, paint, drawn, label="turns", limits=limits, bars=True),
        header=("action", "turns"),
        rows=[(row.action, row.turns) for row in rows],
        size=rows_size(drawn),
    )


def _together(summary: CorpusSummary) -> Plot:
    shown = [row.action for row in summary.actions[:_SHOWN_IN_GRID]]
    place = {action: number for number, action in enumerate(shown, 1)}
    points = [
        (place[one], place[other], pair.turns)
        for pair in summary.co_occurrence
        for one, other in (pair.actions, pair.actions[::-1])
        if one in place and other in place
    ]
    most = max((turns for _, _, turns in points), default=1)
    legend = numbered(shown)
    first = summary.co_occurrence[0]

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
        text=f"Most often together: {action_set(first.actions)}, in {counted(first.turns, 'turn')}. The larger the dot, the "
        f"more turns; drawn are the {counted(len(shown), 'most frequent action')}.",
        draw=draw,
        header=("action", "action", "turns"),
        rows=[(*pair.actions, pair.turns) for pair in summary.co_occurrence[:_SHOWN_PAIRS]],
        left=(0, 1),
        size=(4.5, 3.4 + 0.16 * len(legend)),
    )
