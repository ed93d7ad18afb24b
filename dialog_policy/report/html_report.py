"""A result for the browser: one self-contained page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dialog_policy.report.comparison_report import compare_page
from dialog_policy.report.names import COLUMNS, FIELDS, METRICS, action_set, between, policy_name
from dialog_policy.report.page import render
from dialog_policy.report.plots import plots_of
from dialog_policy.report.value_report import value_page

__all__ = ["html_report"]

_CARDS = (
    ("turn_accuracy", "of the turns right"),
    ("dialogue_accuracy", "of the dialogues right throughout"),
    ("micro_f1", "micro F1 of the actions"),
    ("macro_f1", "macro F1 of the actions"),
)


def html_report(result: Mapping[str, Any], *, history: Sequence[Mapping[str, float]] | None = None) -> str:
    """Return a result of ``score``, ``evaluate``, ``compare`` or ``value`` as an HTML page that loads nothing.

    Parameters
    ----------
    result
        What :func:`~dialog_policy.evaluation.metrics.score_predictions` returned; with ``mistakes``, from
        :func:`~dialog_policy.evaluation.mistakes.find_mistakes`, if they are to be shown. Or what
        :func:`~dialog_policy.comparison.compare_policies` returned, with ``curve`` if a learning curve is to be shown,
        or :func:`~dialog_policy.ope.estimate_value`.
    history
        The training's epochs, if they are to be plotted.

    Raises
    ------
    MissingExtraError
        If the extra `report` is not installed.
    """
    if "pairs" in result:
        return compare_page(result)
    if "estimates" in result:
        return value_page(result)
    mistakes = result.get("mistakes")
    return render(
        "report.html",
        plots_of(result, history=history),
        title=f"{result['corpus']}: turn accuracy {100 * result['turn_accuracy']:.1f} %",
        numbers=result,
        r=result,
        cards=_CARDS,
        columns=COLUMNS,
        policies=[
            ["this policy", *(result[key] for key in COLUMNS)],
            *([policy_name(name), *(s[key] for key in COLUMNS)] for name, s in result["baselines"].items()),
        ],
        measures=_measures(result),
        **_actions(result),
        slice_header=["by", "value", "dialogues", "turns", "turns right", "95 % interval", "micro F1", "95 % interval"],
        slices=[_slice(row) for row in result.get("slices", ())],
        m=mistakes,
        confusions=_confusions(mistakes),
    )


def _measures(result: Mapping[str, Any]) -> list[list[Any]]:
    found = {f"top_k.{k}": (f"all true actions among the {k} likeliest", v) for k, v in result.get("top_k", {}).items()}
    found |= {key: (METRICS[key], result[key]) for key in ("log_loss", "brier") if key in result}
    return [[name, value, between(result["ci95"].get(key))] for key, (name, value) in found.items()]


def _slice(row: Mapping[str, Any]) -> list[Any]:
    ends = row.get("ci95") or {}
    return [
        FIELDS.get(row["field"], row["field"]),
        row["value"],
        row["dialogues"],
        row["turns"],
        row["turn_accuracy"],
        between(ends.get("turn_accuracy")),
        row["micro_f1"],
        between(ends.get("micro_f1")),
    ]


def _actions(result: Mapping[str, Any]) -> dict[str, Any]:
    rows = result["by_action"]
    header, keys = ["action", "turns", "predicted", "precision", "recall", "F1"], ["action", "support", "predicted"]
    keys += ["precision", "recall", "f1"]
    cells = [[row[key] for key in keys] for row in rows]
    if any("ci95" in row for row in rows):
        header.append("95 % interval")
        for row, line in zip(rows, cells, strict=True):
            line.append(between(row.get("ci95")))
    if any("average_precision" in row for row in rows):
        header.append("average precision")
        for row, line in zip(rows, cells, strict=True):
            line.append(row.get("average_precision", ""))
    return {"action_header": header, "actions": cells}


def _confusions(mistakes: Mapping[str, Any] | None) -> list[list[Any]]:
    return [
        [
            action_set(row["gold"]),
            action_set(row["predicted"]),
            row["turns"],
            row["turns"] / row["gold_turns"],
            row["dialogue"],
            row["turn"],
        ]
        for row in (mistakes or {}).get("confusions", ())
    ]
