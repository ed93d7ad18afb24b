"""All plots of a result, for pages and as files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dialog_policy.report.accuracy_plots import accuracy_plots
from dialog_policy.report.comparison_plots import comparison_plots
from dialog_policy.report.figure import Plot, write_plot
from dialog_policy.report.mistake_plots import mistake_plots
from dialog_policy.report.probability_plots import probability_plots
from dialog_policy.report.training_plots import curve_plot, history_plot
from dialog_policy.report.value_plots import value_plots

__all__ = ["plots_of", "write_plots"]


def plots_of(result: Mapping[str, Any], *, history: Sequence[Mapping[str, float]] | None = None) -> list[Plot]:
    """Return the plots of a result of ``score``, ``evaluate``, ``compare`` or ``value``.

    Parameters
    ----------
    result
        The JSON object.
    history
        The training's epochs, if they are to be plotted.
    """
    if "pairs" in result:
        return comparison_plots(result)
    if "estimates" in result:
        return value_plots(result)
    found = accuracy_plots(result) + probability_plots(result)
    if "mistakes" in result:
        found += mistake_plots(result["mistakes"])
    if history:
        found.append(history_plot(history))
    if result.get("curve"):
        found.append(curve_plot(result["curve"]))
    return found


def write_plots(
    result: Mapping[str, Any],
    folder: str | os.PathLike[str],
    formats: Sequence[str] = ("svg", "png"),
    *,
    history: Sequence[Mapping[str, float]] | None = None,
) -> list[Path]:
    """Write each plot of a result as a file of its own, in each format; return the files.

    Parameters
    ----------
    result, history
        As for :func:`plots_of`.
    folder
        Made if it is missing.
    formats
        ``"svg"``, ``"png"``.

    Raises
    ------
    OptionError
        If a format is unknown.
    MissingExtraError
        If the extra `report` is not installed.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    written = []
    for plot in plots_of(result, history=history):
        for suffix in formats:
            written.append(place / f"{plot.name}.{suffix}")
            write_plot(plot, written[-1])
    return written
