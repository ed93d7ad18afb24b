"""What commands do with a result: write it in every form, print it, and fail where a policy is not good enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from dialog_policy.cli.options import assignments, say, write_json
from dialog_policy.errors import OptionError, did_you_mean
from dialog_policy.evaluation.intervals import RESAMPLES
from dialog_policy.files import atomic_write, check_output
from dialog_policy.report.csv_tables import numbers, write_tables
from dialog_policy.report.text_report import terminal, text_report

__all__ = ["Forms", "Outputs", "form_options", "output_options"]

_F = TypeVar("_F", bound=Callable[..., Any])

_FORMS = (
    click.option("--json", "json_", metavar="FILE", help="Write all results as JSON."),
    click.option("--html", metavar="FILE", help="Write a report to read in a browser (extra `report`)."),
    click.option("--markdown", metavar="FILE", help="Write a report for a pull request."),
    click.option("--plots", metavar="FOLDER", help="Write each plot as a file of its own (extra `report`)."),
    click.option(
        "--plot-format",
        "plot_formats",
        type=click.Choice(["png", "svg"]),
        multiple=True,
        default=["svg"],
        show_default=True,
        help="Of --plots; may be given twice.",
    ),
)
_OPTIONS = (
    *_FORMS,
    click.option("--csv", "csv_", metavar="FOLDER", help="Write the numbers behind the plots, one file a list."),
    click.option(
        "--fail-under",
        multiple=True,
        metavar="METRIC=VALUE",
        help="Exit with 1 where a figure is under this, such as turn_accuracy=0.8. May be given several times.",
    ),
    click.option(
        "--fail-over",
        multiple=True,
        metavar="METRIC=VALUE",
        help="Exit with 1 where a figure is over this, such as log_loss=1.5. May be given several times.",
    ),
    click.option(
        "--resamples",
        type=click.IntRange(min=0),
        default=RESAMPLES,
        show_default=True,
        help="Bootstrap resamples for the 95 % intervals; 0: no intervals.",
    ),
)


@dataclass(frozen=True)
class Forms:
    """Values of the options that :func:`form_options` adds."""

    json_: str | None
    html: str | None
    markdown: str | None
    plots: str | None
    plot_formats: Sequence[str]

    def check(self) -> None:
        """Refuse places that cannot be written before any work is done.

        Raises
        ------
        OptionError
            If a file is to be where a folder is, a parent is missing, or a place is read-only.
        """
        for file in (self.json_, self.html, self.markdown):
            if file:
                check_output(file)
        if self.plots:
            check_output(self.plots, folder=True)

    def write(self, result: Mapping[str, Any], *, history: Sequence[Mapping[str, float]] | None = None) -> None:
        """Write a result in every form that was asked for.

        Raises
        ------
        MissingExtraError
            If a form needs an extra that is not installed.
        """
        if self.json_:
            write_json(self.json_, result)
        if self.html:
            from dialog_policy.report.html_report import html_report

            _write_text(self.html, html_report(result, history=history))
        if self.markdown:
            from dialog_policy.report.markdown import markdown_report

            _write_text(self.markdown, markdown_report(result))
        if self.plots:
            from dialog_policy.report.plots import write_plots

            write_plots(result, self.plots, tuple(dict.fromkeys(self.plot_formats)), history=history)


@dataclass(frozen=True)
class Outputs(Forms):
    """Values of the options that :func:`output_options` adds, but for ``--resamples``."""

    csv_: str | None
    fail_under: Sequence[str]
    fail_over: Sequence[str]

    @property
    def shows_mistakes(self) -> bool:
        """Whether a form is wanted that has the mistakes."""
        return bool(self.json_ or self.html or self.markdown or self.plots)

    def check(self) -> None:
        """Refuse a malformed limit, and places that cannot be written, before any work is done.

        Raises
        ------
        OptionError
            If a limit is not ``METRIC=NUMBER``; or as for :class:`Forms`.
        """
        super().check()
        if self.csv_:
            check_output(self.csv_, folder=True)
        self._limits()

    def _limits(self) -> list[tuple[str, str, float]]:
        found = []
        for option, words in (("--fail-under", self.fail_under), ("--fail-over", self.fail_over)):
            for word in words:
                for metric, value in assignments([word], option).items():
                    try:
                        limit = float(value)
                    except ValueError:
                        limit = math.nan
                    if math.isnan(limit):
                        raise OptionError(f"{option} {metric}: expected a number, found {value!r}.")
                    found.append((option, metric, limit))
        return found

    def emit(self, result: Mapping[str, Any], *, history: Sequence[Mapping[str, float]] | None = None) -> None:
        """Write the result in every form that was asked for, print it, and exit with 1 where a figure is past its limit.

        Raises
        ------
        OptionError
            If a limit is for a figure that the result does not have.
        MissingExtraError
            If a form needs an extra that is not installed.
        """
        self.write(result, history=history)
        if self.csv_:
            write_tables(result, self.csv_, history=history)
        click.echo(text_report(result, **terminal()))
        self._gate(numbers(result))

    def _gate(self, found: Mapping[str, float]) -> None:
        failures = []
        for option, metric, limit in self._limits():
            if metric not in found:
                raise OptionError(
                    f"{option}: this result has no figure {metric!r}.{did_you_mean(metric, found)} "
                    f"It has: {', '.join(name for name in found if not name.startswith('baselines.'))}."
                )
            value = found[metric]
            if option == "--fail-under" and value < limit:
                failures.append(f"{metric} is {value:.4f}, expected at least {limit:g}")
            elif option == "--fail-over" and value > limit:
                failures.append(f"{metric} is {value:.4f}, expected at most {limit:g}")
        if failures:
            say(f"Failed: {'; '.join(failures)}.")
            click.get_current_context().exit(1)


def _write_text(path: str, text: str) -> None:
    with atomic_write(path) as file:
        file.write(text.encode())


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
