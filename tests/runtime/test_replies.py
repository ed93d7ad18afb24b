"""What the policy says: served, measured, and with the numbers of its templates."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialog_policy import Corpus, DialogPolicy, Dialogue, Turn
from dialog_policy.corpus.entity_tracker import EntityTracker
from dialog_policy.prediction import Prediction
from dialog_policy.runtime import Policy, reply_templates
from dialog_policy.runtime.replies import Replies
from tests.conftest import QUICK, REPOSITORY

FIXTURES = REPOSITORY / "tests" / "fixtures"


@pytest.fixture(scope="module", params=[True, False], ids=["entities", "no entities"])
def policy(request, trained, small):
    if request.param:
        return trained.runtime_
    return DialogPolicy(**QUICK, entities=False).fit(small.split("train"), dev=small.split("dev")).runtime_


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_reply_that_is_served_is_the_reply_that_is_measured(policy, small, data):
    names = set(policy.actions.classes_)
    turns = [turn for dialogue in small for turn in dialogue.turns if turn.actions is None or turn.actions <= names]
    turns = data.draw(st.lists(st.sampled_from(turns), min_size=1, max_size=8))
    session, served = policy.start(), {}
    predictions = []
    for number, turn in enumerate(turns):
        step = session.respond(turn.user, turn.context)
        served["d", number] = step.text
        predictions.append(Prediction(dialogue="d", turn=number, actions=step.actions))
        session.observe(actions=turn.actions, system=turn.system)
    corpus = Corpus([Dialogue(id="d", turns=tuple(turns))], gazetteer=small.gazetteer)
    assert policy.replies(corpus, predictions) == served


def test_values_are_refilled_whether_the_network_sees_entities_or_not(policy):
    """Without entities the tracker was not fed: a reply that names a record was empty."""
    session = policy.start()
    session.respond("a table please")
    session.respond(None, {"results": [{"name": "The Red Lion", "phone": "555-1234"}]})
    offers = [
        actions
        for actions, templates in policy.engine.replies.templates.items()
        if any("<name>" in template and template.count("<") == 1 for template in templates)
    ]
    assert offers
    session.observe(actions=offers[0])
    assert "The Red Lion" in session.turns[-1].system


def test_a_session_that_an_earlier_version_saved_goes_on():
    before = json.loads((FIXTURES / "session-version-2.json").read_text())
    step = Policy.load(FIXTURES / "run-format-4").resume(before["saved"].encode()).respond(before["user"])
    assert (sorted(step.actions), step.text) == (before["actions"], before["text"])
    assert step.confidence == pytest.approx(before["confidence"], abs=1e-6)


def with_results(number, said, *, party=4):
    records = [{"name": f"Place {letter}"} for letter in "ABCDEF"[:number]]
    return Dialogue(
        id=f"{number} {said} {party}",
        turns=(
            Turn(user=f"for {party}", context={"results": records}, actions=frozenset(["found"]), system=said),
            Turn(user="ok", actions=frozenset(["book"]), system=f"A table for {party} at 7:30."),
        ),
    )


def reply(replies, action, number):
    tracker = EntityTracker(replies.gazetteer)
    tracker.observe_user("", {"results": [{"name": f"Place {letter}"} for letter in "ABCDEF"[:number]]})
    return replies.text(frozenset([action]), tracker)


def test_a_number_that_was_the_number_of_results_is_refilled():
    replies = Replies.fit(Corpus([with_results(3, "There are 3."), with_results(3, "There are 3.", party=2)]))
    assert replies.templates[frozenset(["found"])] == ("There are <number_of_results>.",)
    assert reply(replies, "found", 2) == "There are 2."
    assert replies.text(frozenset(["found"]), EntityTracker()) == "", "nobody knows how many"
    again = Replies.from_json(json.loads(json.dumps(replies.to_json())))
    assert reply(again, "found", 5) == "There are 5."


def test_number_words_are_refilled_as_words():
    replies = Replies.fit(
        Corpus([with_results(3, "Three places have room, three."), with_results(2, "Two places have room, two.")])
    )
    assert reply(replies, "found", 4) == "Four places have room, four."
    assert reply(replies, "found", 1) == "1 places have room, 1."


def test_a_number_that_was_something_else_once_is_left_alone():
    dialogues = [
        with_results(3, "There are 3."),
        with_results(4, "There are 4.", party=2),
        with_results(2, "There are 2."),
    ]
    templates = Replies.fit(Corpus(dialogues)).templates
    assert templates[frozenset(["found"])] == ("There are <number_of_results>.",)
    # Four results once and a table for four, but also three results and a table for four.
    assert set(templates[frozenset(["book"])]) == {"A table for 4 at 7:30.", "A table for 2 at 7:30."}


def test_templates_of_earlier_runs_are_said_as_they_are():
    replies = Replies({frozenset(["found"]): ("There are 3.",)}, {})
    assert reply(replies, "found", 2) == "There are 3."


OAK, ELM = {"name": "Oak", "phone": "555-1"}, {"name": "Elm", "phone": "555-2"}
OFFER, PHONE = frozenset(["offer"]), frozenset(["phone"])


def offers(number, *turns):
    """A dialogue of turns (user, records or None, action, system)."""
    return Dialogue(
        id=str(number),
        turns=tuple(
            Turn(user=user, context={} if records is None else {"results": records}, actions=action, system=system)
            for user, records, action, system in turns
        ),
    )


def after(replies, *turns):
    """The reply to the last of these turns, of which each but the last says what the system said."""
    tracker, said = EntityTracker(replies.gazetteer, replies.records), ""
    for user, records, _, system in turns:
        tracker.observe_turn(said, user, {} if records is None else {"results": records})
        said = system
    action = turns[-1][2]
    restored = EntityTracker(replies.gazetteer, replies.records)
    restored.restore(json.loads(json.dumps(tracker.state())))
    assert replies.text(action, restored) == replies.text(action, tracker)
    return replies.text(action, tracker)


def test_new_records_are_offered_and_else_the_utterance_says_which_record_is_meant():
    first, again = ("hi", [OAK, ELM], OFFER, "Oak is nice"), ("is it nice?", None, OFFER, "Oak is nice")
    other = ("anything else?", None, OFFER, "Elm is nice")
    replies = Replies.fit(Corpus([offers(n, first, again, other) for n in range(2)] + [offers(9, first, again)]))
    replies = Replies.from_json(json.loads(json.dumps(replies.to_json())))
    assert after(replies, first) == "Oak is nice"
    assert after(replies, first, ("well", None, OFFER, "")) == "Oak is nice", "most often the one at hand"
    assert after(replies, first, ("anything else?", None, OFFER, "")) == "Elm is nice"
    assert after(replies, first, other, ("is it nice?", None, OFFER, "")) == "Elm is nice"
    assert after(replies, first, ("so", [ELM, OAK], OFFER, "")) == "Elm is nice"


def test_attributes_of_records_that_only_training_had_are_known_and_no_others_are_said():
    known = offers(1, ("hi", [OAK], OFFER, "Oak is nice"), ("phone?", None, PHONE, "Oak: 555-1"))
    told = offers(2, ("hi", None, OFFER, "Elm is nice"), ("phone?", None, PHONE, "Elm: 555-2"))
    gazetteer = {"name": ("Oak", "Elm", "Ash"), "phone": ("555-1", "555-2")}
    replies = Replies.fit(Corpus([known, told], gazetteer=gazetteer))
    assert replies.records == {"oak": {"phone": "555-1"}, "elm": {"phone": "555-2"}}
    for name, phone in (("Oak", "Oak: 555-1"), ("Elm", "Elm: 555-2"), ("Ash", "")):
        assert after(replies, ("", None, OFFER, f"{name} is nice"), ("phone?", None, PHONE, "")) == phone
    changed = ("", [{"name": "Oak", "phone": "555-9"}], OFFER, "Oak is nice")
    assert after(replies, changed, ("phone?", None, PHONE, "")) == "Oak: 555-9", "the dialogue's own record"


def test_a_value_is_left_in_a_template_only_where_it_never_changes():
    cities = {"city": ("Leeds", "York", "Bath")}
    welcome = [offers(n, ("hi", None, OFFER, "Welcome to Leeds")) for n in range(2)]
    replies = Replies.fit(Corpus(welcome, gazetteer=cities))
    assert after(replies, ("from York", None, OFFER, "")) == "Welcome to Leeds"
    # Whoever said it was misheard: the dialogues do not have what the system says.
    misheard = [offers(city, ("hm", None, OFFER, f"No train to {city}")) for city in ("Leeds", "York")]
    replies = Replies.fit(Corpus(misheard, gazetteer=cities))
    assert after(replies, ("to Bath", None, OFFER, "")) == "No train to Bath"


def test_of_many_turns_some_are_learnt_from_and_all_with_what_is_seldom_done(monkeypatch):
    def dialogue(n):
        said = "Hi!" if n % 2 else "Good day!"
        turns = [Turn(user="hello", actions=frozenset({"greet"}), system=said)]
        if n % 25 == 3:
            turns.append(Turn(user="bye", actions=frozenset({"bye"}), system="See you!"))
        return Dialogue(id=str(n), turns=tuple(turns))

    seen = []

    class Watched(EntityTracker):
        def refilled(self, text):
            seen.append(text)
            return super().refilled(text)

    monkeypatch.setattr(reply_templates, "EntityTracker", Watched)
    corpus = Corpus(map(dialogue, range(200)))
    whole = Replies.fit(corpus)
    assert (len(seen), seen.count("See you!")) == (208, 8)
    seen.clear()
    monkeypatch.setattr(reply_templates, "_MOST_TURNS", 20)
    some = Replies.fit(corpus)
    assert seen.count("See you!") == 8
    assert len(seen) < 60
    assert {actions: set(said) for actions, said in some.templates.items()} == {
        actions: set(said) for actions, said in whole.templates.items()
    }
