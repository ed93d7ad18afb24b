import re
import warnings
from xml.etree import ElementTree

import pytest

from dialog_policy.errors import OptionError
from dialog_policy.report.figure import draw_svg
from dialog_policy.report.plots import plots_of, write_plots
from tests.report.pages import make
from tests.report.results import AWKWARD, HISTORY, score_result


@pytest.fixture(scope="module")
def plots():
    return {plot.name: plot for plot in plots_of(score_result(), history=HISTORY)}


@pytest.fixture(scope="module")
def svgs(plots):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return {name: draw_svg(plot) for name, plot in plots.items()}


def drawn_text(svg):
    return re.sub(r"\s+", "", "".join(ElementTree.fromstring(svg).itertext()))


def test_every_expected_plot_is_there(plots):
    assert list(plots) == [
        "policies", "by_length", "by_turn", "by_action", "slices_1_domain", "reliability", "precision_recall",
        "confusions", "after_error", "history",
    ]  # fmt: skip
    made = make()
    assert [plot.name for plot in plots_of(made.comparison)] == ["policies", "differences", "curve"]
    assert [plot.name for plot in plots_of(made.value)][:2] == ["estimates", "sample_size"]


@pytest.mark.parametrize("name", ["by_action", "precision_recall", "confusions"])
def test_names_stay_text_and_are_never_cut_off(svgs, name):
    text = drawn_text(svgs[name])
    for action in AWKWARD[:5]:
        assert action.replace(" ", "") in text


def test_labels_lie_within_the_picture(svgs):
    """With the widest of fonts, East Asian text at two columns a character."""
    svg = ElementTree.fromstring(svgs["by_action"])
    wide = float(svg.get("viewBox").split()[2])
    left = [e for e in svg.iter() if e.tag.endswith("text") and "anchor: end" not in (e.get("style") or "")]
    names = [e for e in left if re.search(r"[^\W\d_]", e.text or "")]
    assert len(names) >= len(AWKWARD)
    for element in names:
        start = float(re.search(r"[\d.]+", element.get("transform") or element.get("x"))[0])
        assert start + 0.62 * 8.5 * len(element.text) < wide


def test_colours_are_the_pages(svgs):
    for name, svg in svgs.items():
        assert "var(--" in svg
        assert not re.findall(r"(?:fill|stroke): #(?!fff)\w+", svg), name


def test_every_plot_says_in_words_and_numbers_what_it_shows(plots, svgs):
    for plot in plots.values():
        assert plot.title
        assert re.search(r"\d", plot.text), plot.name
        assert plot.rows
        assert all(len(row) == len(plot.header) for row in plot.rows)
        label = ElementTree.fromstring(svgs[plot.name]).get("aria-label")
        assert label == f"{plot.title} {plot.text}"


def test_the_confusion_matrix_adds_up(svgs):
    text = drawn_text(svgs["confusions"])
    assert text.count("50") == 10  # right turns on the diagonal
    assert "other" in text


def test_files_of_each_format(plots, svgs, tmp_path):
    bare = {key: value for key, value in score_result().items() if key not in ("mistakes", "slices", "calibration")}
    written = write_plots(bare, tmp_path / "new" / "folder", ("png", "svg"))
    assert {path.stem for path in written} < set(plots)
    for path in written:
        content = path.read_bytes()
        if path.suffix == ".png":
            assert content.startswith(b"\x89PNG")
        else:
            ElementTree.fromstring(content)
            assert b"var(--" not in content
    assert draw_svg(plots["by_length"]) == svgs["by_length"]


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(OptionError, match=r"found 'pgn'\. Did you mean 'png'"):
        write_plots(score_result(), tmp_path, ("pgn",))
