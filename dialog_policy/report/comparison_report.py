"""A comparison of policies for the browser: one self-contained page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from dialog_policy.report.comparison_plots import comparison_plots
from dialog_policy.report.names import METRICS, action_set, p_value
from dialog_policy.report.page import render

__all__ = ["compare_page"]

_SHOWN_TURNS, _SHOWN_SETS = 20, 200


def compare_page(result: Mapping[str, Any]) -> str:
    """Return the page.

    Parameters
    ----------
    result
        What :func:`~dialog_policy.comparison.compare_policies` returned; with ``curve`` if a learning curve is to be
        shown.

    Raises
    ------
    MissingExtraError
        If the extra `report` is not installed.
    """
    metrics = result["metrics"]
    return render(
        "comparison.html",
        comparison_plots(result),
        title=" or ".join(row["name"] for row in result["policies"]),
        numbers=result,
        r=result,
        verdicts=[_verdict(row) for row in result["pairs"] if row["metric"] == metrics[0]],
        policy_header=["policy", *(METRICS.get(metric, metric) for metric in metrics)],
        policies=[
            [row["name"], *(_with_interval(row[metric], row["ci95"][metric]) for metric in metrics)]
            for row in result["policies"]
        ],
        pairs=[_tested(row) for row in result["pairs"]],
        mcnemar=[
            [
                f"{row['a']} and {row['b']}",
                len(row["a_only"]),
                len(row["b_only"]),
                row["both"],
                row["neither"],
                p_value(row["p"]),
                p_value(row["p_holm"]),
            ]
            for row in result["mcnemar"]
        ],
        differing=[_differing(result, row["a"], row["b"]) for row in result["mcnemar"]],
    )


def _verdict(row: Mapping[str, Any]) -> str:
    """Return a pair's row as a sentence."""
    low, high = row["ci95"]
    found = (
        f"{METRICS.get(row['metric'], row['metric'])}: {row['difference']:+.3f} [{low:+.3f}, {high:+.3f}], "
        f"p {p_value(row['p_holm'])} after Holm's correction"
    )
    if row["p_holm"] >= 0.05:
        return f"{row['a']} cannot be told from {row['b']} ({found})."
    return f"{row['a']} is {'better' if row['difference'] > 0 else 'worse'} than {row['b']} ({found})."


def _with_interval(value: float, ends: tuple[float, float]) -> str:
    return f"{value:.3f} [{ends[0]:.3f}, {ends[1]:.3f}]"


def _tested(row: Mapping[str, Any]) -> list[Any]:
    return [
        f"{row['a']} − {row['b']}",
        METRICS.get(row["metric"], row["metric"]),
        f"{row['difference']:+.3f}",
        f"{row['ci95'][0]:+.3f} to {row['ci95'][1]:+.3f}",
        p_value(row["p_bootstrap"]),
        p_value(row["p_randomisation"]),
        p_value(row["p_holm"]),
        "" if row["effect_size"] is None else f"{row['effect_size']:+.2f}",
        f"{row['dialogues_better']} / {row['dialogues_worse']}",
    ]


def _differing(result: Mapping[str, Any], a: str, b: str) -> dict[str, Any]:
    """Count the turns that only one of two policies gets right, by their true actions, and show the first of them."""
    turns = [row for row in result["disagreements"] if (row["a"], row["b"]) == (a, b)]
    sides = {name: [row for row in turns if row["right"] == name] for name in (a, b)}
    counts = {name: Counter(action_set(row["gold"]) for row in rows) for name, rows in sides.items()}
    sets = sorted(counts[a] | counts[b], key=lambda name: (-(counts[a][name] + counts[b][name]), name))
    return {
        "a": a,
        "b": b,
        "sets": [
            [name, counts[a][name], counts[b][name], counts[a][name] - counts[b][name]] for name in sets[:_SHOWN_SETS]
        ],
        "sides": [
            {
                "right": name,
                "wrong": other,
                "count": len(sides[name]),
                "turns": [{**row, "predicted": row[key]} for row in sides[name][:_SHOWN_TURNS]],
            }
            for name, other, key in ((a, b, "b_actions"), (b, a, "a_actions"))
        ],
    }
