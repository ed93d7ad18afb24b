"""The chat page beside a corpus: replaying it, adding to it, training again."""

import re

import pytest

from dialog_policy import load_corpus
from dialog_policy.runtime import Policy
from tests.browser.chat import HELLO, Chat, expect, marked
from tests.browser.conftest import PATIENCE_MS


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
    downloaded = load_corpus(download.value.path(), format="jsonl")
    saved = list(load_corpus(site.saved))[-1]
    assert [dialogue.turns for dialogue in downloaded] == [saved.turns]
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
    notices = chat.page.locator("#retrained")
    expect(notices).to_contain_text("The policy was retrained.", timeout=4 * PATIENCE_MS)
    expect(notices).to_contain_text(re.compile(r"Trained on \d+ dialogues, \d+ dialogues? of them new \(\d+ turns?\)"))
    expect(notices).to_contain_text(
        re.compile(r"The policy is (better|worse|as good as before): on the validation part")
    )
    expect(chat.page.get_by_role("progressbar")).to_be_hidden()
    chat.idle(1).say("hello")
    retrained = chat.session()["policy"]
    assert retrained != before
    chat.press("Use the previous policy")
    expect(notices).to_contain_text("The previous policy is served again.")
    chat.idle(2).say("hello")
    assert chat.session()["policy"] == before
    chat.press("Use the other policy")
    expect(notices).to_contain_text("served again.")
    chat.idle(3)
    chat.say("hello")
    assert chat.session()["policy"] == retrained


def test_without_a_corpus_nothing_is_offered_that_needs_one(visit, bare):
    visited = visit(bare)
    chat = Chat(visited.page, bare)
    chat.say(HELLO)
    offered = visited.page.get_by_role("toolbar").get_by_role("button").all_inner_texts()
    assert offered == ["New conversation", "Download", "Delete"]
    with visited.page.expect_download():
        chat.press("Download")
    assert visited.errors == []
