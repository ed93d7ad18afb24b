"""The chat page in a real browser, against a real server."""

import contextlib
import importlib
import json
import re
import socket
import threading
from types import SimpleNamespace

import pytest

from dialog_policy import load_corpus
from dialog_policy.corpus.write import write_corpus
from dialog_policy.runtime import Policy
from dialog_policy.serving.runs import Runs
from dialog_policy.serving.settings import Settings
from dialog_policy.serving.stores import MemoryStore
from dialog_policy.serving.training import CorpusSource, Retraining

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (extra `test`)")
uvicorn = pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")
pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
create_app = importlib.import_module("dialog_policy.serving.app").create_app

expect = playwright.expect
expect.set_options(timeout=20_000)  # test machines may be busy
HELLO = "hello, a table for two"
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


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "quick"
    trained.save(path)
    return path


@pytest.fixture(scope="module")
def site(run, small, tmp_path_factory):
    """A server with two runs and a corpus."""
    folder = tmp_path_factory.mktemp("site")
    write_corpus(small, folder / "small.jsonl")
    corpus = load_corpus(folder / "small.jsonl")
    saved = folder / "saved.jsonl"
    retraining = Retraining(CorpusSource(str(folder / "small.jsonl")), saved)
    app = create_app(Runs({"quick": run, "other": run}), MemoryStore(), corpus=corpus, retraining=retraining)
    with running(app) as address:
        yield SimpleNamespace(address=address, corpus=corpus, saved=saved)


@pytest.fixture(scope="module")
def bare(run):
    """Address of a server without a corpus."""
    with running(create_app(Runs({"quick": run}), MemoryStore())) as address:
        yield address


@pytest.fixture
def chat(visit, site):
    """The page, open; afterwards: it complained of nothing and asked for nothing from elsewhere."""
    seen = visit(site.address)
    yield Chat(seen.page, site.address)
    assert seen.errors == []
    assert seen.requests == []


class Chat:
    """The page as a person uses it."""

    def __init__(self, page, address):
        self.page, self.address = page, address
        expect(page.locator("#run option").first).to_be_attached()

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
        self.page.get_by_role("button", name=name, exact=True).click()
        return self

    def give_context(self, text):
        if not self.page.locator("#context[open]").count():
            self.page.locator("#context summary").click()
        self.page.get_by_label("Context as a JSON object").fill(text)

    def session(self):
        """What the server has of the conversation."""
        session = re.search(r"session=([^&]+)", self.page.url)[1]
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
    found = [rows.nth(n) for n in range(rows.count())]
    return sorted(row.locator("th").inner_text() for row in found if "yes" in row.locator(".mark").first.inner_text())


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
    first = page.url
    page.reload()
    chat.idle(1)
    chat.press("New conversation").idle(0).say("good bye")
    assert page.url != first
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


@pytest.mark.parametrize("is_forced", [True, False])
def test_replay_beside_the_gold_actions(chat, site, run, is_forced):
    page, dialogue = chat.page, list(site.corpus)[-1]
    chat.replay(dialogue.id)
    page.get_by_label("Go on from the corpus").set_checked(is_forced)
    chat.press("Next turn").idle(1)
    expect(page.locator("#replay-next")).to_have_text(dialogue.turns[1].user or "(nobody speaks)")
    chat.press("Play all").idle(len(dialogue))
    predicted = list(Policy.load(run).predict([dialogue], free_running=not is_forced))
    turns = page.locator(".turn")
    for n, (turn, prediction) in enumerate(zip(dialogue.turns, predicted, strict=True)):
        assert marked(turns.nth(n)) == (sorted(prediction.actions) or ["no action"])
        same = prediction.actions == turn.actions
        expect(turns.nth(n)).to_contain_text("✓ As in the corpus." if same else "✗ Not as in the corpus.")
        if turn.system:
            expect(turns.nth(n).locator(".gold")).to_contain_text(turn.system)
    right = sum(p.actions == t.actions for p, t in zip(predicted, dialogue.turns, strict=True))
    expect(page.locator("#replay-score")).to_contain_text(f"{right} of {len(dialogue)} as in the corpus")
    stands = [set(turn["actions"]) for turn in chat.session()["turns"]]
    assert stands == [
        set(t.actions if is_forced else p.actions) for t, p in zip(dialogue.turns, predicted, strict=True)
    ]
    # Loading the page again keeps the corpus' side; then the person goes on.
    page.reload()
    chat.idle(len(dialogue))
    expect(page.locator("#replay-score")).to_contain_text(f"{right} of {len(dialogue)} as in the corpus")
    chat.press("Go on by hand")
    chat.say("one more thing")


def test_saved_and_downloaded_dialogues_are_training_data(chat, site):
    chat.say(HELLO).say("bye")
    chat.press("Correct turn 2")
    form = chat.page.get_by_role("form")
    form.get_by_label("Search the actions").fill("bye")
    form.get_by_role("checkbox", name=re.compile("^bye")).check()
    chat.press("Save the correction").idle(2)
    chat.press("Save as training data")
    expect(chat.page.locator("#notices")).to_contain_text(str(site.saved))
    with chat.page.expect_download() as download:
        chat.press("Download")
    assert download.value.suggested_filename.endswith(".jsonl")
    there = load_corpus(download.value.path(), format="jsonl")
    saved = list(load_corpus(site.saved))[-1]
    assert [dialogue.turns for dialogue in there] == [saved.turns]
    assert [turn.user for turn in saved.turns] == [HELLO, "bye"]
    assert "bye" in saved.turns[1].actions


def test_retraining_shows_its_progress_and_the_conversation_goes_on(chat, site):
    chat.say("xyzzy")
    before = chat.session()["policy"]
    chat.press("Save as training data")
    expect(chat.page.locator("#notices")).to_contain_text("Saved as")
    chat.press("Retrain")
    expect(chat.page.get_by_role("progressbar")).to_be_visible()
    chat.page.reload()  # whoever comes meanwhile sees it, too
    expect(chat.page.get_by_role("progressbar", name=re.compile("^Training"))).to_be_visible()
    expect(chat.page.locator("#notices")).to_contain_text("has learnt again", timeout=300_000)
    expect(chat.page.get_by_role("progressbar")).to_be_hidden()
    chat.idle(1).say("hello")
    assert chat.session()["policy"] != before


def test_without_a_corpus_nothing_is_offered_that_needs_one(visit, bare):
    seen = visit(bare)
    chat = Chat(seen.page, bare)
    chat.say(HELLO)
    offered = seen.page.get_by_role("toolbar").get_by_role("button").all_inner_texts()
    assert offered == ["New conversation", "Download", "Delete"]
    with seen.page.expect_download():
        chat.press("Download")
    assert seen.errors == []


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
