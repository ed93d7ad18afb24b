"""The chat page in a real browser, against a real server."""

import json
import re

import pytest

from tests.browser.chat import HELLO, RESULT, Chat, expect, marked


def test_a_turn_shows_actions_probabilities_and_reply(chat):
    chat.say(HELLO)
    said = chat.session()["turns"][0]
    turn = chat.page.get_by_role("listitem", name="Turn 1")
    expect(turn.locator(".bubble.user")).to_contain_text(HELLO)
    if said["reply"]:
        expect(turn.locator(".bubble.bot")).to_contain_text(said["reply"])
    assert marked(turn) == (said["actions"] or ["no action"])
    likely = max(said["probabilities"], key=said["probabilities"].get)
    share = min(round(100 * said["probabilities"][likely]), 99)  # more is written as >99 %
    expect(turn.get_by_role("row", name=re.compile(f"^{likely} "))).to_contain_text(f"{share} %")
    expect(turn).to_contain_text(re.compile(r"Confidence [<>]?\d+ %"))
    # What a keyboard and a screen reader need.
    expect(chat.page.locator("#message")).to_be_focused()
    expect(chat.page.locator("#announcements")).to_contain_text("Actions: ")
    turn.locator(".rest summary").click()
    expect(turn.locator(".others li").first).to_be_visible()  # the browser tells of the opened fold a little later
    everything = turn.inner_text()
    assert all(name in everything for name in said["probabilities"])


def test_enter_while_an_input_method_composes_sends_nothing(chat):
    chat.page.locator("#message").fill("レストラン")
    composing = {"key": "Enter", "isComposing": True, "bubbles": True, "cancelable": True}
    chat.page.locator("#message").dispatch_event("keydown", composing)
    chat.page.keyboard.press("Shift+Enter")
    chat.page.keyboard.type("二人")
    chat.idle(0)
    chat.page.keyboard.press("Enter")
    chat.idle(1)
    assert chat.session()["turns"][0]["user"] == "レストラン\n二人"


def test_a_context_must_be_an_object_and_goes_with_the_next_turn_only(chat):
    for wrong, message in (('{"results": [}', "not valid JSON"), ("[1]", "Expected a JSON object")):
        chat.give_context(wrong)
        chat.page.locator("#silent").click()
        expect(chat.page.locator("#context-error")).to_contain_text(message)
        expect(chat.page.locator("#context-json")).to_be_focused()
        expect(chat.page.locator("#context-json")).to_have_attribute("aria-invalid", "true")
    chat.idle(0)
    chat.give_context(json.dumps(RESULT))
    chat.press("Say nothing").idle(1)
    chat.say(HELLO)
    first, second = chat.session()["turns"]
    assert (first["user"], first["context"], second["context"]) == (None, RESULT, {})
    expect(chat.page.locator(".turn").first).to_contain_text("Nobody spoke.")
    chat.page.locator(".turn .context summary").click()
    expect(chat.page.locator(".turn pre")).to_contain_text("The Oak")
    chat.press("Use this context again")
    assert json.loads(chat.page.locator("#context-json").input_value()) == RESULT


def test_a_context_of_keys_and_values(chat):
    page = chat.page
    chat.give_context('{"day": "monday", "people": 2, "number": "2088"}')
    page.get_by_label("Keys and values").check()
    expect(page.get_by_label("Value", exact=True)).to_have_count(3)
    chat.press("Add a row")
    page.keyboard.type("day")
    expect(page.locator("#context-error")).to_contain_text("there twice")
    # Not to be lost by another way of writing.
    page.get_by_label("JSON", exact=True).click()
    expect(page.get_by_label("Keys and values")).to_be_checked()
    page.get_by_label("Key", exact=True).last.fill("__proto__")
    page.get_by_label("Value", exact=True).last.fill('["a", 1]')
    chat.press("Say nothing").idle(1)
    expected = {"day": "monday", "people": 2, "number": "2088", "__proto__": ["a", 1]}
    assert chat.session()["turns"][0]["context"] == expected


def test_correct_with_the_keyboard_alone(chat):
    page = chat.page
    chat.say(HELLO).say("in the north")
    page.get_by_role("button", name="Correct turn 1").focus()
    page.keyboard.press("Enter")
    form = page.get_by_role("form", name="Correct turn 1")
    search = form.get_by_label("Search the actions")
    expect(search).to_be_focused()
    while form.locator(".chip").count():
        form.locator(".chip").first.press("Enter")
        expect(search).to_be_focused()
    expect(form.locator(".chosen")).to_contain_text("No action")
    for words in ("bye", "ask mo"):
        search.fill(words)
        page.keyboard.press("Enter")
    expect(form.locator(".chip")).to_have_text(["bye ×", "ask_more ×"])
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("button", name="Correct turn 1")).to_be_focused()
    expect(page.locator(".turn").first).to_contain_text("Corrected by hand.")
    turns = chat.session()["turns"]
    assert (turns[0]["actions"], turns[0]["corrected"], turns[1]["corrected"]) == (["ask_more", "bye"], True, False)
    rows = page.locator(".turn").first.locator("tr", has_text="bye")
    assert rows.locator(".mark").all_inner_texts()[-1].strip().endswith("yes")


