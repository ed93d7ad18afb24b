"""The plots of trainings: one by epochs, many by the share of the training part that they saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dialog_policy.comparison.result import CurvePoint, CurveStep, curve_steps
from dialog_policy.errors import counted
from dialog_policy.report.plots.figure import Paint, Plot
from dialog_policy.report.words import rate

__all__ = ["curve_plot", "history_plot"]


def history_plot(history: Sequence[Mapping[str, float]]) -> Plot:
    """Return loss, accuracy and likelihood by epoch."""
    columns = [name for name in history[0] if name != "epoch"]
    losses = [name for name in columns if "loss" in name]
    others = [name for name in columns if name not in losses and "accuracy" in name]
    likelihoods = [name for name in columns if "likelihood" in name]
    panels = [names for names in (losses, others, likelihoods) if names]
    epochs = [row["epoch"] for row in history]

    def draw(figure: Any, paint: Paint) -> None:
        for number, names in enumerate(panels):
            axes = figure.add_subplot(len(panels), 1, number + 1)
            for name, colour in zip(names, paint.series, strict=False):
                axes.plot(epochs, [row.get(name, float("nan")) for row in history], color=colour, label=_said(name))
            axes.set(ylabel=_said(names[0]) if len(names) == 1 else "")
            if len(names) > 1:
                axes.legend()
        axes.set(xlabel="epoch")

    last = ", ".join(f"{_said(name)} {rate(history[-1][name])}" for name in columns if name in history[-1])
    best = ""
    for name in (name for name in (*others, *likelihoods) if name.startswith("dev_")):
        measured = [row for row in history if name in row]
        highest = max(measured, key=lambda row: row[name])
        best += f" The highest {_said(name)} is {rate(highest[name])}, after epoch {highest['epoch']:.0f}."
    return Plot(
        name="history",
        title="Training by epoch",
        text=f"After the last epoch, {epochs[-1]:.0f}: {last}.{best}",
        draw=draw,
        header=("epoch", *map(_said, columns)),
        rows=[(int(row["epoch"]), *(row.get(name, "") for name in columns)) for row in history],
        size=(4.5, 1.0 + 1.5 * len(panels)),
    )


def _said(name: str) -> str:
    return name.replace("_", " ").replace("dev ", "validation ")


def curve_plot(points: Sequence[CurvePoint]) -> Plot:
    """Return accuracy by the number of training dialogues: means over seeds, and the range of the seeds."""
    curves: dict[str, list[CurveStep]] = {}
    for step in sorted(curve_steps(points), key=lambda step: step.dialogues):
        curves.setdefault(step.policy, []).append(step)
    curves = {policy: curves[policy] for policy in dict.fromkeys(point.policy for point in points)}

    def draw(figure: Any, paint: Paint) -> None:
        axes = figure.add_subplot()
        for (policy, steps), colour in zip(curves.items(), paint.series, strict=False):
            sizes = [step.dialogues for step in steps]
            lowest, highest = [step.lowest for step in steps], [step.highest for step in steps]
            axes.fill_between(sizes, lowest, highest, color=colour, alpha=0.18, linewidth=0)
            axes.plot(sizes, [step.mean for step in steps], color=colour, marker="o", markersize=4, label=policy)
        axes.set(xlabel="training dialogues", ylabel="turn accuracy", ylim=(0, 1.03))
        if len(curves) > 1:
            figure.legend(loc="outside lower left", ncols=1)

    ends = "; ".join(f"{name} {rate(steps[0].mean)} and {rate(steps[-1].mean)}" for name, steps in curves.items())
    return Plot(
        name="curve",
        title="Learning curve",
        text=f"Mean turn accuracy with the fewest and with the most training dialogues: {ends}. The band is the range over "
        f"{counted(len({point.seed for point in points}), 'seed')}.",
        draw=draw,
        header=("policy", "share", "dialogues", "seed", "turn accuracy"),
        rows=[(p.policy, p.share, p.dialogues, p.seed, p.turn_accuracy) for p in points],
        size=(4.5, 3.0 + 0.17 * len(curves)),
    )
