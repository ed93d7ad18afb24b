"""Plots of named values, one below the other: the name above its bar or interval, so that it may be long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from dialog_policy.report.plots.figure import Paint
from dialog_policy.report.words import lines_of, printable

__all__ = ["Row", "draw_rows", "numbered", "rows_size"]

# Inches.
_WIDTH, _MARGIN, _LINE, _BAR, _GAP, _AXIS = 4.5, 0.12, 0.16, 0.11, 0.13, 0.48
# Columns of text that fit beside the note.
_LABEL, _NOTE_SIZE = 38, 8.0
# Columns of a line of a legend.
_LEGEND = 50


class Row(NamedTuple):
    """A value with its 95 % CI and a note at the right, hollow where the group is small; without a value, a heading."""

    label: str
    value: float | None = None
    interval: Sequence[float] | None = None
    note: str = ""
    series: int = 0
    small: bool = False


def rows_size(rows: Sequence[Row]) -> tuple[float, float]:
    """Return width and height of the plot, in inches."""
    return _WIDTH, sum(map(_height, rows)) + _AXIS


def _lines(row: Row) -> list[str]:
    return lines_of(row.label, _LABEL)


def _height(row: Row) -> float:
    return len(_lines(row)) * _LINE + (_GAP / 2 if row.value is None else _BAR + _GAP)


def draw_rows(
    figure: Any,
    paint: Paint,
    rows: Sequence[Row],
    *,
    label: str,
    limits: tuple[float, float] = (0.0, 1.0),
    bars: bool = False,
    reference: float | None = None,
) -> None:
    """Draw rows along one axis with this label; `reference` is marked by a line."""
    width, height = rows_size(rows)
    figure.set_layout_engine("none")  # all places are known
    axes = figure.add_axes((_MARGIN / width, _AXIS / height, 1 - 2 * _MARGIN / width, 1 - _AXIS / height))
    axes.set(xlim=limits, ylim=(height - _AXIS, 0), xlabel=label, yticks=[])
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    if reference is not None:
        axes.axvline(reference, color=paint.soft, linewidth=0.9)
    start, end = limits
    plain = {"facecolor": paint.paper, "edgecolor": "none", "pad": 0.6}
    top = 0.0
    for row in rows:
        lines = _lines(row)
        heading = row.value is None
        for number, line in enumerate(lines):
            axes.text(
                start,
                top + (number + 0.85) * _LINE,
                line,
                fontsize=8.5,
                fontweight="bold" if heading else "normal",
                color=paint.soft if heading else paint.ink,
                bbox=plain,
            )
        if row.value is not None:
            y = top + len(lines) * _LINE + _BAR / 2 + 0.02
            axes.text(
                end,
                top + (len(lines) - 0.15) * _LINE,
                printable(row.note),
                fontsize=_NOTE_SIZE,
                color=paint.soft,
                ha="right",
                bbox=plain,
            )
            _draw_value(axes, paint, row, y, bars=bars, origin=max(start, 0.0))
        top += _height(row)


def _draw_value(axes: Any, paint: Paint, row: Row, y: float, *, bars: bool, origin: float) -> None:
    colour = paint.series[row.series % len(paint.series)]
    if not bars:
        axes.axhline(y, color=paint.line, linewidth=0.8, zorder=1)
    if bars:
        length = row.value - origin if row.value is not None else 0
        face = paint.paper if row.small else colour
        axes.barh(y, length, left=origin, height=_BAR, color=face, edgecolor=colour, linewidth=0.8 if row.small else 0)
    if row.interval is not None:
        axes.plot(row.interval, [y, y], color=paint.ink if bars else colour, linewidth=1.0 if bars else 2.2)
    if not bars:
        face = paint.paper if row.small else colour
        axes.plot([row.value], [y], color=colour, markerfacecolor=face, marker="o", markersize=5, clip_on=False)


def numbered(names: Sequence[str]) -> list[str]:
    """Return the lines of a list of names, numbered from 1."""
    lines = []
    for number, name in enumerate(names, 1):
        first, *more = lines_of(name, _LEGEND)
        lines += [f"{number}  {first}", *(f"     {line}" for line in more)]
    return lines
