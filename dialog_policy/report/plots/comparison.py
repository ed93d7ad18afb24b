"""The plots of a comparison of policies."""

from __future__ import annotations

from collections.abc import Sequence

from dialog_policy.comparison.result import Comparison
from dialog_policy.report.groups import listed
from dialog_policy.report.plots.figure import Plot
from dialog_policy.report.plots.rows import Row, draw_rows, rows_size
from dialog_policy.report.plots.training import curve_plot
from dialog_policy.report.words import LOWER_IS_BETTER, Estimate, cell, interval_or_dash, metric_name, rate, signed

__all__ = ["comparison_plots", "reach"]


def comparison_plots(result: Comparison) -> list[Plot]:
    """Return the plots of what ``compare`` found."""
    plots = [_policies(result), _differences(result)]
    return [*plots, curve_plot(result.curve)] if result.curve else plots


def reach(values: Sequence[float], *, zero: bool = False) -> tuple[float, float]:
    """Return the ends of an axis for these values (and 0), with a little room."""
    ends = [*values, 0.0] if zero else list(values)
    low, high = min(ends), max(ends)
    room = 0.06 * (high - low) or 0.05 * abs(high) or 0.05
    return low - room, high + room


def _policies(result: Comparison) -> Plot:
    drawn: list[Row] = []
    for metric in result.metrics:
        drawn.append(Row(metric_name(metric)))
        for number, row in enumerate(result.policies):
            value, ends = getattr(row, metric), row.ci95[metric]
            drawn.append(Row(row.name, value, ends, cell(Estimate(value, ends)), number))
    metric = result.metrics[0]
    lower = metric in LOWER_IS_BETTER
    best = (min if lower else max)(getattr(row, metric) for row in result.policies)
    names = listed([row.name for row in result.policies if getattr(row, metric) == best])
    return Plot(
        name="policies",
        title="Metrics of the policies, with 95 % CI",
        text=f"The {'lowest' if lower else 'highest'} {metric_name(metric)} is {rate(best)}, of {names}.",
        draw=lambda figure, paint: draw_rows(figure, paint, drawn, label="value of the metric"),
        header=("policy", "metric", "value", "lower", "upper"),
        rows=[
            (row.name, metric_name(metric), getattr(row, metric), *(row.ci95[metric] or ("", "")))
            for metric in result.metrics
            for row in result.policies
        ],
        left=(0, 1),
        size=rows_size(drawn),
    )


def _differences(result: Comparison) -> Plot:
    drawn: list[Row] = []
    for metric in result.metrics:
        drawn.append(Row(metric_name(metric)))
        for row in result.pairs:
            if row.metric == metric:
                note = f"{signed(row.difference)} {interval_or_dash(row.ci95, signed)}"
                colour = 0 if row.is_significant else 5
                drawn.append(Row(f"{row.a} − {row.b}", row.difference, row.ci95, note, colour))
    ends = [end for row in result.pairs for end in row.ci95 or (row.difference,)]
    significant = sum(row.is_significant for row in result.pairs)
    are = "is" if significant == 1 else "are"
    return Plot(
        name="differences",
        title="Differences between the policies, with 95 % CI",
        text=f"{significant} of {len(result.pairs)} {are} significant (p < 0.05 after Holm's correction); the others are grey.",
        draw=lambda figure, paint: draw_rows(
            figure, paint, drawn, label="difference", limits=reach(ends, zero=True), reference=0.0
        ),
        header=("a", "b", "metric", "a − b", "lower", "upper", "p", "p (Holm)"),
        rows=[
            (r.a, r.b, metric_name(r.metric), r.difference, *(r.ci95 or ("", "")), r.p_randomisation, r.p_holm)
            for r in result.pairs
        ],
        left=(0, 1, 2),
        size=rows_size(drawn),
    )
