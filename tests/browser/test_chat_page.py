"""The chat page in a real browser, against a real server."""

import json
import re

import pytest

from tests.browser.chat import HELLO, RESULT, TOOLS, Chat, expect, marked


def test_a_turn_shows_actions_probabilities_and_reply(chat):
    chat.say(HELLO)
    stored = chat.session()["turns"][0]
    turn = chat.page.get_by_role("listitem", name="Turn 1")
    expect(turn.locator(".bubble.user")).to_contain_text(HELLO)
    if stored["reply"]:
        expect(turn.locator(".bubble.bot")).to_contain_text(stored["reply"])
    assert marked(turn) == (stored["actions"] or ["no action"])
    likely = max(stored["probabilities"], key=stored["probabilities"].get)
    share = min(round(100 * stored["probabilities"][likely]), 99)  # more is written as >99 %
    expect(turn.get_by_role("row", name=re.compile(f"^{likely} "))).to_contain_text(f"{share} %")
    expect(turn).to_contain_text(re.compile(r"Confidence [<>]?\d+ %"))
    # What a keyboard and a screen reader need.
    expect(chat.page.locator("#message")).to_be_focused()
    expect(chat.page.locator("#announcements")).to_contain_text("Actions: ")
    turn.locator(".rest summary").click()
    expect(turn.locator(".others li").first).to_be_visible()  # the browser tells of the opened fold a little later
    everything = turn.inner_text()
    assert all(name in everything for name in stored["probabilities"])


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
    stored = chat.session()["turns"][0]
    assert (stored["actions"], stored["reply"]) == ([], "Einen Moment, bitte.")
    expect(page.locator(".turn .bot")).to_contain_text("Einen Moment, bitte.")
    expect(page.get_by_role("form", name="Correct")).to_have_count(0)
    chat.press("Correct turn 1")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Correct turn 1")).to_be_focused()


def test_the_reply_of_a_correction_is_shown_before_it_is_sent(chat):
    page = chat.page
    chat.say(HELLO)
    before = chat.session()
    chat.press("Correct turn 1")
    form = page.get_by_role("form")
    preview = form.get_by_role("status").last
    expect(preview).to_have_text(before["turns"][0]["reply"] or re.compile("."))
    form.get_by_label("Search the actions").fill("bye")
    form.get_by_role("checkbox", name=re.compile("^bye")).check()
    session = f"{chat.address}sessions/{before['id']}"
    chosen = {"actions": [*before["turns"][0]["actions"], "bye"]}
    reply = page.request.post(f"{session}/turns/0/reply", data=chosen).json()["reply"]
    expect(preview).to_have_text(reply or re.compile("^No text"))
    assert chat.session() == before
    for box in form.get_by_role("checkbox", checked=True).all():
        box.uncheck()
    form.get_by_label("Search the actions").fill("")
    for box in form.get_by_role("checkbox", checked=True).all():
        box.uncheck()
    expect(preview).to_have_text("The bot says nothing.")
    form.get_by_label("Search the actions").fill("bye")
    form.get_by_role("checkbox", name=re.compile("^bye")).check()
    expect(preview).not_to_have_text("The bot says nothing.")
    shown = preview.inner_text()
    chat.press("Save the correction").idle(1)
    assert chat.session()["turns"][0]["reply"] == shown
    expect(page.locator(".turn .bot")).to_contain_text(shown)


def test_after_a_reload_and_back_the_newest_turn_is_in_sight(chat):
    page = chat.page
    for number in range(8):
        chat.say(f"hello {number}")
    page.reload()
    chat.idle(8)
    newest = page.locator(".turn").last
    expect(newest).to_be_in_viewport(ratio=1)
    expect(page.locator(".turn").first).not_to_be_in_viewport()
    # Not behind what sticks to the bottom edge.
    assert newest.bounding_box()["y"] + newest.bounding_box()["height"] <= page.locator("#below").bounding_box()["y"]
    chat.press("New conversation").idle(0)
    page.go_back()
    chat.idle(8)
    expect(newest).to_be_in_viewport(ratio=1)


def test_the_empty_page_teaches_three_things(chat, site):
    page = chat.page
    expect(page.locator("#empty li:visible")).to_have_count(3)
    first = next(iter(site.corpus)).turns[0].user
    chat.press(f"Say “{first}”").idle(1)
    assert chat.session()["turns"][0]["user"] == first
    expect(page.locator("#empty")).to_be_hidden()
    chat.press("New conversation").idle(0)
    page.locator("#try-replay").click()
    expect(page.get_by_role("dialog", name="Replay a dialogue")).to_be_visible()


def test_what_is_predicted_is_not_marked_as_correct(chat, site):
    chat.say(HELLO)
    turn = chat.page.locator(".turn")
    assert "✓" not in turn.inner_text()
    expect(turn.get_by_role("columnheader", name="Predicted")).to_be_visible()
    assert marked(turn)


