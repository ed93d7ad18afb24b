"""The report for the browser: one self-contained page."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any

from dialog_policy.errors import require
from dialog_policy.evaluation.text_report import BASELINE_NAMES, COLUMNS

__all__ = ["html_report"]

_CARDS = (
    ("turn_accuracy", "of the turns right"),
    ("dialogue_accuracy", "of the dialogues right throughout"),
    ("micro_f1", "micro F1 of the actions"),
    ("macro_f1", "macro F1 of the actions"),
)
_SHOWN_ACTIONS = 30
# Colours that matplotlib writes and that the page replaces by its own, so that plots follow light and dark.
_COLOURS = {"#010203": "var(--ink)", "#040506": "var(--accent)", "#070809": "var(--line)", "#0a0b0c": "var(--soft)"}
_INK, _ACCENT, _LINE, _SOFT = _COLOURS


def html_report(
    result: dict[str, Any],
    *,
    history: Sequence[dict[str, float]] | None = None,
    examples: Sequence[dict[str, Any]] | None = None,
) -> str:
    """Return the report as an HTML page that loads nothing.

    Parameters
    ----------
    result
        What :func:`~dialog_policy.evaluation.metrics.score_predictions` returned.
    history
        The training's epochs, if they are to be plotted.
    examples
        Dialogues to show turn by turn, from :func:`~dialog_policy.evaluation.examples.worst_dialogues`.

    Raises
    ------
    MissingExtraError
        If the extra `report` is not installed.
    """
    jinja2 = require("jinja2", extra="report", purpose="the HTML report")
    markupsafe = require("markupsafe", extra="report", purpose="the HTML report")
    plots = [
        {"svg": markupsafe.Markup(_svg(draw, label)), "caption": label} for label, draw in _plots(result, history or [])
    ]
    environment = jinja2.Environment(autoescape=True, trim_blocks=False)
    template = environment.from_string(files("dialog_policy.evaluation").joinpath("report.html").read_text("utf-8"))
    page: str = template.render(
        r=result,
        cards=_CARDS,
        columns=list(COLUMNS.items()),
        names=BASELINE_NAMES,
        plots=plots,
        examples=list(examples or []),
        pct=lambda share: f"{100 * share:.1f} %",
        num=lambda value: f"{value:.3f}",
    )
    return page


def _plots(result: dict[str, Any], history: Sequence[dict[str, float]]) -> list[tuple[str, Callable[[Any], None]]]:
    plots: list[tuple[str, Callable[[Any], None]]] = [
        ("Turn accuracy by length of the dialogue; the numbers are dialogues.", lambda axes: _by_length(axes, result)),
        ("Turn accuracy by the turn's number; grey: how many turns there are.", lambda axes: _by_turn(axes, result)),
        (f"F1 of the {_SHOWN_ACTIONS} most frequent actions.", lambda axes: _by_action(axes, result)),
    ]
    if history:
        plots.append(
            ("Training: loss and, where a dev part was used, its turn accuracy.", lambda a: _history(a, history))
        )
    return plots


def _by_length(axes: Any, result: dict[str, Any]) -> None:
    rows = result["by_length"]
    bars = axes.bar([row["length"] for row in rows], [row["turn_accuracy"] for row in rows], color=_ACCENT)
    axes.bar_label(bars, [str(row["dialogues"]) for row in rows], color=_INK, fontsize=8)
    axes.set(xlabel="turns to predict", ylabel="turn accuracy", ylim=(0, 1.08))
    axes.tick_params(axis="x", rotation=30)


def _by_turn(axes: Any, result: dict[str, Any]) -> None:
    rows = result["by_turn"]
    counts = axes.twinx()
    counts.bar([row["turn"] for row in rows], [row["turns"] for row in rows], color=_LINE, width=1.0)
    counts.set_yticks([])
    axes.set_zorder(counts.get_zorder() + 1)
    axes.patch.set_visible(False)
    axes.plot(
        [row["turn"] for row in rows], [row["turn_accuracy"] for row in rows], color=_ACCENT, marker="o", markersize=3
    )
    axes.set(xlabel="turn, from 0", ylabel="turn accuracy", ylim=(0, 1.03))


def _by_action(axes: Any, result: dict[str, Any]) -> None:
    rows = [row for row in result["by_action"] if row["support"]][:_SHOWN_ACTIONS][::-1]
    names = [row["action"] if len(row["action"]) <= 32 else row["action"][:31] + "…" for row in rows]
    axes.barh(range(len(rows)), [row["f1"] for row in rows], color=_ACCENT)
    axes.set_yticks(range(len(rows)), [name.replace("$", r"\$") for name in names], fontsize=7)
    axes.set(xlabel="F1", xlim=(0, 1), ylim=(-0.6, len(rows) - 0.4))
    axes.figure.set_figheight(max(3.4, 0.2 * len(rows) + 0.8))


def _history(axes: Any, history: Sequence[dict[str, float]]) -> None:
    epochs = [row["epoch"] for row in history]
    axes.plot(epochs, [row["loss"] for row in history], color=_SOFT, label="loss")
    axes.set(xlabel="epoch", ylabel="loss")
    accuracy = [row.get("dev_turn_accuracy") for row in history]
    if all(value is not None for value in accuracy):
        right = axes.twinx()
        right.plot(epochs, accuracy, color=_ACCENT, label="dev turn accuracy")
        right.set(ylabel="dev turn accuracy", ylim=(0, 1.03))
        right.tick_params(colors=_INK)
        right.yaxis.label.set_color(_INK)
        lines = [*axes.get_lines(), *right.get_lines()]
        axes.legend(lines, [line.get_label() for line in lines], frameon=False, labelcolor=_INK, fontsize=8)


def _svg(draw: Callable[[Any], None], label: str) -> str:
    """One plot as SVG whose colours are the page's, with `label` for those who cannot see it."""
    matplotlib = require("matplotlib", extra="report", purpose="the HTML report")
    figure_module = require("matplotlib.figure", extra="report", purpose="the HTML report")
    options = {"svg.fonttype": "none", "svg.hashsalt": label, "font.family": "sans-serif", "axes.spines.top": False}
    with matplotlib.rc_context(options):
        figure = figure_module.Figure(figsize=(6, 3.4), layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        axes.tick_params(colors=_INK)
        for spine in axes.spines.values():
            spine.set_color(_LINE)
        axes.xaxis.label.set_color(_INK)
        axes.yaxis.label.set_color(_INK)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    # The metadata block names its vocabularies by address; a page that loads nothing need not mention them.
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    for written, own in _COLOURS.items():
        svg = svg.replace(written, own)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
