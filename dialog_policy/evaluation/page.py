"""What the pages for the browser share: self-contained HTML, plots whose colours follow the page's."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any

from dialog_policy.errors import require

__all__ = ["ACCENT", "INK", "LINE", "SOFT", "Plot", "render", "svg"]

# A caption, and what draws the plot.
Plot = tuple[str, Callable[[Any], None]]
# Colours that matplotlib writes and that the page replaces by its own, so that plots follow light and dark.
_COLOURS = {"#010203": "var(--ink)", "#040506": "var(--accent)", "#070809": "var(--line)", "#0a0b0c": "var(--soft)"}
INK, ACCENT, LINE, SOFT = _COLOURS


def render(template: str, plots: Sequence[Plot], **values: Any) -> str:
    """Fill one of this package's templates, with the style, script and plots that every page has.

    Raises
    ------
    MissingExtraError
        If the extra `report` is not installed.
    """
    jinja2 = require("jinja2", extra="report", purpose="the HTML report")
    markupsafe = require("markupsafe", extra="report", purpose="the HTML report")
    here = files("dialog_policy.evaluation")
    environment = jinja2.Environment(autoescape=True, trim_blocks=False)
    page: str = environment.from_string(here.joinpath(template).read_text("utf-8")).render(
        style=markupsafe.Markup(here.joinpath("page.css").read_text("utf-8")),
        script=markupsafe.Markup(here.joinpath("page.js").read_text("utf-8")),
        plots=[{"svg": markupsafe.Markup(svg(draw, label)), "caption": label} for label, draw in plots],
        pct=lambda share: f"{100 * share:.1f} %",
        num=lambda value: f"{value:.3f}",
        **values,
    )
    return page


def svg(draw: Callable[[Any], None], label: str) -> str:
    """Return a plot as SVG whose colours are the page's, with `label` for those who cannot see it."""
    matplotlib = require("matplotlib", extra="report", purpose="the HTML report")
    figure_module = require("matplotlib.figure", extra="report", purpose="the HTML report")
    options = {"svg.fonttype": "none", "svg.hashsalt": label, "font.family": "sans-serif", "axes.spines.top": False}
    with matplotlib.rc_context(options):
        figure = figure_module.Figure(figsize=(6, 3.4), layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        axes.tick_params(colors=INK)
        for spine in axes.spines.values():
            spine.set_color(LINE)
        axes.xaxis.label.set_color(INK)
        axes.yaxis.label.set_color(INK)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    found = buffer.getvalue()
    found = found[found.index("<svg") :]
    # The metadata block names its vocabularies by address; a page that loads nothing need not mention them.
    found = re.sub(r"<metadata>.*?</metadata>", "", found, flags=re.DOTALL)
    for written, own in _COLOURS.items():
        found = found.replace(written, own)
    return found.replace("<svg ", f'<svg role="img" aria-label="{html.escape(label)}" ', 1)
