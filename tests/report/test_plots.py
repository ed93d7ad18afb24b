import re
import warnings
from xml.etree import ElementTree

import pytest

from dialog_policy.errors import OptionError
from dialog_policy.report import result_of
from dialog_policy.report.plots import plots_of, write_plots
from dialog_policy.report.plots.figure import draw_svg
from tests.report.pages import make
from tests.report.results import AWKWARD, HISTORY, score_result


@pytest.fixture(scope="module")
def plots():
    return {plot.name: plot for plot in plots_of(result_of(score_result()), history=HISTORY)}


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
    assert [plot.name for plot in plots_of(result_of(made.comparison))] == ["policies", "differences", "curve"]
    assert [plot.name for plot in plots_of(result_of(made.value))][:2] == ["estimates", "sample_size"]


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
        assert label == f"{plot.title}. {plot.text}".replace("?.", "?")


def test_the_confusion_matrix_adds_up(svgs):
    text = drawn_text(svgs["confusions"])
    assert text.count("50") == 10  # right turns on the diagonal
    assert "other" in text


def test_files_of_each_format(plots, svgs, tmp_path):
    bare = {key: value for key, value in score_result().items() if key not in ("mistakes", "calibration")}
    bare["slices"] = []
    written = write_plots(result_of(bare), tmp_path / "new" / "folder", ("png", "svg"))
    assert {path.stem for path in written} < set(plots)
    for path in written:
        content = path.read_bytes()
        if path.suffix == ".png":
            assert content.startswith(b"\x89PNG")
        else:
            ElementTree.fromstring(content)
            assert b"var(--" not in content
    assert draw_svg(plots["by_length"]) == svgs["by_length"]


def slice_of(value, accuracy, turns, field="language"):
    return {
        "field": field, "value": value, "dialogues": 2, "turns": turns, "turn_accuracy": accuracy, "micro_f1": accuracy,
        "ci95": {},
    }  # fmt: skip


def field_plot(*rows):
    plots = plots_of(result_of(score_result() | {"slices": list(rows)}))
    return next(plot for plot in plots if plot.name.startswith("slices_"))


def test_small_groups_are_named_as_small_in_words_and_in_the_picture():
    """The words once named the worst of the large groups only, beside a picture with smaller and worse ones."""
    plot = field_plot(
        slice_of("en", 0.747, 900), slice_of("de", 0.9, 40), slice_of("es", 0.5, 6), slice_of("zh", 0.321, 28)
    )
    assert "Highest: de (0.900); lowest: en (0.747)." in plot.text
    assert "Small, with fewer than 30 turns, are es (0.500, 6 turns) and zh (0.321, 28 turns)." in plot.text
    svg = draw_svg(plot)
    assert all(f"{note} turns (small)" in svg for note in ("0.500, 6", "0.321, 28"))
    assert svg.count("(small)") == 2


def test_many_small_groups_are_summed_up_with_their_range():
    plot = field_plot(*(slice_of(f"v{number}", number / 10, 5 + number) for number in range(6)))
    assert "All 6 groups are small, with fewer than 30 turns; they range from 0.000 to 0.500." in plot.text


def test_the_lowest_group_in_words_is_in_the_picture_though_it_is_not_among_the_largest():
    rows = [slice_of(f"v{number}", 0.9, 1000 - number) for number in range(12)] + [slice_of("rare", 0.1, 31)]
    plot = field_plot(*rows)
    assert "lowest: rare (0.100)" in plot.text
    assert "4 more groups are in the table." in plot.text
    assert "rare" in drawn_text(draw_svg(plot))


def test_words_about_lengths_and_turns_cover_every_point_of_the_picture():
    result = score_result()
    result["by_length"][0] |= {"turns": 8, "turn_accuracy": 0.125}
    result["by_turn"][-1] |= {"turns": 3, "turn_accuracy": 0.0}
    plots = {plot.name: plot for plot in plots_of(result_of(result))}
    assert "Small, with fewer than 30 turns, is 1-4 turns (0.125, 8 turns)." in plots["by_length"].text
    assert "turn 19 (0.000, 3 turns)" in plots["by_turn"].text
    assert "Hollow marks are small groups." in plots["by_turn"].text


def test_the_count_of_weak_actions_says_how_many_of_them_are_rare():
    result = score_result()
    for number, row in enumerate(result["by_action"]):
        row |= {"f1": 0.2 if number < 2 else 0.9, "support": 5 if number == 0 else 100}
    text = next(plot.text for plot in plots_of(result_of(result)) if plot.name == "by_action")
    assert "2 of 12 actions have an F1 below 0.5, 1 of them in fewer than 30 turns." in text


def test_calibration_names_the_widest_gap_and_the_small_bins():
    result = score_result()
    bins = result["calibration"]["bins"]
    bins[9] |= {"accuracy": 0.5}
    bins[8] |= {"accuracy": 0.0, "count": 4}
    text = next(plot.text for plot in plots_of(result_of(result)) if plot.name == "reliability")
    assert "The widest gap is between 0.9 and 1: 0.950 predicted, turn accuracy 0.500." in text
    assert "1 bin with fewer than 30 turns is hollow." in text


def test_the_best_epoch_is_named_beside_the_last():
    history = [row | {"dev_log_likelihood": -1.0 - row["epoch"]} for row in HISTORY]
    history.append({"epoch": 9, "loss": 0.1, "dev_turn_accuracy": 0.2, "dev_log_likelihood": -3.0})
    text = next(plot.text for plot in plots_of(result_of(score_result()), history=history) if plot.name == "history")
    assert (
        "After the last epoch, 9: loss 0.100, validation turn accuracy 0.200, validation log likelihood -3.000." in text
    )
    assert "The highest validation turn accuracy is 0.875, after epoch 8." in text
    assert "The highest validation log likelihood is -2.000, after epoch 1." in text


def test_all_best_policies_are_named_and_a_low_loss_is_best():
    result = make().comparison
    rows = [
        row | {"turn_accuracy": 0.5, "hamming_loss": loss}
        for row, loss in zip(result["policies"], (0.3, 0.1), strict=True)
    ]
    text = plots_of(result_of(result | {"policies": rows}))[0].text
    assert "The highest turn accuracy is 0.500, of good <1> and 坏的." in text
    metrics = result | {"policies": rows, "metrics": ["hamming_loss"], "pairs": result["pairs"][:1]}
    assert "The lowest Hamming loss is 0.100, of 坏的." in plots_of(result_of(metrics))[0].text


def test_files_carry_the_warnings(tmp_path):
    result = score_result()
    path = next(path for path in write_plots(result_of(result), tmp_path, ("svg",)) if path.stem == "policies")
    assert "Warning:Therunwastrainedon24ofthese100dialogues" in drawn_text(path.read_text(encoding="utf-8"))
    path = next(
        p for p in write_plots(result_of(result | {"warnings": []}), tmp_path, ("svg",)) if p.stem == "policies"
    )
    assert "Warning" not in path.read_text(encoding="utf-8")


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(OptionError, match=r"found 'pgn'\. Did you mean 'png'"):
        write_plots(result_of(score_result()), tmp_path, ("pgn",))
