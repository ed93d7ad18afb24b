"""The plots of a policy's probabilities; each is there only if its numbers are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dialog_policy.errors import counted
from dialog_policy.evaluation.evaluation import Calibration, CalibrationBin, Evaluation
from dialog_policy.report.groups import LEAST_TURNS
from dialog_policy.report.plots.figure import Paint, Plot
from dialog_policy.report.words import lines_of, rate

__all__ = ["RELIABILITY_SIZE", "draw_reliability", "probability_plots", "widest_gap"]

RELIABILITY_SIZE = (4.5, 3.4)

_SHOWN_CURVES = 6
_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 2)))


def probability_plots(result: Evaluation) -> list[Plot]:
    """Return the plots of calibration and of precision against recall."""
    makers = (_reliability, _reliability_of_actions, _precision_recall)
    return [plot for maker in makers if (plot := maker(result)) is not None]


def draw_reliability(figure: Any, paint: Paint, bins: Sequence[CalibrationBin], *, x: str, y: str, count: str) -> None:
    """Draw what happened against what was expected, bin by bin, and under it how many there are in each."""
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
    upper.plot([0, 1], [0, 1], color=paint.soft, linestyle="--", linewidth=0.9)
    upper.plot(
        [row.confidence for row in bins],
        [row.accuracy for row in bins],
        color=paint.series[0],
        marker="o",
        markersize=5,
    )
    for row in bins:
        if row.ci95:
            upper.plot([row.confidence] * 2, row.ci95, color=paint.series[0], linewidth=1.0)
        if row.count < LEAST_TURNS:
            style = {"marker": "o", "markersize": 5, "color": paint.series[0], "markerfacecolor": paint.paper}
            upper.plot([row.confidence], [row.accuracy], **style)
    upper.set(ylabel=y, ylim=(0, 1.03))
    lower.bar(
        [(row.low + row.high) / 2 for row in bins],
        [row.count for row in bins],
        width=[0.9 * (row.high - row.low) for row in bins],
        color=paint.fill,
    )
    lower.set(xlabel=x, ylabel=count, xlim=(0, 1.02))
    lower.grid(visible=False)


def _reliability(result: Evaluation) -> Plot | None:
    return _calibrated(
        result.calibration,
        name="reliability",
        title="Calibration of the confidence in a turn",
        x="confidence in the predicted action set",
        y="turn accuracy",
        count="turns",
    )


def _reliability_of_actions(result: Evaluation) -> Plot | None:
    return _calibrated(
        result.calibration_bits,
        name="reliability_of_actions",
        title="Calibration of the probability of an action",
        x="predicted probability of an action",
        y="share that is true",
        count="actions",
    )


def _calibrated(calibration: Calibration | None, *, name: str, title: str, x: str, y: str, count: str) -> Plot | None:
    bins = [] if calibration is None else [row for row in calibration.bins if row.count]
    if not calibration or not bins:
        return None
    return Plot(
        name=name,
        title=title,
        text=f"The expected calibration error is {rate(calibration.ece)}. {widest_gap(bins, y, count)} Below the dashed line the "
        f"policy is overconfident. The grey bars count {count}.",
        draw=lambda figure, paint: draw_reliability(figure, paint, bins, x=x, y=y, count=count),
        header=("from", "to", count, f"mean {x}", y, "lower", "upper"),
        rows=[(r.low, r.high, r.count, r.confidence, r.accuracy, *(r.ci95 or ("", ""))) for r in bins],
        size=RELIABILITY_SIZE,
    )


def widest_gap(bins: Sequence[CalibrationBin], y: str, count: str) -> str:
    """Return a sentence about the bin that is farthest from the diagonal, and how many bins are small."""
    usual = [row for row in bins if row.count >= LEAST_TURNS]
    small = len(bins) - len(usual)
    hollow = f"{counted(small, 'bin')} with fewer than {LEAST_TURNS} {count} {'is' if small == 1 else 'are'} hollow."
    if not usual:
        return hollow
    widest = max(usual, key=lambda row: abs(row.confidence - row.accuracy))
    gap = (
        f"The widest gap is between {widest.low:g} and {widest.high:g}: {rate(widest.confidence)} predicted, {y} "
        f"{rate(widest.accuracy)}."
    )
    return f"{gap} {hollow}" if small else gap


def _precision_recall(result: Evaluation) -> Plot | None:
    curves = [
        (row.action, row.average_precision or 0.0, row.precision_recall)
        for row in result.by_action
        if row.precision_recall
    ][:_SHOWN_CURVES]
    if not curves:
        return None
    averages = [average for _, average, _ in curves]
    names = [lines_of(f"{action} ({average:.2f})", 44) for action, average, _ in curves]

    def draw(figure: Any, paint: Paint) -> None:
        axes = figure.add_subplot()
        for (_, _, points), name, colour, style in zip(curves, names, paint.series, _STYLES, strict=False):
            recall, precision = zip(*points, strict=True)
            axes.plot(recall, precision, color=colour, linestyle=style, label="\n".join(name), linewidth=1.6)
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.03))
        figure.legend(loc="outside lower left", ncols=1)

    return Plot(
        name="precision_recall",
        title=f"Precision and recall of the {counted(len(curves), 'most frequent action')} over all thresholds",
        text=f"Average precision, in brackets, ranges from {min(averages):.2f} to {max(averages):.2f}.",
        draw=draw,
        header=("action", "average precision", "recall", "precision"),
        rows=[(action, average, *point) for action, average, points in curves for point in points],
        size=(4.5, 3.0 + 0.17 * sum(map(len, names))),
    )