def test_correct_to_no_action_and_a_text_of_ones_own(chat):
    page = chat.page
    chat.say(HELLO)
    chat.press("Correct turn 1")
    form = page.get_by_role("form")
    for box in form.get_by_role("checkbox", checked=True).all():
        box.uncheck()
    form.get_by_label("What the bot should have said").fill("Einen Moment, bitte.")
    expect(form.get_by_label("This text:")).to_be_checked()
    chat.press("Save the correction").idle(1)
    said = chat.session()["turns"][0]
    assert (said["actions"], said["reply"]) == ([], "Einen Moment, bitte.")
    expect(page.locator(".turn .bot")).to_contain_text("Einen Moment, bitte.")
    expect(page.get_by_role("form", name="Correct")).to_have_count(0)
    chat.press("Correct turn 1")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Correct turn 1")).to_be_focused()


def test_undo_gives_the_turn_back_to_say_it_otherwise(chat):
    chat.say(HELLO)
    chat.give_context(json.dumps(RESULT))
    chat.say("italian")
    chat.press("Undo turn 2").idle(1)
    expect(chat.page.locator("#message")).to_have_value("italian")
    assert json.loads(chat.page.locator("#context-json").input_value()) == RESULT
    chat.page.keyboard.press("Enter")
    chat.idle(2).say("thanks")
    chat.page.get_by_role("button", name="Undo from here: turn 1").click()
    chat.press("Cancel").idle(3)
    chat.page.get_by_role("button", name="Undo from here: turn 1").click()
    chat.press("Take them back").idle(0)
    assert chat.session()["turns"] == []


def test_conversations_are_found_again_by_address_and_back(chat):
    page = chat.page
    chat.say(HELLO)
    first = chat.url
    page.reload()
    chat.idle(1)
    chat.press("New conversation").idle(0).say("good bye")
    assert chat.url != first
    page.go_back()
    expect(page.locator(".bubble.user")).to_contain_text(HELLO)
    chat.press("Delete")
    chat.press("Delete it").idle(0)
    expect(page.locator("#notices")).to_contain_text("deleted")
    session = re.search("session=(.*)", first)[1]
    assert page.request.get(f"{chat.address}sessions/{session}").status == 404


def test_runs_can_be_chosen(chat):
    chat.say(HELLO)
    chat.page.get_by_label("Policy", exact=True).select_option("other")
    chat.idle(0).say(HELLO)
    assert chat.session()["run"] == "other"
    chat.page.reload()
    expect(chat.page.get_by_label("Policy", exact=True)).to_have_value("other")
    chat.page.get_by_text("About this policy").click()
    expect(chat.page.locator("#facts")).to_contain_text("desk.jsonl, 24 dialogues")


def test_text_is_text_in_every_script(chat):
    page = chat.page
    evil = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
    chat.give_context(json.dumps({evil: [evil]}))
    chat.say(evil).say("אני רוצה שולחן").say("我想订一张两人的桌子")
    chat.press("Correct turn 3")
    page.get_by_label("What the bot should have said").fill(evil)
    chat.press("Save the correction").idle(3)
    assert page.title() == "Chat with a policy"
    assert page.locator("main img, main script").count() == 0
    said = page.locator(".bubble.user p")
    expect(said.first).to_have_text(evil)
    assert [one.evaluate("p => getComputedStyle(p).direction") for one in said.all()] == ["ltr", "rtl", "ltr"]


@pytest.mark.parametrize("view", [{"dark": False}, {"dark": True}, {"width": 390, "height": 844}])
def test_the_page_is_accessible_in_every_state(visit, site, view):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed (extra `test`)"
    ).Axe()
    page = visit(site.address, **view).page
    chat = Chat(page, site.address)

    def check(state):
        found = axe.run(
            page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
        )
        problems = [(p["id"], [node["html"][:200] for node in p["nodes"]]) for p in found.response["violations"]]
        assert problems == [], state
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), state

    check("at first")
    page.locator("#context summary").click()
    check("context")
    page.get_by_label("Keys and values").check()
    page.get_by_label("Value", exact=True).fill("no key")
    check("rows, one wrong")
    page.get_by_label("Value", exact=True).fill("")
    chat.say("a-very-long-word-" * 12)
    page.locator(".rest summary").click()
    page.get_by_text("About this policy").click()
    check("a turn")
    chat.press("Correct turn 1")
    check("correcting")
    page.keyboard.press("Escape")
    chat.press("Replay a dialogue")
    expect(page.locator(".pick").first).to_be_visible()
    check("choosing a dialogue")
    page.locator(".pick").first.click()
    chat.press("Next turn").idle(1)
    check("replaying")
    page.route("**/turns", lambda route: route.abort())
    chat.press("Next turn")
    expect(page.locator("#pending [role=alert]")).to_be_visible()
    check("a lost server")


def test_everything_is_reached_with_tab_and_is_seen_to_have_the_focus(chat):
    page = chat.page
    chat.say(HELLO)
    page.reload()
    chat.idle(1)
    reached = {}
    for _ in range(40):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if not focused.count():
            break  # after the last control the browser's own come
        name = focused.evaluate("e => e.getAttribute('aria-label') ?? e.textContent.trim()")
        reached[name] = focused.evaluate("e => getComputedStyle(e).outlineStyle")
    assert "none" not in reached.values(), reached
    for wanted in (
        "Skip to the message box",
        "New conversation",
        "Save as training data",
        "Correct turn 1",
        "Undo turn 1",
        "Send",
    ):
        assert wanted in reached
