"""The chat page when answers are lost, refused or not for everybody."""

import json

from dialog_policy.serving.runs import Runs
from dialog_policy.serving.settings import Settings
from dialog_policy.serving.stores import MemoryStore
from tests.browser.chat import HELLO, Chat, expect, running


def test_a_lost_answer_is_asked_for_again_and_counts_once(visit, site):
    seen = visit(site.address)
    chat, keys = Chat(seen.page, site.address), []
    chat.say(HELLO)

    def lose(route):
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            route.fetch()  # the server takes the turn; its answer is lost
        if len(keys) < 3:
            route.abort()
        else:
            route.continue_()

    seen.page.route("**/turns", lose)
    seen.page.locator("#message").fill("italian")
    seen.page.keyboard.press("Enter")
    expect(seen.page.locator("#pending")).to_contain_text("The server cannot be reached.")
    expect(seen.page.locator("#pending .user")).to_contain_text("italian")
    expect(seen.page.get_by_role("button", name="Try again")).to_be_focused()
    chat.press("Try again").idle()
    expect(seen.page.locator("#pending [role=alert]")).to_be_visible()
    chat.press("Try again").idle(2)
    expect(seen.page.locator("#pending")).to_be_empty()
    assert len(set(keys)) == 1
    assert [turn["user"] for turn in chat.session()["turns"]] == [HELLO, "italian"]
    assert all("Failed to load resource" in error for error in seen.errors)


def test_a_turn_without_an_answer_can_be_changed(visit, site):
    seen = visit(site.address)
    chat = Chat(seen.page, site.address)
    chat.say(HELLO)

    def lose(route):
        route.fetch()
        route.abort()

    seen.page.route("**/turns", lose)
    seen.page.locator("#message").fill("italian")
    seen.page.keyboard.press("Enter")
    chat.press("Change it").idle(2)
    expect(seen.page.locator("#message")).to_have_value("italian")
    expect(seen.page.locator("#notices")).to_contain_text("The server had taken the turn after all")


def test_what_the_server_refuses_is_told_in_its_words(visit, site):
    seen = visit(site.address)
    chat = Chat(seen.page, site.address)
    seen.page.locator("#message").fill("a" * 2001)
    seen.page.keyboard.press("Enter")
    expect(seen.page.locator("#pending")).to_contain_text("expected at most 2,000 characters")
    expect(seen.page.get_by_role("button", name="Try again")).to_have_count(0)
    chat.press("Change it").idle(0).say(HELLO)


def test_a_conversation_that_is_gone_can_still_be_downloaded(visit, site):
    seen = visit(site.address)
    chat = Chat(seen.page, site.address)
    chat.say(HELLO)
    session = chat.session()["id"]
    seen.page.request.delete(f"{site.address}sessions/{session}")
    seen.page.locator("#message").fill("italian")
    seen.page.keyboard.press("Enter")
    expect(seen.page.locator("#alerts")).to_contain_text("no longer has this conversation")
    with seen.page.expect_download() as download:
        chat.press("Download")
    dialogue = json.loads(download.value.path().read_text("utf-8"))
    assert (dialogue["id"], dialogue["turns"][0]["user"]) == (session, HELLO)
    seen.page.reload()
    expect(seen.page.locator("#alerts")).to_contain_text("no longer on the server")
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
