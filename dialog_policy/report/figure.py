"""What every plot is: a name, words for those who do not see it, the numbers behind it, and how it is drawn."""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dialog_policy.errors import OptionError, did_you_mean, require
from dialog_policy.files import atomic_write
from dialog_policy.report.width import wrap

__all__ = ["FORMATS", "Paint", "Plot", "draw_svg", "label_lines", "write_plot"]

FORMATS = ("svg", "png")
_PURPOSE = "a plot"


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
# Characters that SVG, being XML, cannot hold, and line ends.
_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
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
    header, rows
        The numbers behind it.
    """

    name: str
    title: str
    text: str
    draw: Callable[[Any, Paint], None]
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    size: tuple[float, float] = (4.5, 3.0)


def label_lines(text: str, columns: int) -> list[str]:
    """Return a name's lines in a plot: what cannot be written is marked, and none is wider than this."""
    return wrap(_UNWRITABLE.sub("\ufffd", text), columns)


def draw_svg(plot: Plot) -> str:
    """Return a plot as an SVG element for a page: colours are the page's, text stays text, ids are unique in the page."""
    buffer = io.BytesIO()
    _save(plot, buffer, "svg", _PAGE)
    found = buffer.getvalue().decode()
    found = found[found.index("<svg") :]
    # The metadata block names its vocabularies by address; a page that loads nothing need not mention them.
    found = re.sub(r"<metadata>.*?</metadata>", "", found, flags=re.DOTALL)
    found = re.sub(r' xmlns:xlink="[^"]*"', "", found).replace("xlink:href", "href")
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', found))
    found = re.sub(r' id="([^"]*)"', lambda m: f' id="{plot.name}-{m[1]}"' if m[1] in used else "", found)
    found = re.sub(r'(href="#|url\(#)', rf"\g<1>{plot.name}-", found)
    # The page sets the font; matplotlib has measured a wide one.
    found = re.sub(r"font: (?:(?:bold|600) )?([\d.]+)px [^;\"]*", r"font-size: \1px", found)
    for written, own in _VARIABLES.items():
        found = found.replace(written, own)
    label = html.escape(f"{plot.title} {plot.text}".strip())
    return found.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def write_plot(plot: Plot, path: Path) -> None:
    """Write a plot as SVG or as PNG (200 dots an inch), as the file's name says.

    Raises
    ------
    OptionError
        If the file's suffix is none of :data:`FORMATS`.
    MissingExtraError
        If the extra `report` is not installed.
    """
    suffix = path.suffix.removeprefix(".")
    if suffix not in FORMATS:
        raise OptionError(
            f"plots are written as {', '.join(FORMATS)}; found {suffix!r}.{did_you_mean(suffix, FORMATS)}"
        )
    buffer = io.BytesIO()
    _save(plot, buffer, suffix, _PAPER)
    with atomic_write(path) as file:
        file.write(buffer.getvalue())


def _save(plot: Plot, file: Any, format: str, paint: Paint) -> None:
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
    metadata = {"Date": None, "Creator": None} if format == "svg" else None
    with matplotlib.rc_context(options), warnings.catch_warnings():
        # Where text stays text, whoever shows it brings the glyphs; in pixels a missing one is shown as a box.
        warnings.filterwarnings(
            "ignore", message=r"Glyph \d+ .* missing from font|Matplotlib currently does not support"
        )
        figure = figure_module.Figure(figsize=plot.size, layout="constrained")
        plot.draw(figure, paint)
        figure.savefig(file, format=format, transparent=format == "svg", metadata=metadata, dpi=200)
