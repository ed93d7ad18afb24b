"""What every plot is: a name, words for those who do not see it, the numbers behind it, and how it is drawn."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from warnings import catch_warnings, filterwarnings

from dialog_policy.errors import OptionError, did_you_mean, require
from dialog_policy.files import write_file
from dialog_policy.report.document import Table
from dialog_policy.report.words import lines_of, printable

__all__ = ["FORMATS", "Paint", "Plot", "check_format", "draw_svg", "write_plot"]

FORMATS = ("svg", "png")
_PURPOSE = "a plot"
_COLUMNS_AN_INCH = 15  # of text of 8 points


class Paint(NamedTuple):
    """Colours by their role."""

    ink: str
    soft: str
    line: str
    fill: str
    paper: str
    bad: str
    series: tuple[str, ...]


# On white paper. The series' colours can be told apart with any colour vision (Okabe & Ito 2008), the first is the page's.
_PAPER = Paint(
    "#1c2126",
    "#5b6670",
    "#d9dfe4",
    "#b9c3cc",
    "#ffffff",
    "#b3261e",
    ("#1769aa", "#d55e00", "#009e73", "#9b5c8f", "#b58900", "#444"),
)
# Colours that stand for the page's own, so that plots follow light and dark.
_PAGE = Paint(
    "#010201", "#010202", "#010203", "#010204", "#010205", "#010206", tuple(f"#01030{number}" for number in range(1, 7))
)
_VARIABLES = {
    **{getattr(_PAGE, role): f"var(--{role})" for role in _PAGE._fields[:-1]},
    **{colour: f"var(--series{number})" for number, colour in enumerate(_PAGE.series, 1)},
}
# Families that have what DejaVu Sans, matplotlib's own, lacks; those that are installed help out, a character at a time.
_FALLBACKS = re.compile(r"Noto Sans|Source Han Sans|WenQuanYi|Droid Sans Fallback|Unifont|Arial Unicode|PingFang|YaHei")


@dataclass(frozen=True, kw_only=True)
class Plot:
    """One plot.

    Attributes
    ----------
    name
        Of its files, and of its place in a page.
    title
        What it shows: the caption.
    text
        The same in words, with the figures that matter: for those who cannot see it, and under it for all others.
    draw
        Draws it into an empty matplotlib figure of `size` inches.
    header, rows, left
        The numbers behind it, as in a :class:`~dialog_policy.report.document.Table`.
    size
        Width and height in inches.
    """

    name: str
    title: str
    text: str
    draw: Callable[[Any, Paint], None]
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    left: Sequence[int] = (0,)
    size: tuple[float, float] = (4.5, 3.0)

    @property
    def heading(self) -> str:
        """The title as a sentence's end wants it."""
        return self.title if self.title.endswith("?") else f"{self.title}."

    @property
    def table(self) -> Table:
        """The numbers behind it."""
        return Table(title=self.title, header=self.header, rows=self.rows, left=self.left)


def draw_svg(plot: Plot) -> str:
    """Return a plot as an SVG element for a page: colours are the page's, text stays text, ids are unique in the page."""
    buffer = io.BytesIO()
    _save(plot, buffer, "svg", _PAGE)
    svg = buffer.getvalue().decode()
    svg = svg[svg.index("<svg") :]
    # The metadata block names its vocabularies by address; a page that loads nothing need not mention them.
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns:xlink="[^"]*"', "", svg).replace("xlink:href", "href")
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda m: f' id="{plot.name}-{m[1]}"' if m[1] in used else "", svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{plot.name}-", svg)
    # The page sets the font; matplotlib has measured a wide one.
    svg = re.sub(r"font: (?:(?:bold|600) )?([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    for written, own in _VARIABLES.items():
        svg = svg.replace(written, own)
    label = html.escape(printable(f"{plot.heading} {plot.text}".strip()))
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def check_format(suffix: str) -> None:
    """Refuse a format that plots are not written in.

    Raises
    ------
    OptionError
        If it is none of :data:`FORMATS`.
    """
    if suffix not in FORMATS:
        raise OptionError(
            f"plots are written as {', '.join(FORMATS)}; found {suffix!r}.{did_you_mean(suffix, FORMATS)}"
        )


def write_plot(plot: Plot, path: Path, *, warnings: Sequence[str] = ()) -> None:
    """Write a plot as SVG or as PNG (200 dots an inch), as the file's name says.

    Parameters
    ----------
    plot, path
        What to write, and where.
    warnings
        Sentences to stand above the picture.

    Raises
    ------
    OptionError
        If the file's suffix is none of :data:`FORMATS`, or the file cannot be written.
    MissingExtraError
        If the extra `report` is not installed.
    """
    suffix = path.suffix.removeprefix(".")
    check_format(suffix)
    buffer = io.BytesIO()
    _save(plot, buffer, suffix, _PAPER, above=[f"Warning: {warning}" for warning in warnings])
    write_file(path, buffer.getvalue())


def _save(plot: Plot, file: Any, format: str, paint: Paint, *, above: Sequence[str] = ()) -> None:
    matplotlib = require("matplotlib", extra="report", purpose=_PURPOSE)
    figure_module = require("matplotlib.figure", extra="report", purpose=_PURPOSE)
    fonts = require("matplotlib.font_manager", extra="report", purpose=_PURPOSE)
    families = ["DejaVu Sans", *sorted(filter(_FALLBACKS.match, fonts.get_font_names()))]
    options = {
        "axes.axisbelow": True,
        "axes.edgecolor": paint.line,
        "axes.grid": True,
        "axes.labelcolor": paint.soft,
        "axes.labelsize": 9,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "font.family": families,
        "font.size": 9,
        "grid.color": paint.line,
        "grid.linewidth": 0.6,
        "legend.fontsize": 8.5,
        "legend.frameon": False,
        "svg.fonttype": "none",
        "svg.hashsalt": plot.name,
        "text.color": paint.ink,
        "text.parse_math": False,  # a $ in a name is a $
        "xtick.color": paint.line,
        "xtick.labelcolor": paint.soft,
        "xtick.labelsize": 8.5,
        "ytick.color": paint.line,
        "ytick.labelcolor": paint.soft,
        "ytick.labelsize": 8.5,
    }
    metadata: dict[str, str | None] = {"Title": printable(plot.heading), "Description": printable(plot.text)}
    if format == "svg":
        metadata |= {"Date": None, "Creator": None}
    with matplotlib.rc_context(options), catch_warnings():
        # Where text stays text, whoever shows it brings the glyphs; in pixels a missing one is shown as a box.
        filterwarnings("ignore", message=r"Glyph \d+ .* missing from font|Matplotlib currently does not support")
        figure = figure_module.Figure(figsize=plot.size, layout="constrained")
        plot.draw(figure, paint)
        if above:
            columns = int(plot.size[0] * _COLUMNS_AN_INCH)
            lines = [line for sentence in above for line in lines_of(sentence, columns)]
            figure.text(0.02, 1.01, "\n".join(lines), color=paint.bad, fontsize=8, va="bottom")
        # What stands above the figure widens the picture.
        bounds = {"bbox_inches": "tight"} if above else {}
        figure.savefig(file, format=format, transparent=format == "svg", metadata=metadata, dpi=200, **bounds)
