"""The plots of an off-policy value."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from dialog_policy.report.comparison_plots import reach
from dialog_policy.report.figure import Paint, Plot
from dialog_policy.report.probability_plots import RELIABILITY_SIZE, draw_reliability
from dialog_policy.report.rows import Row, draw_rows, rows_size

__all__ = ["value_plots"]


def value_plots(result: Mapping[str, Any]) -> list[Plot]:
    """Return the plots of what ``value`` found."""
    found = [_estimates(result), _sample_size(result), _weights(result), _propensities(result)]
    return [plot for plot in found if plot is not None]


def _estimates(result: Mapping[str, Any]) -> Plot:
    logged = result["logged"]
    usable = [row for row in result["estimates"] if row["refused"] is None]
    drawn = [
        Row("the logging policy", logged["value"], logged["ci95"], _note(logged), 5),
        *(Row(row["name"], row["value"], row["ci95"], _note(row)) for row in usable),
    ]
    limits = reach([end for row in drawn for end in row.interval or ()])
    refused = len(result["estimates"]) - len(usable)
    return Plot(
        name="estimates",
        title="Value of a dialogue, with 95 % intervals",
        text=f"The line: the logging policy.{f' {refused} estimates are refused.' if refused else ''}",
        draw=lambda figure, paint: draw_rows(
            figure, paint, drawn, label="value", limits=limits, reference=logged["value"]
        ),
        header=("estimator", "value", "low", "high"),
        rows=[(row.label, row.value, *(row.interval or ("", ""))) for row in drawn],
        size=rows_size(drawn),
    )


def _note(row: Mapping[str, Any]) -> str:
    return f"{row['value']:.4g} [{row['ci95'][0]:.4g}, {row['ci95'][1]:.4g}]"


def _sample_size(result: Mapping[str, Any]) -> Plot | None:
    rows = result["overlap"]["by_decision"]
    if len(rows) < 2:
        return None

    def draw(figure: Any, paint: Paint) -> None:
        axes = figure.add_subplot()
        decisions = [row["decision"] + 1 for row in rows]
        axes.fill_between(decisions, [row["dialogues"] for row in rows], color=paint.fill, linewidth=0)
        axes.plot(
            decisions,
            [row["effective_sample_size"] for row in rows],
            color=paint.series[0],
            marker="o",
            markersize=3.5,
        )
        axes.set(xlabel="decisions weighed", ylabel="dialogues", ylim=(0, None))
        axes.locator_params(axis="x", integer=True)

    last = rows[-1]
    return Plot(
        name="sample_size",
        title="How many dialogues still count",
        text=f"Of {rows[0]['dialogues']} dialogues, as good as {last['effective_sample_size']:.1f} are left after "
        f"{last['decision'] + 1} decisions. Grey: dialogues that last as long.",
        draw=draw,
        header=("decision", "dialogues", "effective sample size"),
        rows=[(row["decision"] + 1, row["dialogues"], row["effective_sample_size"]) for row in rows],
    )


def _weights(result: Mapping[str, Any]) -> Plot | None:
    edges, counts = (result["overlap"]["log10_weights"][key] for key in ("edges", "counts"))
    if not sum(counts):
        return None

    def draw(figure: Any, paint: Paint) -> None:
        axes = figure.add_subplot()
        widths = [high - low for low, high in pairwise(edges)]
        axes.bar(edges[:-1], counts, width=widths, align="edge", color=paint.series[0])
        axes.axvline(0, color=paint.soft, linewidth=0.9)
        axes.set(xlabel="weight of the dialogue, as a power of ten", ylabel="dialogues")

    nothing = result["overlap"]["dialogues_without_weight"]
    return Plot(
        name="weights",
        title="The dialogues' importance weights",
        text=f"The largest has {100 * result['overlap']['largest_share']:.1f} % of their sum; {nothing} dialogues have weight 0. "
        "The line: weight 1.",
        draw=draw,
        header=("from 10^", "to 10^", "dialogues"),
        rows=[(low, high, count) for low, high, count in zip(edges, edges[1:], counts, strict=False)],
    )


def _propensities(result: Mapping[str, Any]) -> Plot | None:
    bins = [row for row in result["propensities"].get("bins", ()) if row["count"]]
    if not bins:
        return None
    return Plot(
        name="propensities",
        title="Do the estimated propensities fit the log?",
        text=f"Expected calibration error {result['propensities']['ece']:.3f}; on the dashed line it would be 0.",
        draw=lambda figure, paint: draw_reliability(
            figure, paint, bins, x="estimated propensity", y="share that was taken", count="decisions"
        ),
        header=("decisions", "mean estimate", "share"),
        rows=[(row["count"], row["confidence"], row["accuracy"]) for row in bins],
        size=RELIABILITY_SIZE,
    )
