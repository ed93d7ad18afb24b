"""A real browser for tests of pages: Chromium, driven by Playwright. Skipped where either is missing."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dialog_policy import load_corpus
from dialog_policy.corpus.write import write_corpus
from dialog_policy.serving.runs import Runs
from dialog_policy.serving.stores import MemoryStore

# Milliseconds that a page may take. A busy machine is no defect: Playwright's 30 seconds were too few at a load of 30 on two cores.
PATIENCE_MS = 300_000
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
# Nothing of the browser's own that would look for a network, which a test machine may not have.
_QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)


@dataclass
class Visit:
    """A page that is open, what it complained of, and what it asked for beyond its own address."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, without a window. DIALOG_POLICY_CHROMIUM names the program where it is not on the PATH."""
    library = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (extra `test`)")
    program = os.environ.get("DIALOG_POLICY_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip("no Chromium: install Debian's package `chromium`, or set DIALOG_POLICY_CHROMIUM to the program")
    with library.sync_playwright() as playwright:
        # Chromium's own sandbox does not work for root, which is what containers run as.
        chromium = playwright.chromium.launch(
            executable_path=program, args=list(_QUIET), chromium_sandbox=os.getuid() != 0, timeout=PATIENCE_MS
        )
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Visit]]:
    """Open an address; `dark`, `width`, `height` (CSS pixels) and Playwright's other options of a context may be given."""
    contexts = []

    def open_(address: str, *, dark: bool = False, width: int = 1280, height: int = 900, **options: Any) -> Visit:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", **options
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        opened = Visit(context.new_page())
        opened.page.on("pageerror", lambda error: opened.errors.append(str(error)))
        opened.page.on("console", lambda line: line.type in ("error", "warning") and opened.errors.append(line.text))
        opened.page.on(
            "request",
            lambda request: request.url.startswith(("data:", "blob:", address)) or opened.requests.append(request.url),
        )
        opened.page.goto(address)
        return opened

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def run(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder."""
    path = tmp_path_factory.mktemp("page") / "quick"
    trained.save(path)
    return path


@pytest.fixture(scope="module")
def site(run: Path, small: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A server with two runs and a corpus."""
    from dialog_policy.serving.app import create_app
    from dialog_policy.serving.training import CorpusSource, Retraining
    from tests.browser.chat import running

    folder = tmp_path_factory.mktemp("site")
    write_corpus(small, folder / "small.jsonl")
    corpus = load_corpus(folder / "small.jsonl")
    saved = folder / "saved.jsonl"
    retraining = Retraining(CorpusSource([str(folder / "small.jsonl")]), saved)
    app = create_app(Runs({"quick": run, "other": run}), MemoryStore(), corpus=corpus, retraining=retraining)
    with running(app) as address:
        yield SimpleNamespace(address=address, corpus=corpus, saved=saved)


@pytest.fixture(scope="module")
def bare(run: Path) -> Iterator[str]:
    """Address of a server without a corpus."""
    from dialog_policy.serving.app import create_app
    from tests.browser.chat import running

    with running(create_app(Runs({"quick": run}), MemoryStore())) as address:
        yield address


@pytest.fixture
def chat(visit: Callable[..., Visit], site: SimpleNamespace) -> Iterator[Any]:
    """The page, open; afterwards: it complained of nothing and asked for nothing from elsewhere."""
    from tests.browser.chat import Chat

    visited = visit(site.address)
    yield Chat(visited.page, site.address)
    assert visited.errors == []
    assert visited.requests == []
