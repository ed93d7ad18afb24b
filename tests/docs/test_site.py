"""The site is built from the pages without a warning, can be read by everybody, and fetches nothing from elsewhere."""

import os
import subprocess
import sys

import pytest

from tests.browser.conftest import browser, visit  # noqa: F401 - fixtures
from tests.conftest import REPOSITORY

LIGHT, PHONE = {"dark": False}, {"dark": True, "width": 390, "height": 844}
# A page of each kind. The longest, that of the command line, is made like that of the settings and takes axe a minute.
VIEWS = {
    "index.html": (LIGHT, PHONE),
    "reference/api.html": (LIGHT,),
    "reference/settings.html": (PHONE,),
    "reference/http.html": (LIGHT,),
    "tutorials/first-policy.html": (LIGHT, PHONE),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the site."""
    for module in ("furo", "myst_nb", "sphinx_click", "sphinx_copybutton"):
        pytest.importorskip(module, reason="the extra docs is not installed")
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [*command, "-d", str(folder / "trees"), str(REPOSITORY / "docs"), str(folder / "html")],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_the_reference_describes_what_the_code_has(built):
    def text(page):
        return (built / "reference" / page).read_text(encoding="utf-8")

    assert all(f'id="dialog_policy.{name}"' in text("api.html") for name in ("Corpus", "DialogPolicy", "evaluate"))
    assert "--max-turns" in text("cli.html")
    assert "learning_rate" in text("settings.html")
    assert "POST /sessions/{id}/turns" in text("http.html")


@pytest.mark.parametrize(
    ("name", "view"),
    [
        pytest.param(name, view, id=f"{name}-{'light' if view is LIGHT else 'phone'}")
        for name, views in VIEWS.items()
        for view in views
    ],
)
def test_a_page_is_accessible_fits_and_fetches_nothing(built, visit, name, view):  # noqa: F811
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed (extra `test`)"
    ).Axe()
    opened = visit(f"file://{built}/{name}", **view)
    wanted = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}
    result = axe.run(opened.page, options=wanted)
    assert [(p["id"], p["nodes"][0]["html"][:200]) for p in result.response["violations"]] == []
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert [address for address in opened.requests if not address.startswith(f"file://{built}")] == []


def test_search_works_without_a_server(built, visit):  # noqa: F811
    page = visit(f"file://{built}/search.html?q=early+stopping").page
    page.wait_for_selector("#search-results li a")
    assert page.locator("#search-results li").count() > 0
