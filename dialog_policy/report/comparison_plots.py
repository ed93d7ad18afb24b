"""The plots of a comparison of policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dialog_policy.report.figure import Plot
from dialog_policy.report.names import METRICS, interval
from dialog_policy.report.rows import Row, draw_rows, rows_size
from dialog_policy.report.training_plots import curve_plot

__all__ = ["comparison_plots", "reach"]


def comparison_plots(result: Mapping[str, Any]) -> list[Plot]:
    """Return the plots of what ``compare`` found."""
    found = [_policies(result), _differences(result)]
    return [*found, curve_plot(result["curve"])] if result.get("curve") else found


def reach(values: Sequence[float], *, zero: bool = False) -> tuple[float, float]:
    """Return the ends of an axis for these values (and 0), with a little room."""
    ends = [*values, 0.0] if zero else list(values)
    low, high = min(ends), max(ends)
    room = 0.06 * (high - low) or 0.05 * abs(high) or 0.05
    return low - room, high + room


def _policies(result: Mapping[str, Any]) -> Plot:
    drawn: list[Row] = []
    for metric in result["metrics"]:
        drawn.append(Row(METRICS.get(metric, metric)))
        for number, row in enumerate(result["policies"]):
            ends = row["ci95"][metric]
            drawn.append(Row(row["name"], row[metric], ends, f"{row[metric]:.3f} {interval(ends)}", number))
    metric = result["metrics"][0]
    best = max(result["policies"], key=lambda row: float(row[metric]))
    return Plot(
        name="policies",
        title="The policies, with 95 % intervals",
        text=f"Highest by {METRICS.get(metric, metric)}: {best['name']} ({best[metric]:.3f}).",
        draw=lambda figure, paint: draw_rows(figure, paint, drawn, label="share, or F1"),
        header=("policy", "figure", "value", "low", "high"),
        rows=[
            (row["name"], METRICS.get(metric, metric), row[metric], *row["ci95"][metric])
            for metric in result["metrics"]
            for row in result["policies"]
        ],
        size=rows_size(drawn),
    )


def _differences(result: Mapping[str, Any]) -> Plot:
    drawn: list[Row] = []
    for metric in result["metrics"]:
        drawn.append(Row(METRICS.get(metric, metric)))
        for row in result["pairs"]:
            if row["metric"] == metric:
                note = f"{row['difference']:+.3f} [{row['ci95'][0]:+.3f}, {row['ci95'][1]:+.3f}]"
                sure = row["p_holm"] < 0.05
                drawn.append(Row(f"{row['a']} − {row['b']}", row["difference"], row["ci95"], note, 0 if sure else 5))
    shown = [end for row in result["pairs"] for end in row["ci95"]]
    sure = sum(row["p_holm"] < 0.05 for row in result["pairs"])
    return Plot(
        name="differences",
        title="The differences, with 95 % intervals",
        text=f"{sure} of {len(result['pairs'])} are unlikely to be chance (p < 0.05 after Holm's correction; in colour).",
        draw=lambda figure, paint: draw_rows(
            figure, paint, drawn, label="difference", limits=reach(shown, zero=True), reference=0.0
        ),
        header=("a", "b", "figure", "difference", "low", "high", "p", "p (Holm)"),
        rows=[
            (
                r["a"],
                r["b"],
                METRICS.get(r["metric"], r["metric"]),
                r["difference"],
                *r["ci95"],
                r["p_randomisation"],
                r["p_holm"],
            )
            for r in result["pairs"]
        ],
        size=rows_size(drawn),
    )
