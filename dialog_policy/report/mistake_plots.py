"""The plots of a policy's mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dialog_policy.report.figure import Paint, Plot
from dialog_policy.report.names import action_set
from dialog_policy.report.rows import Row, draw_rows, numbered, rows_size

__all__ = ["mistake_plots"]

_SHOWN_SETS = 10


def mistake_plots(mistakes: Mapping[str, Any]) -> list[Plot]:
    """Return the plots of what :func:`~dialog_policy.evaluation.mistakes.find_mistakes` found."""
    return [plot for plot in (_confusions(mistakes), _after_error(mistakes)) if plot is not None]


def _confusions(mistakes: Mapping[str, Any]) -> Plot | None:
    """Draw the matrix of the action sets that take part in most confusions; the others are one column."""
    rows = mistakes["confusions"]
    if not rows:
        return None
    weight: dict[tuple[str, ...], int] = {}
    for row in rows:
        for actions in (tuple(row["gold"]), tuple(row["predicted"])):
            weight[actions] = weight.get(actions, 0) + row["turns"]
    sets = {tuple(row["actions"]): row for row in mistakes["action_sets"]}
    shown = sorted(weight, key=lambda actions: (-weight[actions], actions))[:_SHOWN_SETS]
    place = {actions: number for number, actions in enumerate(shown)}
    others = len(shown)
    cells: dict[tuple[int, int], int] = {(place[a], place[a]): sets[a]["right"] for a in shown}
    for row in rows:
        gold, predicted = tuple(row["gold"]), tuple(row["predicted"])
        if gold in place:
            cell = place[gold], place.get(predicted, others)
            cells[cell] = cells.get(cell, 0) + row["turns"]
    legend = numbered([action_set(actions) for actions in shown])

    def draw(figure: Any, paint: Paint) -> None:
        axes = figure.add_subplot()
        for (gold, predicted), turns in cells.items():
            if turns:
                share = turns / sets[shown[gold]]["turns"]
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
    return Plot(
        name="confusions",
        title=f"The {len(shown)} sets of actions that are mistaken most",
        text=f"Most often: {action_set(most['predicted'])} instead of {action_set(most['gold'])}, in {most['turns']} of "
        f"{most['gold_turns']} turns.",
        draw=draw,
        header=("true actions", "predicted instead", "turns", "of the true set's turns"),
        rows=[
            (action_set(r["gold"]), action_set(r["predicted"]), r["turns"], r["turns"] / r["gold_turns"]) for r in rows
        ],
        size=(4.5, 3.2 + 0.16 * len(legend)),
    )


_WHEN = {"first": "first turn", "after_right": "after a right turn", "after_wrong": "after a wrong turn"}


def _after_error(mistakes: Mapping[str, Any]) -> Plot:
    modes: Mapping[str, Any] = mistakes["after_error"]
    drawn: list[Row] = []
    for mode, found in modes.items():
        drawn.append(Row(mode))
        for when, name in _WHEN.items():
            if found[when]["turns"]:
                share = found[when]["turn_accuracy"]
                drawn.append(Row(name, share, found[when].get("ci95"), f"{share:.3f}, {found[when]['turns']} turns"))
    found = next(iter(modes.values()))
    wrong, right = found["after_wrong"], found["after_right"]
    text = (
        f"After a wrong turn {wrong['turn_accuracy']:.3f}, after a right one {right['turn_accuracy']:.3f}."
        if wrong["turns"] and right["turns"]
        else ""
    )
    return Plot(
        name="after_error",
        title="Do errors follow errors?",
        text=text,
        draw=lambda figure, paint: draw_rows(figure, paint, drawn, label="turn accuracy", bars=True),
        header=("mode", "when", "turns", "turn accuracy"),
        rows=[
            (mode, name, found[when]["turns"], found[when]["turn_accuracy"])
            for mode, found in modes.items()
            for when, name in _WHEN.items()
        ],
        size=rows_size(drawn),
    )
