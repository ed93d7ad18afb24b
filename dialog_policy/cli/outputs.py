"""What commands do with a result: write it in every form, print it, and fail where a policy is not good enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from dialog_policy.cli.options import assignments, keep_inputs, say, write_json
from dialog_policy.cli.resampling import resamples_option
from dialog_policy.errors import OptionError, did_you_mean, require
from dialog_policy.evaluation.intervals import RESAMPLES
from dialog_policy.files import check_output, write_file
from dialog_policy.report import html_report, markdown_report, show, write_csv, write_plots
from dialog_policy.report.csv_files import numbers
from dialog_policy.report.subjects import Result

__all__ = ["Forms", "Outputs", "form_options", "output_options"]

_F = TypeVar("_F", bound=Callable[..., Any])

_FORMS = (
    click.option("--json", "json_", metavar="FILE", help="Write all results as JSON."),
    click.option("--html", metavar="FILE", help="Write a report to read in a browser (extra `report`)."),
    click.option("--markdown", metavar="FILE", help="Write a report as Markdown, for a pull request."),
    click.option("--csv", "csv_", metavar="FOLDER", help="Write the numbers as CSV files, one for each list."),
    click.option("--plots", metavar="FOLDER", help="Write each plot to a separate file (extra `report`)."),
    click.option(
        "--plot-format",
        "plot_formats",
        type=click.Choice(["png", "svg"]),
        multiple=True,
        default=["svg"],
        show_default=True,
        help="Format of --plots; may be given twice.",
    ),
)
_OPTIONS = (
    *_FORMS,
    click.option(
        "--fail-under",
        multiple=True,
        metavar="METRIC=VALUE",
        help="Exit with code 1 if a metric is below this value, as in turn_accuracy=0.8. May be given several times.",
    ),
    click.option(
        "--fail-over",
        multiple=True,
        metavar="METRIC=VALUE",
        help="Exit with code 1 if a metric is above this value, as in log_loss=1.5. May be given several times.",
    ),
    resamples_option(RESAMPLES, 0, "Bootstrap resamples for the 95 % intervals; 0: no intervals."),
)


@dataclass(frozen=True, kw_only=True)
class Forms:
    """Values of the options that :func:`form_options` adds."""

    json_: str | None
    html: str | None
    markdown: str | None
    csv_: str | None
    plots: str | None
    plot_formats: Sequence[str]

    def check(self, *inputs: str) -> None:
        """Refuse, before any work is done, what could not be written in the end.

        Parameters
        ----------
        *inputs
            Paths that the command reads; none of them may be overwritten.

        Raises
        ------
        OptionError
            If an output cannot be written, is an input, or is named twice.
        MissingExtraError
            If a form needs an extra that is not installed.
        """
        options = {"--json": self.json_, "--html": self.html, "--markdown": self.markdown}
        named: dict[Path, str] = {}
        for option, path in options.items():
            if path is None:
                continue
            place = check_output(path)
            keep_inputs(inputs, path)
            if place.parts[:2] != ("/", "dev") and place in named:
                raise OptionError(f"{named[place]} and {option} both name {path}. Give each a file of its own.")
            named[place] = option
        for option, folder in {"--csv": self.csv_, "--plots": self.plots}.items():
            if folder is not None and check_output(folder, folder=True) in named:
                raise OptionError(f"{option} names {folder}, which another option names as a file. Name a folder.")
        if self.html or self.plots:
            require("matplotlib", extra="report", purpose="a plot")
        if self.html:
            require("jinja2", extra="report", purpose="the HTML report")

    def emit(self, result: Result, *, history: Sequence[Mapping[str, float]] | None = None) -> None:
        """Write a result in every form that was asked for, and print it.

        Parameters
        ----------
        result
                An evaluation, a comparison or an off-policy value.
        history
            The training's epochs, if they are to be shown.

        Raises
        ------
        OptionError
            If an output cannot be written.
        """
        if self.json_:
            write_json(self.json_, result.to_json())
        if self.html:
            write_file(self.html, html_report(result, history=history))
        if self.markdown:
            write_file(self.markdown, markdown_report(result))
        if self.csv_:
            write_csv(result, self.csv_, history=history)
        if self.plots:
            write_plots(result, self.plots, tuple(dict.fromkeys(self.plot_formats)), history=history)
        show(result)


@dataclass(frozen=True, kw_only=True)
class Outputs(Forms):
    """Values of the options that :func:`output_options` adds, but for ``--resamples``."""

    fail_under: Sequence[str]
    fail_over: Sequence[str]

    @property
    def shows_mistakes(self) -> bool:
        """Whether a form is wanted that has the mistakes."""
        return bool(self.json_ or self.html or self.markdown or self.plots)

    def check(self, *inputs: str) -> None:
        """Refuse malformed limits, too; otherwise as :meth:`Forms.check`."""
        self._limits()
        super().check(*inputs)

    def _limits(self) -> list[tuple[str, str, float]]:
        limits = []
        for option, words in (("--fail-under", self.fail_under), ("--fail-over", self.fail_over)):
            for word in words:
                for metric, value in assignments([word], option).items():
                    try:
                        limit = float(value)
                    except ValueError:
                        limit = math.nan
                    if math.isnan(limit):
                        raise OptionError(f"{option} {metric}: expected a number, found {value!r}.")
                    limits.append((option, metric, limit))
        return limits

    def emit(self, result: Result, *, history: Sequence[Mapping[str, float]] | None = None) -> None:
        """Exit with 1 if a metric is past its limit, after :meth:`Forms.emit`; OptionError for a metric that there is not."""
        super().emit(result, history=history)
        metrics = numbers(result.to_json())
        failures = []
        for option, metric, limit in self._limits():
            if metric not in metrics:
                raise OptionError(
                    f"{option}: this result has no metric {metric!r}.{did_you_mean(metric, metrics)} "
                    f"It has: {', '.join(name for name in metrics if not name.startswith('baselines.'))}."
                )
            value = metrics[metric]
            if option == "--fail-under" and value < limit:
                failures.append(f"{metric} is {value:.4f}, expected at least {limit:g}")
            elif option == "--fail-over" and value > limit:
                failures.append(f"{metric} is {value:.4f}, expected at most {limit:g}")
        if failures:
            say(f"Failed: {'; '.join(failures)}.")
            click.get_current_context().exit(1)


def form_options(command: _F) -> _F:
    """Add the options of :class:`Forms` to a command."""
    return _add(_FORMS, command)


def output_options(command: _F) -> _F:
    """Add the options of :class:`Outputs` and ``--resamples`` to a command."""
    return _add(_OPTIONS, command)


def _add(options: Sequence[Callable[[Any], Any]], command: _F) -> _F:
    for option in reversed(options):
        command = option(command)
    return command
