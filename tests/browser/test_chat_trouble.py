"""The chat page when answers are lost, refused or not for everybody."""

import json

from dialog_policy.serving.runs import Runs
from dialog_policy.serving.settings import Settings
from dialog_policy.serving.stores import MemoryStore
from tests.browser.chat import HELLO, Chat, expect, running


def test_a_lost_answer_is_asked_for_again_and_counts_once(visit, site):
    visited = visit(site.address)
    chat, keys = Chat(visited.page, site.address), []
    chat.say(HELLO)

    def lose(route):
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            route.fetch()  # the server takes the turn; its answer is lost
        if len(keys) < 3:
            route.abort()
        else:
            route.continue_()

    visited.page.route("**/turns", lose)
    visited.page.locator("#message").fill("italian")
    visited.page.keyboard.press("Enter")
    expect(visited.page.locator("#pending")).to_contain_text("The server cannot be reached.")
    expect(visited.page.locator("#pending .user")).to_contain_text("italian")
    expect(visited.page.get_by_role("button", name="Try again")).to_be_focused()
    chat.press("Try again").idle()
    expect(visited.page.locator("#pending [role=alert]")).to_be_visible()
    chat.press("Try again").idle(2)
    expect(visited.page.locator("#pending")).to_be_empty()
    assert len(set(keys)) == 1
    assert [turn["user"] for turn in chat.session()["turns"]] == [HELLO, "italian"]
    assert all("Failed to load resource" in error for error in visited.errors)


def test_a_turn_without_an_answer_can_be_changed(visit, site):
    visited = visit(site.address)
    chat = Chat(visited.page, site.address)
    chat.say(HELLO)

    def lose(route):
        route.fetch()
        route.abort()

    visited.page.route("**/turns", lose)
    visited.page.locator("#message").fill("italian")
    visited.page.keyboard.press("Enter")
    chat.press("Change it").idle(2)
    expect(visited.page.locator("#message")).to_have_value("italian")
    expect(visited.page.locator("#notices")).to_contain_text("The server had taken the turn after all")


def test_what_the_server_refuses_is_told_in_its_words(visit, site):
    visited = visit(site.address)
    chat = Chat(visited.page, site.address)
    visited.page.locator("#message").fill("a" * 2001)
    visited.page.keyboard.press("Enter")
    expect(visited.page.locator("#pending")).to_contain_text("expected at most 2,000 characters")
    expect(visited.page.get_by_role("button", name="Try again")).to_have_count(0)
    chat.press("Change it").idle(0).say(HELLO)


def test_a_conversation_that_is_gone_can_still_be_downloaded(visit, site):
    visited = visit(site.address)
    chat = Chat(visited.page, site.address)
    chat.say(HELLO)
    session = chat.session()["id"]
    visited.page.request.delete(f"{site.address}sessions/{session}")
    visited.page.locator("#message").fill("italian")
    visited.page.keyboard.press("Enter")
    expect(visited.page.locator("#alerts")).to_contain_text("no longer has this conversation")
    with visited.page.expect_download() as download:
        chat.press("Download")
    dialogue = json.loads(download.value.path().read_text("utf-8"))
    assert (dialogue["id"], dialogue["turns"][0]["user"]) == (session, HELLO)
    visited.page.reload()
    expect(visited.page.locator("#alerts")).to_contain_text("no longer on the server")
    chat.say(HELLO)


def test_the_token_is_asked_for(visit, run):
    from dialog_policy.serving.app import create_app

    with running(create_app(Runs({"quick": run}), MemoryStore(), Settings(token="right"))) as address:
        page = visit(address).page
        dialog = page.get_by_role("dialog", name="This server wants a token")
        for token, is_wrong in (("wrong", True), ("right", False)):
            page.get_by_label("Token", exact=True).fill(token)
            page.keyboard.press("Enter")
            expect(dialog.get_by_text("did not take that token")).to_be_visible(visible=is_wrong)
        expect(dialog).to_be_hidden()
        Chat(page, address).say(HELLO)
        page.reload()
        expect(page.locator(".turn")).to_have_count(1)
        expect(dialog).to_be_hidden()
        assert page.evaluate("Object.values(sessionStorage)") == ["right"]
        assert page.evaluate("localStorage.length + document.cookie.length") == 0
