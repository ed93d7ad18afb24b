"""The plots of an off-policy value."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from dialog_policy.errors import counted
from dialog_policy.ope.result import LoggedValue, OffPolicyValue, PolicyEstimate
from dialog_policy.report.plots.comparison import reach
from dialog_policy.report.plots.figure import Paint, Plot
from dialog_policy.report.plots.probabilities import RELIABILITY_SIZE, draw_reliability, widest_gap
from dialog_policy.report.plots.rows import Row, draw_rows, rows_size
from dialog_policy.report.value import LOGGING_POLICY
from dialog_policy.report.words import interval_or_dash, number, rate

__all__ = ["value_plots"]


def value_plots(result: OffPolicyValue) -> list[Plot]:
    """Return the plots of what ``value`` found."""
    plots = [_estimates(result), _sample_size(result), _weights(result), _propensities(result)]
    return [plot for plot in plots if plot is not None]


def _estimates(result: OffPolicyValue) -> Plot:
    logged = result.logged
    usable = [row for row in result.estimates if row.refused is None]
    drawn = [
        Row(LOGGING_POLICY, logged.value, logged.ci95, _note(logged), 5),
        *(Row(row.name, row.value, row.ci95, _note(row)) for row in usable),
    ]
    limits = reach([end for row in drawn for end in row.interval or (row.value or 0.0,)])
    refused = len(result.estimates) - len(usable)
    text = f"The vertical line is the value of the logging policy ({number(logged.value)})."
    if usable:
        values = [row.value for row in usable if row.value is not None]
        text += f" The estimates range from {number(min(values))} to {number(max(values))}."
    if refused:
        text += f" {counted(refused, 'estimate')} {'is' if refused == 1 else 'are'} refused and not drawn."
    return Plot(
        name="estimates",
        title="Value of a dialogue, with 95 % CI",
        text=text,
        draw=lambda figure, paint: draw_rows(
            figure, paint, drawn, label="value", limits=limits, reference=logged.value
        ),
        header=("estimator", "value", "lower", "upper"),
        rows=[(row.label, row.value, *(row.interval or ("", ""))) for row in drawn],
        size=rows_size(drawn),
    )


def _note(row: LoggedValue | PolicyEstimate) -> str:
    return f"{number(row.value)} {interval_or_dash(row.ci95, number)}"


def _sample_size(result: OffPolicyValue) -> Plot | None:
    rows = result.overlap.by_decision
    if len(rows) < 2:
        return None

    def draw(figure: Any, paint: Paint) -> None:
        axes = figure.add_subplot()
        decisions = [row.decision + 1 for row in rows]
        axes.fill_between(decisions, [row.dialogues for row in rows], color=paint.fill, linewidth=0)
        axes.plot(
            decisions,
            [row.effective_sample_size for row in rows],
            color=paint.series[0],
            marker="o",
            markersize=3.5,
        )
        axes.set(xlabel="decisions", ylabel="dialogues", ylim=(0, None))
        axes.locator_params(axis="x", integer=True)

    last = rows[-1]
    return Plot(
        name="sample_size",
        title="Effective sample size by number of decisions",
        text=f"Of {counted(rows[0].dialogues, 'dialogue')}, the weights after {counted(last.decision + 1, 'decision')} "
        f"leave an effective sample size of {last.effective_sample_size:.1f}. The grey area counts dialogues that last as long.",
        draw=draw,
        header=("decision", "dialogues", "effective sample size"),
        rows=[(row.decision + 1, row.dialogues, row.effective_sample_size) for row in rows],
    )


def _weights(result: OffPolicyValue) -> Plot | None:
    edges, counts = result.overlap.log10_weights.edges, result.overlap.log10_weights.counts
    if not sum(counts):
        return None

    def draw(figure: Any, paint: Paint) -> None:
        axes = figure.add_subplot()
        widths = [high - low for low, high in pairwise(edges)]
        axes.bar(edges[:-1], counts, width=widths, align="edge", color=paint.series[0])
        axes.axvline(0, color=paint.soft, linewidth=0.9)
        axes.set(xlabel="weight of the dialogue, as a power of ten", ylabel="dialogues")

    nothing = result.overlap.dialogues_without_weight
    return Plot(
        name="weights",
        title="Importance weights of the dialogues",
        text=f"The largest weight is {100 * result.overlap.largest_share:.1f} % of their sum; "
        f"{counted(nothing, 'dialogue')} {'has' if nothing == 1 else 'have'} weight 0 and {'is' if nothing == 1 else 'are'} not "
        "drawn. The vertical line marks weight 1.",
        draw=draw,
        header=("from 10^", "to 10^", "dialogues"),
        rows=[(low, high, count) for low, high, count in zip(edges, edges[1:], counts, strict=False)],
    )


def _propensities(result: OffPolicyValue) -> Plot | None:
    bins = [row for row in result.propensities.bins or () if row.count]
    if not bins:
        return None
    return Plot(
        name="propensities",
        title="Calibration of the estimated propensities",
        text=f"The expected calibration error is {rate(result.propensities.ece)}. "
        f"{widest_gap(bins, 'share that was taken', 'decisions')} On the dashed line it would be 0.",
        draw=lambda figure, paint: draw_reliability(
            figure, paint, bins, x="estimated propensity", y="share that was taken", count="decisions"
        ),
        header=("decisions", "mean estimate", "share"),
        rows=[(row.count, row.confidence, row.accuracy) for row in bins],
        size=RELIABILITY_SIZE,
    )
