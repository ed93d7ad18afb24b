"""Plots of accuracy by policy, length, turn, action and group; each is there only if its numbers are.

What a plot says in words is said of the rows that it draws.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from dialog_policy.errors import counted
from dialog_policy.evaluation.evaluation import ActionRow, Evaluation, LengthRow, Metrics, SliceRow, TurnRow
from dialog_policy.report.evaluation import THIS_POLICY
from dialog_policy.report.groups import LEAST_TURNS, extremes, is_small
from dialog_policy.report.plots.figure import Paint, Plot
from dialog_policy.report.plots.rows import Row, draw_rows, rows_size
from dialog_policy.report.words import FIELDS, interval, policy_name, rate

__all__ = ["accuracy_plots"]

_SHOWN_ACTIONS, _SHOWN_VALUES = 20, 8
_WEAK_F1 = 0.5
_DRAWN_OTHERWISE = ("dialogue_length", "turn_index")
_ENDS = ("lower", "upper")


def accuracy_plots(result: Evaluation) -> list[Plot]:
    """Return the plots of what ``score`` or ``evaluate`` counted."""
    makers = (_policies, _by_length, _by_turn, _by_action)
    return [*(plot for maker in makers if (plot := maker(result)) is not None), *_slices(result)]


def _policies(result: Evaluation) -> Plot | None:
    if not result.baselines:
        return None
    scores: dict[str, Metrics] = {
        THIS_POLICY: result,
        **{policy_name(name): row for name, row in result.baselines.items()},
    }
    rows = []
    for name, row in scores.items():
        value, ends = row.turn_accuracy, (row.ci95 or {}).get("turn_accuracy")
        note = f"{rate(value)} {interval(ends)}".rstrip()
        rows.append(Row(name, value, ends, note, 0 if row is result else 5))
    best = max(list(scores)[1:], key=lambda name: scores[name].turn_accuracy)
    return Plot(
        name="policies",
        title="Turn accuracy of the policy and of the baselines, with 95 % CI",
        text=f"This policy has {rate(result.turn_accuracy)}; the best baseline, the {best}, has "
        f"{rate(scores[best].turn_accuracy)}.",
        draw=lambda figure, paint: draw_rows(figure, paint, rows, label="turn accuracy"),
        header=("policy", "turn accuracy", *_ENDS),
        rows=[(row.label, row.value, *(row.interval or ("", ""))) for row in rows],
        size=rows_size(rows),
    )


def _by_length(result: Evaluation) -> Plot:
    rows = result.by_length
    return Plot(
        name="by_length",
        title="Turn accuracy by length of the dialogue",
        text=f"{extremes(rows, _length)} The grey bars count dialogues.{_hollow(rows)}",
        draw=lambda figure, paint: _accuracy_over(
            figure, paint, rows, [r.length for r in rows], count="dialogues", label="turns to predict", marked=True
        ),
        header=("turns to predict", "dialogues", "turns", "turn accuracy", *_ENDS, "dialogue accuracy"),
        rows=[(r.length, r.dialogues, r.turns, r.turn_accuracy, *_interval(r), r.dialogue_accuracy) for r in rows],
    )


def _length(row: LengthRow) -> str:
    return f"{row.length} turn{'' if row.length == '1' else 's'}"


def _by_turn(result: Evaluation) -> Plot:
    rows = result.by_turn
    return Plot(
        name="by_turn",
        title="Turn accuracy by position of the turn in its dialogue",
        text=f"{extremes(rows, _position)} Turns are counted from 0; the grey bars count turns at "
        f"each position.{_hollow(rows)}",
        draw=lambda figure, paint: _accuracy_over(
            figure, paint, rows, [r.turn for r in rows], count="turns", label="turn, from 0", marked=False
        ),
        header=("turn", "turns", "turn accuracy", *_ENDS),
        rows=[(r.turn, r.turns, r.turn_accuracy, *_interval(r)) for r in rows],
    )


def _position(row: TurnRow) -> str:
    return f"turn {row.turn}"


def _hollow(rows: Sequence[LengthRow | TurnRow | SliceRow]) -> str:
    return " Hollow marks are small groups." if any(map(is_small, rows)) else ""


def _accuracy_over(
    figure: Any,
    paint: Paint,
    rows: Sequence[LengthRow | TurnRow],
    labels: Sequence[Any],
    *,
    count: str,
    label: str,
    marked: bool,
) -> None:
    """Turn accuracy with its band, and under it how much it rests on."""
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
    places = range(len(rows)) if marked else labels
    banded = [(place, row.ci95) for place, row in zip(places, rows, strict=True) if row.ci95]
    upper.fill_between(
        [place for place, _ in banded],
        [ends[0] for _, ends in banded],
        [ends[1] for _, ends in banded],
        color=paint.series[0],
        alpha=0.18,
        linewidth=0,
    )
    upper.plot(places, [row.turn_accuracy for row in rows], color=paint.series[0], marker="o", markersize=3.5)
    small = [(place, row.turn_accuracy) for place, row in zip(places, rows, strict=True) if is_small(row)]
    face = {"markerfacecolor": paint.paper, "markeredgecolor": paint.series[0]}
    upper.plot([p for p, _ in small], [a for _, a in small], linestyle="none", marker="o", markersize=3.5, **face)
    upper.set(ylabel="turn accuracy", ylim=(0, 1.03))
    bars = lower.bar(places, [getattr(row, count) for row in rows], color=paint.fill, width=0.8)
    if marked:
        lower.bar_label(bars, [str(getattr(row, count)) for row in rows], color=paint.soft, fontsize=8)
        lower.set_xticks(places, labels)
        lower.margins(y=0.3)
    else:
        lower.locator_params(axis="x", integer=True)
    lower.set(xlabel=label, ylabel=count)
    lower.grid(visible=False)


def _interval(row: LengthRow | TurnRow | ActionRow) -> Sequence[Any]:
    return row.ci95 or ("", "")


def _slices(result: Evaluation) -> list[Plot]:
    """Draw one plot a field, but for those that have a plot of their own."""
    by_field: dict[str, list[SliceRow]] = defaultdict(list)
    for row in result.slices:
        if row.field not in _DRAWN_OTHERWISE:
            by_field[row.field].append(row)
    return [
        _of_field(number, field, rows, result.turn_accuracy) for number, (field, rows) in enumerate(by_field.items(), 1)
    ]


def _of_field(number: int, field: str, rows: Sequence[SliceRow], whole: float) -> Plot:
    shown = _largest_and_lowest(rows)
    drawn = [
        Row(
            str(row.value),
            row.turn_accuracy,
            _of_turns(row),
            f"{rate(row.turn_accuracy)}, {counted(row.turns, 'turn')}{' (small)' if is_small(row) else ''}",
            small=is_small(row),
        )
        for row in shown
    ]
    rest = len(rows) - len(shown)
    left_out = f" {counted(rest, 'more group')} {'is' if rest == 1 else 'are'} in the table." if rest else ""
    name = re.sub(r"\W+", "_", field)
    return Plot(
        name=f"slices_{number}_{name}",
        title=f"Turn accuracy by {FIELDS.get(field, field)}",
        text=f"{extremes(shown, lambda row: str(row.value))} The vertical line is the accuracy over all turns "
        f"({rate(whole)}).{_hollow(shown)}{left_out}",
        draw=lambda figure, paint: draw_rows(figure, paint, drawn, label="turn accuracy", reference=whole),
        header=("value", "dialogues", "turns", "turn accuracy", *_ENDS),
        rows=[(r.value, r.dialogues, r.turns, r.turn_accuracy, *(_of_turns(r) or ("", ""))) for r in rows],
        size=rows_size(drawn),
    )


def _largest_and_lowest(rows: Sequence[SliceRow]) -> list[SliceRow]:
    """Return the largest groups and, of those that are not small, the one with the lowest accuracy: as they were ordered."""
    chosen = {id(row) for row in sorted(rows, key=lambda row: -row.turns)[:_SHOWN_VALUES]}
    usual = [row for row in rows if not is_small(row)]
    if usual:
        chosen.add(id(min(usual, key=lambda row: row.turn_accuracy)))
    return [row for row in rows if id(row) in chosen]


def _of_turns(row: SliceRow) -> Sequence[float] | None:
    return row.ci95.get("turn_accuracy")


def _by_action(result: Evaluation) -> Plot | None:
    rows = [row for row in result.by_action if row.support]
    if not rows:
        return None
    drawn = [
        Row(
            row.action,
            row.f1,
            row.ci95,
            f"{rate(row.f1)}, {counted(row.support, 'turn')}{' (small)' if _is_rare(row) else ''}",
            small=_is_rare(row),
        )
        for row in rows[:_SHOWN_ACTIONS]
    ]
    weak = [row for row in rows if row.f1 < _WEAK_F1]
    rare = sum(map(_is_rare, weak))
    of_them = f", {rare} of them in fewer than {LEAST_TURNS} turns" if rare else ""
    actions = counted(len(rows), "action")
    text = f"{len(weak)} of {actions} {'has' if len(weak) == 1 else 'have'} an F1 below {_WEAK_F1}{of_them}."
    if len(rows) > _SHOWN_ACTIONS:
        text += f" The {_SHOWN_ACTIONS} most frequent are drawn."
    if any(map(_is_rare, rows[:_SHOWN_ACTIONS])):
        text += " Hollow bars are actions of few turns."
    return Plot(
        name="by_action",
        title="F1 of the actions that occur, the most frequent first",
        text=text,
        draw=lambda figure, paint: draw_rows(figure, paint, drawn, label="F1", bars=True),
        header=("action", "turns", "predicted", "precision", "recall", "F1", *_ENDS),
        rows=[(r.action, r.support, r.predicted, r.precision, r.recall, r.f1, *_interval(r)) for r in rows],
        size=rows_size(drawn),
    )


def _is_rare(row: ActionRow) -> bool:
    return row.support < LEAST_TURNS