def test_the_run_its_date_and_version_are_shown(chat):
    model = chat.page.request.get(f"{chat.address}model").json()
    expect(chat.page.locator("#run-facts")).to_contain_text(f"dialog-policy {model['package_version']}")
    expect(chat.page.locator("#run-facts")).to_contain_text(model["created"][:4])
    chat.page.get_by_text("About this policy").click()
    expect(chat.page.locator("#facts")).to_contain_text(model["name"])


def test_buttons_that_are_disabled_say_why(visit, site):
    page = visit(site.address).page
    chat = Chat(page, site.address)
    page.locator("#download").click(force=True)
    expect(page.locator("#notices")).to_contain_text("Say something first.")
    page.locator("#send").click()
    expect(page.locator("#notices")).to_contain_text("Write what the user says")
    hint = page.locator("#message-hint")
    expect(hint).to_contain_text("Enter sends")
    page.route("**/sessions/*/turns", lambda route: route.fulfill(status=422, json={"error": "no."}))
    page.locator("#message").fill("x")
    page.keyboard.press("Enter")
    expect(hint).to_contain_text("The turn above got no answer.")
    expect(page.locator("#send")).to_have_attribute("aria-disabled", "true")
    expect(page.locator("#send")).to_have_attribute("aria-describedby", "message-hint")
    page.locator("#message").fill("y")
    page.keyboard.press("Enter")
    expect(page.locator("#notices")).to_contain_text("The turn above got no answer.")
    expect(page.locator("#message")).to_have_value("y")
    page.unroute_all()
    chat.press("Change it").idle(0).say("x")
    expect(hint).to_contain_text("Enter sends")


def test_on_a_phone_the_buttons_are_a_menu(visit, site):
    visited = visit(site.address, width=390, height=844)
    page, chat = visited.page, Chat(visited.page, site.address)
    tools, menu = page.get_by_role("toolbar"), page.get_by_role("button", name="Menu")
    expect(tools).to_be_hidden()
    for leave in (lambda: page.keyboard.press("Escape"), lambda: page.locator("h1").click()):
        menu.click()
        expect(menu).to_have_attribute("aria-expanded", "true")
        assert tools.get_by_role("button").all_inner_texts() == list(TOOLS)
        leave()
        expect(tools).to_be_hidden()
    for number in range(4):
        chat.say(f"hello {number}")
    # At hand wherever one is in the conversation; it closes when something was chosen.
    expect(menu).to_be_in_viewport()
    chat.press("New conversation").idle(0)
    expect(tools).to_be_hidden()
    assert visited.errors == []


def test_names_break_at_underscores_and_wide_tables_scroll(visit, site):
    page = visit(site.address, width=390, height=844).page
    chat = Chat(page, site.address)
    chat.replay(next(iter(site.corpus)).id)
    chat.press("Next turn").idle(1)
    chat.press("Correct turn 1")
    page.get_by_role("form").get_by_label("Search the actions").fill("bye")
    page.keyboard.press("Enter")
    page.keyboard.press("Control+Enter")
    scroll = page.locator(".scroll").first
    expect(page.get_by_role("columnheader", name="Corpus")).to_be_attached()
    expect(page.get_by_role("columnheader", name="Corrected")).to_be_attached()
    assert scroll.evaluate("e => e.scrollWidth > e.clientWidth")
    assert "linear-gradient" in scroll.evaluate("e => getComputedStyle(e).backgroundImage")
    expect(scroll).to_have_attribute("tabindex", "0")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # A long name is broken where its words end, nowhere else.
    lines = page.locator("tbody th bdi").first.evaluate(
        """name => {
          name.replaceChildren(...['request_', 'restaurant_', 'opening_', 'hours'].flatMap((part) => [part, document.createElement('wbr')]));
          const range = document.createRange(), lines = new Map();
          for (const node of name.childNodes) {
            if (node.nodeType !== 3) continue;
            for (let n = 0; n < node.length; n++) {
              range.setStart(node, n); range.setEnd(node, n + 1);
              const top = range.getBoundingClientRect().top;
              lines.set(top, (lines.get(top) ?? '') + node.data[n]);
            }
          }
          return [...lines.values()];
        }"""
    )
    assert len(lines) > 1
    assert all(line.endswith(("_", "hours")) for line in lines), lines


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
    bubbles = page.locator(".bubble.user p")
    expect(bubbles.first).to_have_text(evil)
    assert [one.evaluate("p => getComputedStyle(p).direction") for one in bubbles.all()] == ["ltr", "rtl", "ltr"]


@pytest.mark.parametrize("view", [{"dark": False}, {"dark": True}, {"width": 390, "height": 844}])
def test_the_page_is_accessible_in_every_state(visit, site, view):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed (extra `test`)"
    ).Axe()
    page = visit(site.address, **view).page
    chat = Chat(page, site.address)

    def check(state):
        result = axe.run(
            page,
            options={
                "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
                "resultTypes": ["violations"],
            },
        )
        problems = [(p["id"], [node["html"][:200] for node in p["nodes"]]) for p in result.response["violations"]]
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
    if page.locator("#menu").is_visible():
        page.locator("#menu").click()
        check("the menu")
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
