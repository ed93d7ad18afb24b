"""The plots of a policy's mistakes."""

from __future__ import annotations

from typing import Any

from dialog_policy.errors import counted
from dialog_policy.evaluation.mistakes import Mistakes
from dialog_policy.report.groups import LEAST_TURNS
from dialog_policy.report.plots.figure import Paint, Plot
from dialog_policy.report.plots.rows import Row, draw_rows, numbered, rows_size
from dialog_policy.report.words import MODES, action_set, rate

__all__ = ["mistake_plots"]

_SHOWN_SETS = 10


def mistake_plots(mistakes: Mistakes) -> list[Plot]:
    """Return the plots of what :func:`~dialog_policy.evaluation.evaluate` found with `mistakes`."""
    return [plot for plot in (_confusions(mistakes), _after_error(mistakes)) if plot is not None]


def _confusions(mistakes: Mistakes) -> Plot | None:
    """Draw the matrix of the action sets that take part in most confusions; the others are one column."""
    rows = mistakes.confusions
    if not rows:
        return None
    weight: dict[tuple[str, ...], int] = {}
    for row in rows:
        for actions in (tuple(row.gold), tuple(row.predicted)):
            weight[actions] = weight.get(actions, 0) + row.turns
    sets = {tuple(row.actions): row for row in mistakes.action_sets}
    shown = sorted(weight, key=lambda actions: (-weight[actions], actions))[:_SHOWN_SETS]
    place = {actions: number for number, actions in enumerate(shown)}
    others = len(shown)
    cells: dict[tuple[int, int], int] = {(place[a], place[a]): sets[a].right for a in shown}
    for row in rows:
        gold, predicted = tuple(row.gold), tuple(row.predicted)
        if gold in place:
            cell = place[gold], place.get(predicted, others)
            cells[cell] = cells.get(cell, 0) + row.turns
    legend = numbered([action_set(actions) for actions in shown])

    def draw(figure: Any, paint: Paint) -> None:
        axes = figure.add_subplot()
        for (gold, predicted), turns in cells.items():
            if turns:
                share = turns / sets[shown[gold]].turns
                colour = paint.series[0] if gold == predicted else paint.bad
                axes.bar(predicted, 1, width=1, bottom=gold - 0.5, color=colour, alpha=0.08 + 0.62 * share, linewidth=0)
                axes.text(predicted, gold, str(turns), ha="center", va="center", fontsize=8)
        axes.set(xlim=(-0.5, others + 0.5), ylim=(others - 0.5, -0.5), ylabel="true")
        axes.set_xticks(range(others + 1), [*(str(n + 1) for n in range(others)), "other"])
        axes.set_yticks(range(others), [str(n + 1) for n in range(others)])
        axes.grid(visible=False)
        axes.set_title("predicted", fontsize=9, color=paint.soft)
        axes.xaxis.tick_top()
        axes.set_xlabel("\n".join(legend), loc="left", color=paint.ink, fontsize=8.5)

    most = rows[0]
    others_left_out = mistakes.other_confusions
    rest = f" {counted(others_left_out, 'turn')} of rarer confusions are left out." if others_left_out else ""
    return Plot(
        name="confusions",
        title=f"Confusions between the {len(shown)} action sets that are mistaken most",
        text=f"Most often {action_set(most.predicted)} is predicted instead of {action_set(most.gold)}: in "
        f"{most.turns:,} of {counted(most.gold_turns, 'turn')}.{rest.replace('1 turn of rarer confusions are', '1 turn is')}",
        draw=draw,
        header=("true actions", "predicted instead", "turns", "share of the true set's turns"),
        rows=[(action_set(r.gold), action_set(r.predicted), r.turns, r.turns / r.gold_turns) for r in rows],
        left=(0, 1),
        size=(4.5, 3.2 + 0.16 * len(legend)),
    )


_WHEN = {"first": "first turn", "after_right": "after a right turn", "after_wrong": "after a wrong turn"}


def _after_error(mistakes: Mistakes) -> Plot:
    drawn: list[Row] = []
    table: list[tuple[str, str, int, float | None]] = []
    sentences = []
    for mode, rows in mistakes.after_error.items():
        name = MODES.get(mode, mode)
        drawn.append(Row(name))
        for key, when in _WHEN.items():
            turns, share = getattr(rows, key).turns, getattr(rows, key).turn_accuracy
            table.append((name, when, turns, share))
            if turns:
                small = turns < LEAST_TURNS
                note = f"{rate(share)}, {counted(turns, 'turn')}{' (small)' if small else ''}"
                drawn.append(Row(when, share, note=note, small=small))
        wrong, right = rows.after_wrong, rows.after_right
        if wrong.turns and right.turns:
            few = [when for key, when in _WHEN.items() if 0 < getattr(rows, key).turns < LEAST_TURNS]
            caution = f" (fewer than {LEAST_TURNS} turns: {', '.join(few)})" if few else ""
            sentences.append(
                f"With {name}, turn accuracy is {rate(right.turn_accuracy)} after a right turn and "
                f"{rate(wrong.turn_accuracy)} after a wrong one{caution}."
            )
    return Plot(
        name="after_error",
        title="Do errors follow errors?",
        text=" ".join(sentences) or "There are no turns after a wrong turn to compare.",
        draw=lambda figure, paint: draw_rows(figure, paint, drawn, label="turn accuracy", bars=True),
        header=("mode", "when", "turns", "turn accuracy"),
        rows=table,
        left=(0, 1),
        size=rows_size(drawn),
    )
