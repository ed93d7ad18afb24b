"""The pages in a real browser."""

import csv
import json

import pytest

from tests.report.pages import pages

NAMES = ("score", "many actions", "compare", "value", "corpus")


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    uris = {}
    for number, (name, page) in enumerate(pages().items()):
        path = folder / f"{number}.html"
        path.write_text(page, encoding="utf-8")
        uris[name] = path.as_uri()
    return uris


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("screen", [{}, {"width": 390, "height": 844, "dark": True}], ids=["desktop", "dark phone"])
def test_a_page_opens_without_complaint_and_fits(visit, addresses, name, screen):
    seen = visit(addresses[name], **screen)
    assert seen.errors == []
    assert seen.requests == []
    page = seen.page
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= screen.get("width", 1280)
    plots = page.locator("figure svg")
    assert plots.count() >= 2
    for plot in plots.all():
        box = plot.bounding_box()
        assert box["width"] > 200
        assert box["height"] > 50
        assert plot.get_attribute("role") == "img"
        assert len(plot.get_attribute("aria-label")) > 10
    # Text inside a plot stays in its picture, with the browser's own fonts.
    outside = page.evaluate("""() => [...document.querySelectorAll("figure svg")].flatMap(svg => {
        const whole = svg.getBoundingClientRect();
        return [...svg.querySelectorAll("text")].filter(text => {
            const own = text.getBoundingClientRect();
            return own.left < whole.left - 2 || own.right > whole.right + 2;
        }).map(text => text.textContent);
    })""")
    assert outside == []
    # Every plot has its numbers: a table of its own, or one of the section.
    assert page.evaluate("""[...document.querySelectorAll("figure")].every(f =>
        f.querySelector("table") || f.closest(".plots").nextElementSibling?.querySelector("table, input") ||
        f.closest("main").querySelector("table"))""")


def column(page, number, rows=None):
    """Texts of a column of the table of actions."""
    cells = page.locator('[aria-label="Actions"] tbody tr').locator(f"td:nth-child({number})").all_inner_texts()
    return cells[:rows]


def test_tables_are_sorted_by_click_and_by_key(visit, addresses):
    page = visit(addresses["many actions"]).page
    before = column(page, 6)
    heading = page.locator('[aria-label="Actions"] th').nth(5)
    heading.get_by_role("button").click()
    values = [float(text) for text in column(page, 6)]
    assert values == sorted(values, reverse=True)
    assert sorted(map(str, before)) == sorted(column(page, 6))
    assert heading.get_attribute("aria-sort") == "descending"
    heading.get_by_role("button").press("Enter")
    values = [float(text) for text in column(page, 6)]
    assert values == sorted(values)
    assert heading.get_attribute("aria-sort") == "ascending"
    name = page.locator('[aria-label="Actions"] th').first
    name.get_by_role("button").press("Space")
    assert name.get_attribute("aria-sort") == "ascending"
    assert heading.get_attribute("aria-sort") is None
    names = column(page, 1)
    assert names == page.evaluate("names => [...names].sort((a, b) => a.localeCompare(b))", names)


def test_one_action_among_hundreds_can_be_found(visit, addresses):
    page = visit(addresses["many actions"]).page
    page.get_by_label("Find in the table: Actions").fill("ACTION_17")
    shown = page.locator('[aria-label="Actions"] tbody tr:visible td:first-child').all_inner_texts()
    assert len(shown) == 11
    assert all(name.startswith("action_17") for name in shown)


def test_numbers_can_be_saved_as_json_and_csv(visit, addresses, tmp_path):
    page = visit(addresses["many actions"], accept_downloads=True).page
    with page.expect_download() as waiting:
        page.get_by_text("Save all numbers as JSON").click()
    waiting.value.save_as(tmp_path / "all.json")
    assert json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))["turns"] == 900
    with page.expect_download() as waiting:
        page.locator('[aria-label="Actions"] + button').click()
    assert waiting.value.suggested_filename == "actions.csv"
    waiting.value.save_as(tmp_path / "a.csv")
    with open(tmp_path / "a.csv", encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0][:6] == ["action", "turns", "predicted", "precision", "recall", "F1"]
    assert len(lines) == 252


def test_a_dialogue_unfolds_turn_by_turn(visit, addresses):
    page = visit(addresses["score"], width=390).page
    first = page.locator("details.dialogue").first
    assert not first.locator("li").first.is_visible()
    first.locator("summary").press("Enter")
    assert first.locator("li").first.is_visible()
    assert first.locator("li.wrong").count() >= 1
    assert first.get_by_text("✗ predicted").count() >= 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def colours(page):
    """The page's background, and colours that its plots are painted in."""
    return page.evaluate("""() => [getComputedStyle(document.body).backgroundColor,
        ...[...document.querySelectorAll("figure svg")].map(svg => getComputedStyle(svg.querySelector("text")).fill)]""")


def test_dark_and_light_differ_in_page_and_plots(visit, addresses):
    light, dark = (colours(visit(addresses["score"], dark=dark).page) for dark in (False, True))
    assert len(light) == len(dark) > 5
    assert all(one != other for one, other in zip(light, dark, strict=True))


def test_paper_is_light_unfolded_and_narrow_enough(visit, addresses):
    page = visit(addresses["score"], dark=True, width=700).page
    page.emulate_media(media="print", color_scheme="dark")
    assert colours(page)[0] == "rgb(255, 255, 255)"
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details.dialogue li").first.is_visible()
    assert not page.locator("nav").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 700
    assert len(page.pdf(format="A4")) > 20_000
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details.dialogue[open]").count() == 0


def test_a_page_is_readable_without_its_script(browser, addresses):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(addresses["score"])
    assert page.locator("figure svg").first.is_visible()
    assert page.locator("table").first.is_visible()
    context.close()
