"""The chat page as a person uses it, and a server for it."""

import contextlib
import re
import socket
import threading

import pytest

from tests.browser.conftest import PATIENCE_MS

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (extra `test`)")
uvicorn = pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")
pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

expect = playwright.expect
expect.set_options(timeout=PATIENCE_MS)
HELLO = "hello, a table for two"
TOOLS = ("New conversation", "Replay a dialogue", "Download", "Save as training data", "Retrain", "Delete")
RESULT = {"results": [{"name": "The Oak", "price": "30 euros"}]}


@contextlib.contextmanager
def running(app):
    """Serve an application from a thread; yields its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()


class Chat:
    """The page as a person uses it."""

    def __init__(self, page, address):
        self.page, self.address = page, address
        expect(page.locator("#run option").first).to_be_attached()

    @property
    def url(self):
        """The address as the page has it; Playwright hears of a new one a little later."""
        return self.page.evaluate("location.href")

    def idle(self, turns=None):
        if turns is not None:
            expect(self.page.locator(".turn")).to_have_count(turns)
        expect(self.page.locator("main")).to_have_attribute("aria-busy", "false")
        return self

    def say(self, text):
        before = self.page.locator(".turn").count()
        self.page.get_by_label("What the user says").fill(text)
        self.page.keyboard.press("Enter")
        return self.idle(before + 1)

    def press(self, name):
        """Press a button; on a narrow page those of the conversation are in the menu."""
        menu = self.page.locator("#menu")
        if menu.is_visible() and name in TOOLS and menu.get_attribute("aria-expanded") == "false":
            menu.click()
        self.page.get_by_role("button", name=name, exact=True).first.click()
        return self

    def give_context(self, text):
        if not self.page.locator("#context[open]").count():
            self.page.locator("#context summary").click()
        self.page.get_by_label("Context as a JSON object").fill(text)

    def session(self):
        """What the server has of the conversation."""
        session = re.search(r"session=([^&]+)", self.url)[1]
        return self.page.request.get(f"{self.address}sessions/{session}").json()

    def replay(self, dialogue):
        self.press("Replay a dialogue")
        self.page.get_by_label("Search ids").fill(dialogue)
        expect(self.page.locator(".pick")).to_have_count(1)
        self.page.locator(".pick").click()
        expect(self.page.locator("#replay-name")).to_have_text(dialogue)
        return self


def marked(turn):
    """The actions that a turn's table marks as the policy's."""
    rows = turn.locator("tbody tr")
    return sorted(
        row.locator("th").inner_text() for row in rows.all() if "yes" in row.locator(".mark").first.inner_text()
    )
