"""The report for the browser: one self-contained page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dialog_policy.evaluation.page import ACCENT, INK, LINE, SOFT, Plot, render
from dialog_policy.evaluation.text_report import BASELINE_NAMES, COLUMNS

__all__ = ["html_report"]

_CARDS = (
    ("turn_accuracy", "of the turns right"),
    ("dialogue_accuracy", "of the dialogues right throughout"),
    ("micro_f1", "micro F1 of the actions"),
    ("macro_f1", "macro F1 of the actions"),
)
_SHOWN_ACTIONS = 30


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
    return render(
        "report.html",
        _plots(result, history or []),
        r=result,
        cards=_CARDS,
        columns=list(COLUMNS.items()),
        names=BASELINE_NAMES,
        examples=list(examples or []),
    )


def _plots(result: dict[str, Any], history: Sequence[dict[str, float]]) -> list[Plot]:
    plots: list[Plot] = [
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
    bars = axes.bar([row["length"] for row in rows], [row["turn_accuracy"] for row in rows], color=ACCENT)
    axes.bar_label(bars, [str(row["dialogues"]) for row in rows], color=INK, fontsize=8)
    axes.set(xlabel="turns to predict", ylabel="turn accuracy", ylim=(0, 1.08))
    axes.tick_params(axis="x", rotation=30)


def _by_turn(axes: Any, result: dict[str, Any]) -> None:
    rows = result["by_turn"]
    counts = axes.twinx()
    counts.bar([row["turn"] for row in rows], [row["turns"] for row in rows], color=LINE, width=1.0)
    counts.set_yticks([])
    axes.set_zorder(counts.get_zorder() + 1)
    axes.patch.set_visible(False)
    axes.plot(
        [row["turn"] for row in rows], [row["turn_accuracy"] for row in rows], color=ACCENT, marker="o", markersize=3
    )
    axes.set(xlabel="turn, from 0", ylabel="turn accuracy", ylim=(0, 1.03))


def _by_action(axes: Any, result: dict[str, Any]) -> None:
    rows = [row for row in result["by_action"] if row["support"]][:_SHOWN_ACTIONS][::-1]
    names = [row["action"] if len(row["action"]) <= 32 else row["action"][:31] + "…" for row in rows]
    axes.barh(range(len(rows)), [row["f1"] for row in rows], color=ACCENT)
    axes.set_yticks(range(len(rows)), [name.replace("$", r"\$") for name in names], fontsize=7)
    axes.set(xlabel="F1", xlim=(0, 1), ylim=(-0.6, len(rows) - 0.4))
    axes.figure.set_figheight(max(3.4, 0.2 * len(rows) + 0.8))


def _history(axes: Any, history: Sequence[dict[str, float]]) -> None:
    epochs = [row["epoch"] for row in history]
    axes.plot(epochs, [row["loss"] for row in history], color=SOFT, label="loss")
    axes.set(xlabel="epoch", ylabel="loss")
    accuracy = [row.get("dev_turn_accuracy") for row in history]
    if all(value is not None for value in accuracy):
        right = axes.twinx()
        right.plot(epochs, accuracy, color=ACCENT, label="dev turn accuracy")
        right.set(ylabel="dev turn accuracy", ylim=(0, 1.03))
        right.tick_params(colors=INK)
        right.yaxis.label.set_color(INK)
        lines = [*axes.get_lines(), *right.get_lines()]
        axes.legend(lines, [line.get_label() for line in lines], frameon=False, labelcolor=INK, fontsize=8)
