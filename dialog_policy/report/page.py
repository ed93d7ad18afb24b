"""What the pages for the browser share: self-contained HTML whose plots follow the page's colours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import msgspec

from dialog_policy.errors import require
from dialog_policy.report.figure import Plot, draw_svg
from dialog_policy.report.names import FIELDS, METRICS, action_set, policy_name

__all__ = ["render"]

_PURPOSE = "the HTML report"
_HEADING = re.compile(r'<h2 id="([^"]+)">(.*?)</h2>', re.DOTALL)


def render(
    template: str, plots: Sequence[Plot], *, title: str, numbers: Mapping[str, Any] | None = None, **values: Any
) -> str:
    """Fill one of this package's templates.

    Parameters
    ----------
    template
        The name of the page's own part; `values` are what it mentions.
    plots
        What its macro `figure` shows by name.
    title
        Of the browser's tab.
    numbers
        What the reader can save as JSON; None: nothing.

    Raises
    ------
    MissingExtraError
        If the extra `report` is not installed.
    """
    jinja2 = require("jinja2", extra="report", purpose=_PURPOSE)
    markup = require("markupsafe", extra="report", purpose=_PURPOSE).Markup
    here = files("dialog_policy.report").joinpath("templates")
    environment = jinja2.Environment(
        autoescape=True,
        loader=jinja2.FunctionLoader(lambda name: here.joinpath(name).read_text("utf-8")),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals.update(action_set=action_set, field_names=FIELDS, metric_names=METRICS, policy_name=policy_name)
    environment.filters.update(pct=_percent, num=_number, ci=_interval, json=_json)
    drawn = {plot.name: {"plot": plot, "svg": markup(draw_svg(plot))} for plot in plots}
    body = environment.get_template(template).render(plots=drawn, **values)
    stored = "" if numbers is None else msgspec.json.encode(numbers).decode()
    page: str = environment.get_template("page.html").render(
        title=title,
        body=markup(body),
        sections=[(found[1], markup(found[2])) for found in _HEADING.finditer(body)],
        style=markup(here.joinpath("page.css").read_text("utf-8")),
        script=markup(here.joinpath("page.js").read_text("utf-8")),
        # Nothing in it may end the element that holds it.
        numbers=markup(stored.replace("<", "\\u003c")),
    )
    return page


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _interval(ends: Sequence[float] | None, write: str = "num") -> str:
    if not ends:
        return ""
    low, high = (_percent(end) if write == "pct" else _number(end) for end in ends)
    return f"{low} – {high}"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
