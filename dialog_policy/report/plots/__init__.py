"""All plots of a result, for pages and as files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dialog_policy.files import output_folder
from dialog_policy.report.plots.accuracy import accuracy_plots
from dialog_policy.report.plots.comparison import comparison_plots
from dialog_policy.report.plots.corpus import corpus_plots
from dialog_policy.report.plots.figure import Plot, check_format, write_plot
from dialog_policy.report.plots.mistakes import mistake_plots
from dialog_policy.report.plots.probabilities import probability_plots
from dialog_policy.report.plots.training import curve_plot, history_plot
from dialog_policy.report.plots.value import value_plots
from dialog_policy.report.subjects import subject_of

__all__ = ["plots_of", "write_plots"]


def plots_of(result: Mapping[str, Any], *, history: Sequence[Mapping[str, float]] | None = None) -> list[Plot]:
    """Return the plots of a result.

    Parameters
    ----------
    result
        The JSON object of ``evaluate``, ``score``, ``compare``, ``value`` or ``inspect``.
    history
        The training's epochs, if they are to be plotted.
    """
    subject = subject_of(result)
    if subject != "evaluation":
        return {"comparison": comparison_plots, "value": value_plots, "corpus": corpus_plots}[subject](result)
    plots = accuracy_plots(result) + probability_plots(result)
    if result.get("mistakes"):
        plots += mistake_plots(result["mistakes"])
    if history:
        plots.append(history_plot(history))
    if result.get("curve"):
        plots.append(curve_plot(result["curve"]))
    return plots


def write_plots(
    result: Mapping[str, Any],
    folder: str | os.PathLike[str],
    formats: Sequence[str] = ("svg", "png"),
    *,
    history: Sequence[Mapping[str, float]] | None = None,
) -> list[Path]:
    """Write each plot of a result as a file of its own, in each format; return the files.

    What the result warns of stands above every picture.

    Parameters
    ----------
    result
        As for :func:`plots_of`.
    folder
        Made if it is missing.
    formats
        ``"svg"``, ``"png"``.
    history
        As for :func:`plots_of`.

    Raises
    ------
    OptionError
        If a format is unknown, or a file cannot be written.
    MissingExtraError
        If the extra `report` is not installed.
    """
    for suffix in formats:
        check_format(suffix)
    place = output_folder(folder)
    paths = []
    for plot in plots_of(result, history=history):
        for suffix in formats:
            paths.append(place / f"{plot.name}.{suffix}")
            write_plot(plot, paths[-1], warnings=result.get("warnings", ()))
    return paths
