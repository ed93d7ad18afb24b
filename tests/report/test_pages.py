import json
import re
import warnings
from html.parser import HTMLParser

import pytest

from dialog_policy.report import html_report, result_of
from tests.report.pages import make, pages
from tests.report.results import AWKWARD, score_result

NAMES = ("score", "many actions", "compare", "value", "corpus")


@pytest.fixture(scope="module")
def made():
    return make()


@pytest.fixture(scope="module")
def html():
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a missing glyph is no warning: the reader's browser has the fonts
        return pages()


class _Elements(HTMLParser):
    """Ids, addresses and tags of a page."""

    def __init__(self, page):
        super().__init__()
        self.ids, self.addresses, self.open = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            elif name in ("src", "href", "xlink:href", "srcset", "data"):
                self.addresses.append(value)


@pytest.mark.parametrize("name", NAMES)
def test_pages_load_nothing_and_ids_are_unique(html, name):
    elements = _Elements(html[name])
    assert len(elements.ids) == len(set(elements.ids))
    assert elements.addresses
    assert all(address.startswith("#") and address[1:] in elements.ids for address in elements.addresses)
    assert "@import" not in html[name]
    assert not re.search(r"url\((?!#)", html[name])


@pytest.mark.parametrize("name", NAMES)
def test_names_are_shown_as_they_are_and_never_as_markup(html, name):
    assert not re.search(r"\\u(?!00)[0-9a-f]{4}", html[name])
    assert "<b>&amp;" not in html[name]
    assert "<i>train" not in html[name]
    if name != "value":
        assert AWKWARD[0] in html[name]


def test_the_numbers_can_be_saved(html, made):
    for name, result in (("score", made.score), ("compare", made.comparison), ("value", made.value)):
        stored = re.search(r'<script type="application/json" id="numbers">(.*?)</script>', html[name], re.DOTALL)
        assert json.loads(stored[1]) == json.loads(json.dumps(result))


def test_sections_are_there_only_if_their_numbers_are(html):
    marks = ('id="mistakes"', 'id="slices"', 'id="plot-reliability"', 'id="baselines"', 'id="training"')
    assert all(mark in html["many actions"] for mark in marks)
    result = score_result()
    for key in ("mistakes", "calibration"):
        del result[key]
    result["slices"] = []
    page = html_report(result_of(result | {"baselines": {}}))
    assert not any(mark in page for mark in marks)


def test_a_result_of_bare_figures_has_a_page():
    """Without probabilities, intervals, slices, baselines and mistakes, as with --resamples 0."""
    result = score_result()
    for key in ("mistakes", "calibration", "log_loss", "brier", "top_k", "response_accuracy", "mode"):
        del result[key]
    result |= {"ci95": {}, "baselines": {}, "slices": []}
    for row in (*result["by_length"], *result["by_turn"], *result["by_action"]):
        row.pop("ci95")
        row.pop("precision_recall", None)
        row.pop("average_precision", None)
    page = html_report(result_of(result))
    assert page.count("<svg") == 3
    assert "78.0" in page


def test_the_warning_comes_first_and_the_run_is_named(html):
    page = html["many actions"]
    main = page[page.index("<main>") :]
    assert main.index("The run was trained on 24 of these 100 dialogues") < main.index("<h1>")
    assert "Run small_run (id a1b2c3), trained on 2026-11-24 with dialog-policy 0.2.0." in main
    assert 'class="warning"' not in html["score"]
    assert 'class="warning"' in html["value"]


def test_names_may_be_broken_after_underscores_where_they_are_shown(html):
    body = re.sub(r"<(script|style|svg).*?</\1>", "", html["many actions"], flags=re.DOTALL)
    cells = re.findall(r"(?:<code>|<td[^>]*>)([^<]*_[^<]*)<", body)
    assert cells
    assert all(cell.endswith("_") for cell in cells)


def test_every_action_is_in_the_table(html):
    rows = re.findall(r'<tr><td class="name">action_<wbr>\d+</td><td>\d+</td><td>\d+</td>', html["many actions"])
    assert len(rows) == 251 - len(AWKWARD)


def test_the_comparison_names_the_better_policy(html, made):
    row = next(row for row in made.comparison["pairs"] if row["metric"] == "turn_accuracy")
    assert row["p_holm"] < 0.05 < row["difference"]
    assert "good &lt;1&gt; is better than 坏的" in html["compare"]


def test_the_value_page_says_what_can_be_concluded(html, made):
    assert made.value["conclusion"].split(":")[0] in html["value"].replace("&#39;", "'")
