"""The plots that say where a policy is right; each is there only if its numbers are."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from dialog_policy.report.figure import Paint, Plot
from dialog_policy.report.names import FIELDS, interval, policy_name
from dialog_policy.report.rows import Row, draw_rows, rows_size

__all__ = ["accuracy_plots"]

_SHOWN_ACTIONS, _SHOWN_VALUES = 20, 8
_DRAWN_OTHERWISE = ("dialogue_length", "turn_index")
# What rests on fewer turns is an extreme by chance.
_ENOUGH = 30


def accuracy_plots(result: Mapping[str, Any]) -> list[Plot]:
    """Return the plots of what ``score`` or ``evaluate`` counted."""
    makers = (_policies, _by_length, _by_turn, _by_action)
    return [*(plot for maker in makers if (plot := maker(result)) is not None), *_slices(result)]


def _policies(result: Mapping[str, Any]) -> Plot | None:
    if not result["baselines"]:
        return None
    scores = {"this policy": result, **{policy_name(name): s for name, s in result["baselines"].items()}}
    rows = [
        Row(
            name,
            s["turn_accuracy"],
            (found := s.get("ci95", {}).get("turn_accuracy")),
            f"{s['turn_accuracy']:.3f} {interval(found)}".rstrip(),
            0 if s is result else 5,
        )
        for name, s in scores.items()
    ]
    best = max(list(scores)[1:], key=lambda name: scores[name]["turn_accuracy"])
    return Plot(
        name="policies",
        title="Turn accuracy, next to simple policies",
        text=f"{result['turn_accuracy']:.3f}; the best simple policy ({best}) reaches {scores[best]['turn_accuracy']:.3f}.",
        draw=lambda figure, paint: draw_rows(figure, paint, rows, label="turn accuracy"),
        header=("policy", "turn accuracy", "low", "high"),
        rows=[(row.label, row.value, *(row.interval or ("", ""))) for row in rows],
        size=rows_size(rows),
    )


def _by_length(result: Mapping[str, Any]) -> Plot:
    rows = result["by_length"]
    return Plot(
        name="by_length",
        title="Turn accuracy by length of the dialogue",
        text=f"{_extremes(rows, 'length', 'length')} Grey: dialogues.",
        draw=lambda figure, paint: _accuracy_over(
            figure, paint, rows, [r["length"] for r in rows], count="dialogues", label="turns to predict", marked=True
        ),
        header=("length", "dialogues", "turns", "turn accuracy", "low", "high", "dialogue accuracy"),
        rows=[
            (r["length"], r["dialogues"], r["turns"], r["turn_accuracy"], *_ends(r), r["dialogue_accuracy"])
            for r in rows
        ],
    )


def _by_turn(result: Mapping[str, Any]) -> Plot:
    rows = result["by_turn"]
    return Plot(
        name="by_turn",
        title="Turn accuracy by the turn's number",
        text=f"{_extremes(rows, 'turn', 'turn')} Grey: turns with this number, counted from 0.",
        draw=lambda figure, paint: _accuracy_over(
            figure, paint, rows, [r["turn"] for r in rows], count="turns", label="turn, from 0", marked=False
        ),
        header=("turn", "turns", "turn accuracy", "low", "high"),
        rows=[(r["turn"], r["turns"], r["turn_accuracy"], *_ends(r)) for r in rows],
    )


def _accuracy_over(
    figure: Any,
    paint: Paint,
    rows: Sequence[Mapping[str, Any]],
    labels: Sequence[Any],
    *,
    count: str,
    label: str,
    marked: bool,
) -> None:
    """Turn accuracy with its band, and under it how much it rests on."""
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
    places = range(len(rows)) if marked else labels
    banded = [(place, row) for place, row in zip(places, rows, strict=True) if row.get("ci95")]
    upper.fill_between(
        [place for place, _ in banded],
        [row["ci95"][0] for _, row in banded],
        [row["ci95"][1] for _, row in banded],
        color=paint.series[0],
        alpha=0.18,
        linewidth=0,
    )
    upper.plot(places, [row["turn_accuracy"] for row in rows], color=paint.series[0], marker="o", markersize=3.5)
    upper.set(ylabel="turn accuracy", ylim=(0, 1.03))
    bars = lower.bar(places, [row[count] for row in rows], color=paint.fill, width=0.8)
    if marked:
        lower.bar_label(bars, [str(row[count]) for row in rows], color=paint.soft, fontsize=8)
        lower.set_xticks(places, labels)
        lower.margins(y=0.3)
    else:
        lower.locator_params(axis="x", integer=True)
    lower.set(xlabel=label, ylabel=count)
    lower.grid(visible=False)


def _extremes(rows: Sequence[Mapping[str, Any]], key: str, noun: str) -> str:
    usual = [row for row in rows if row["turns"] >= _ENOUGH] or rows
    best, worst = (choose(usual, key=lambda row: row["turn_accuracy"]) for choose in (max, min))
    return (
        f"Best at {noun} {best[key]} ({best['turn_accuracy']:.3f}), worst at {noun} {worst[key]} "
        f"({worst['turn_accuracy']:.3f})."
    )


def _ends(row: Mapping[str, Any]) -> Sequence[Any]:
    return row.get("ci95") or ("", "")


def _slices(result: Mapping[str, Any]) -> list[Plot]:
    """Draw one plot a field, but for those that have a plot of their own."""
    by_field: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in result.get("slices", ()):
        if row["field"] not in _DRAWN_OTHERWISE:
            by_field[row["field"]].append(row)
    return [
        _of_field(number, field, rows, result["turn_accuracy"])
        for number, (field, rows) in enumerate(by_field.items(), 1)
    ]


def _of_field(number: int, field: str, rows: Sequence[Mapping[str, Any]], whole: float) -> Plot:
    largest = {id(row) for row in sorted(rows, key=lambda row: -int(row["turns"]))[:_SHOWN_VALUES]}
    drawn = [
        Row(str(r["value"]), r["turn_accuracy"], _of_turns(r), f"{r['turn_accuracy']:.3f}, {r['turns']} turns")
        for r in rows
        if id(r) in largest
    ]
    shown = f" Shown: the {len(drawn)} largest of {len(rows)}." if len(drawn) < len(rows) else ""
    usual = [row for row in rows if row["turns"] >= _ENOUGH] or rows
    worst = min(usual, key=lambda row: float(row["turn_accuracy"]))
    name = re.sub(r"\W+", "_", field)
    return Plot(
        name=f"slices_{number}_{name}",
        title=f"By {FIELDS.get(field, field)}",
        text=f"Worst: {worst['value']} ({worst['turn_accuracy']:.3f}). The line: the whole.{shown}",
        draw=lambda figure, paint: draw_rows(figure, paint, drawn, label="turn accuracy", reference=whole),
        header=("value", "dialogues", "turns", "turn accuracy", "low", "high"),
        rows=[(r["value"], r["dialogues"], r["turns"], r["turn_accuracy"], *(_of_turns(r) or ("", ""))) for r in rows],
        size=rows_size(drawn),
    )


def _of_turns(row: Mapping[str, Any]) -> Sequence[float] | None:
    ends: Sequence[float] | None = (row.get("ci95") or {}).get("turn_accuracy")
    return ends


def _by_action(result: Mapping[str, Any]) -> Plot | None:
    rows = [row for row in result["by_action"] if row["support"]]
    if not rows:
        return None
    drawn = [
        Row(row["action"], row["f1"], row.get("ci95"), f"{row['f1']:.2f}, {row['support']} turns")
        for row in rows[:_SHOWN_ACTIONS]
    ]
    weak = sum(row["f1"] < 0.5 for row in rows)
    more = f" Shown: the {_SHOWN_ACTIONS} most frequent of {len(rows)}." if len(rows) > _SHOWN_ACTIONS else ""
    return Plot(
        name="by_action",
        title="F1 of each action, the most frequent first",
        text=f"{weak} of {len(rows)} actions are below 0.5.{more}",
        draw=lambda figure, paint: draw_rows(figure, paint, drawn, label="F1", bars=True),
        header=("action", "turns", "predicted", "precision", "recall", "F1", "low", "high"),
        rows=[
            (r["action"], r["support"], r["predicted"], r["precision"], r["recall"], r["f1"], *_ends(r)) for r in rows
        ],
        size=rows_size(drawn),
    )
