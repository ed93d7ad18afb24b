"""Reports of characters: the terminal's and Markdown."""

import io
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dialog_policy.report.markdown import markdown_report
from dialog_policy.report.text_report import table, terminal, text_report
from dialog_policy.report.width import width, wrap
from tests.report.pages import make
from tests.report.results import score_result

NAMES = st.text(st.sampled_from("ab_ 推é̀о"), min_size=1, max_size=90)


@given(NAMES, st.integers(4, 60))
@example("_a推推", 4)
def test_wrapping_loses_nothing_but_spaces(text, columns):
    lines = wrap(text, columns)
    assert all(width(line) <= columns for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_width_of_east_asian_text_marks_and_joiners():
    assert [width(text) for text in ("abc", "推荐", "é", "a\u200db", "")] == [3, 4, 1, 2, 0]


@given(st.lists(st.tuples(NAMES, st.integers(0, 10**6).map(str)), min_size=1, max_size=5), st.integers(40, 100))
def test_columns_are_aligned_and_fit(rows, columns):
    lines = table(["name", "turns"], rows, columns=columns)
    assert all(width(line) <= columns for line in lines)
    figures = [line for line in lines if re.search(r"  \d+$", line)]
    assert [line.split()[-1] for line in figures] == [figure for _, figure in rows]
    assert {width(line) for line in figures} == {width(lines[0])}


def test_the_terminal_shows_figures_intervals_slices_and_mistakes():
    text = text_report(score_result(), columns=80)
    assert max(map(width, text.splitlines())) <= 80
    for part in (
        "0.780",
        "at 95 %, from",
        "0.900–0.990",
        "most frequent",
        "Weakest slices",
        "log loss 0.610",
        "0.930",
    ):
        assert part in text
    assert "\033" not in text
    assert "\033[1m" in text_report(score_result(), colour=True)


def test_names_do_not_command_the_terminal():
    assert table(["name"], [["a\033[2Jb\r\nc"]])[2:] == ["a�[2Jb��c"]


@pytest.mark.parametrize(
    ("no_colour", "is_terminal", "expected"), [("", True, True), ("1", True, False), ("", False, False)]
)
def test_colours_only_on_a_terminal_that_wants_them(monkeypatch, no_colour, is_terminal, expected):
    stream = io.StringIO()
    stream.isatty = lambda: is_terminal
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", no_colour)
    monkeypatch.setenv("COLUMNS", "72")
    assert terminal() == {"columns": 72, "colour": expected}


def cells(markdown):
    """Return the number of columns of each line of a table."""
    return {len(re.findall(r"(?<!\\)\|", line)) for line in markdown.splitlines() if line.startswith("|")}


def test_markdown_of_a_score():
    text = markdown_report(score_result())
    assert "| **this policy** | 0.780 (0.750 – 0.810) |" in text
    assert "| most frequent action set | 0.100" in text
    assert r"| 推荐餐厅 | ask\_\$name\_for\_the\_\$price | 10 of 60 |" in text
    assert cells(text) == {7, 4}


def test_markdown_escapes_what_would_break_a_table():
    result = score_result()
    result["mistakes"]["confusions"][0] |= {"gold": ["a|b\nc"], "predicted": ["*d*"]}
    assert r"| a\|b c | \*d\* | 10 of 60 |" in markdown_report(result)


def test_markdown_of_a_comparison_and_of_a_value():
    made = make()
    compared = markdown_report(made.comparison)
    assert compared.count("\n| good \\<1\\> − 坏的 |") == len(made.comparison["metrics"])
    valued = markdown_report(made.value)
    assert made.value["conclusion"].split(":")[0] in valued
    assert "| the logging policy |" in valued
