"""All plots of a result, for pages and as files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from dialog_policy.comparison.result import Comparison
from dialog_policy.corpus.summary import CorpusSummary
from dialog_policy.files import output_folder
from dialog_policy.ope.result import OffPolicyValue
from dialog_policy.report.plots.accuracy import accuracy_plots
from dialog_policy.report.plots.comparison import comparison_plots
from dialog_policy.report.plots.corpus import corpus_plots
from dialog_policy.report.plots.figure import Plot, check_format, write_plot
from dialog_policy.report.plots.mistakes import mistake_plots
from dialog_policy.report.plots.probabilities import probability_plots
from dialog_policy.report.plots.training import history_plot
from dialog_policy.report.plots.value import value_plots
from dialog_policy.report.subjects import Result, check_result, warnings_of

__all__ = ["plots_of", "write_plots"]


def plots_of(result: Result, *, history: Sequence[Mapping[str, float]] | None = None) -> list[Plot]:
    """Return the plots of a result.

    Parameters
    ----------
    result
        An evaluation, a comparison, an off-policy value or the summary of a corpus.
    history
        The training's epochs, if they are to be plotted.
    """
    check_result(result)
    if isinstance(result, Comparison):
        return comparison_plots(result)
    if isinstance(result, OffPolicyValue):
        return value_plots(result)
    if isinstance(result, CorpusSummary):
        return corpus_plots(result)
    plots = accuracy_plots(result) + probability_plots(result)
    if result.mistakes:
        plots += mistake_plots(result.mistakes)
    return [*plots, history_plot(history)] if history else plots


def write_plots(
    result: Result,
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
            write_plot(plot, paths[-1], warnings=warnings_of(result))
    return paths
