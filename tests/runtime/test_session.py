import base64
import copy
import json
import threading
import zlib

import msgspec
import numpy as np
import pytest

from dialog_policy import DialogPolicy, Dialogue, Turn
from dialog_policy.errors import OptionError, SessionError
from dialog_policy.runtime import Policy, Request
from dialog_policy.runtime.turns import Step
from tests.conftest import QUICK

SAID = ["hello", "i want a table in york", None, "for two please", "no thanks", "bye"]
FOUND = {"results": [{"name": "oak", "city": "york"}], "slots": {"people": 2}}


@pytest.fixture(scope="module")
def policy(trained):
    return trained.runtime_


@pytest.fixture(scope="module")
def other(small):
    """Another run with other actions."""
    return DialogPolicy(**QUICK | {"seed": 5}).fit(small.with_dialogues(list(small)[5:30])).runtime_


def talk(session, said=SAID):
    return [session.respond(user, FOUND if user is None else None) for user in said]


def close(mine, theirs):
    assert [step.actions for step in mine] == [step.actions for step in theirs]
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose([*a.probabilities.values()], [*b.probabilities.values()], atol=1e-5)


def test_a_step_says_everything(policy):
    step = policy.start().respond("hello")
    assert step.actions <= set(policy.actions.classes_)
    assert tuple(step.probabilities) == policy.actions.classes_
    assert 0 < step.confidence <= 1
    assert step.fallback == (step.confidence < policy.fallback_below)
    assert step.text == policy.engine.reply(step.actions, policy.engine.new_tracker())


def test_the_past_matters_and_what_was_predicted_is_taken_as_done(policy):
    first, second, third = policy.start(), policy.start(), policy.start()
    for session in (first, second, third):
        step = session.respond("hello")
    second.observe(actions=step.actions, system=step.text)
    unlike = {name for name in policy.actions.classes_ if name not in step.actions}
    third.observe(actions=unlike, system="something quite else")
    one, two, three = (s.respond("yes") for s in (first, second, third))
    assert one == two
    assert one.probabilities != three.probabilities
    assert third.turns[0].predicted == step.actions
    assert third.turns[0].actions == unlike


def test_observing_actions_brings_their_reply(policy):
    session = policy.start()
    session.respond("hello")
    known = next(s for s in policy.engine.decoder.sets if policy.engine.reply(s, policy.engine.new_tracker()))
    session.observe(actions=known)
    assert session.turns[-1].system == policy.engine.reply(known, policy.engine.new_tracker())
    session.observe(system="my own words")
    assert session.turns[-1].actions == known
    session.observe(actions=None)
    assert session.turns[-1].actions is None
    assert session.turns[-1].system == ""


def test_undo_is_as_if_it_had_not_been(policy):
    straight, winding = policy.start(), policy.start()
    expected = talk(straight)
    talk(winding, SAID[:3])
    winding.respond("something else", FOUND)
    winding.observe(actions=(), system="what?")
    winding.respond("again")
    winding.undo(2)
    steps = [winding.respond(user) for user in SAID[3:]]
    assert steps == expected[3:]
    assert winding.to_bytes() == straight.to_bytes()
    winding.undo(len(SAID))
    assert winding.to_bytes() == policy.start().to_bytes()


def test_correcting_an_earlier_turn_computes_what_follows_again(policy):
    corrected, direct = policy.start(), policy.start()
    steps = talk(corrected)
    other = frozenset({policy.actions.classes_[0]}) ^ steps[1].actions
    corrected.observe(actions=other, system="instead", turn=1)
    for number, (user, step) in enumerate(zip(SAID, steps, strict=True)):
        direct.respond(user, FOUND if user is None else None)
        direct.observe(actions=step.actions, system=step.text)
        if number == 1:
            direct.observe(actions=other, system="instead")
    assert [(t.actions, t.system) for t in corrected.turns] == [(t.actions, t.system) for t in direct.turns]
    close([corrected.respond("well")], [direct.respond("well")])


@pytest.mark.parametrize("cut", range(len(SAID)))
def test_saved_and_resumed_it_goes_on_as_before(policy, cut):
    straight, saved = policy.start(), policy.start()
    expected = talk(straight)
    talk(saved, SAID[:cut])
    again = policy.resume(saved.to_bytes())
    assert again.to_bytes() == saved.to_bytes()
    steps = talk(again, SAID[cut:])
    assert steps == expected[cut:]
    assert msgspec.msgpack.decode(again.to_bytes())[0] == 3


def test_under_another_run_the_session_is_gone_through_again(policy, other):
    session, direct = policy.start(), other.start()
    steps = talk(session)
    for user, step in zip(SAID, steps, strict=True):
        direct.respond(user, FOUND if user is None else None)
        direct.observe(actions=step.actions & set(other.actions.classes_), system=step.text)
    moved = other.resume(session.to_bytes())
    assert moved.turns == session.turns
    close([moved.respond("yes")], [direct.respond("yes")])
    assert msgspec.msgpack.decode(moved.to_bytes())[1].hex() == other.id != policy.id


def version_2(session):
    """What the version before this one saved."""
    memory, state = session.state.to_parts()
    turns = msgspec.to_builtins(session.turns)
    document = {"version": 2, "run": session.engine.id, "turns": turns, "memory": memory}
    return document | {"state": base64.b64encode(state).decode()}


@pytest.mark.parametrize("n_turns", [0, 1, 13, 40])
def test_saved_by_the_version_before_it_goes_on(policy, other, n_turns):
    session = policy.start()
    talk(session, [f"{SAID[n % 3]} {n}" for n in range(n_turns)])
    for end in (policy, other):
        again, moved = (end.resume(b) for b in (json.dumps(version_2(session)).encode(), session.to_bytes()))
        assert again.turns == moved.turns == session.turns
        assert again.to_bytes() == moved.to_bytes()
        assert again.respond("and now?") == moved.respond("and now?")


@pytest.mark.parametrize("n_turns", [11, 12, 13, 24, 25, 60])
def test_a_long_session_is_saved_in_blocks(policy, n_turns):
    straight, hopping = policy.start(), policy.start()
    for n in range(n_turns):
        said, context = f"{SAID[n % 3]} {n}", {"n": 10**30} if n % 5 == 0 else None
        expected = straight.respond(said, context)
        hopping = policy.resume(hopping.to_bytes())
        assert hopping.respond(said, context) == expected
    assert hopping.to_bytes() == straight.to_bytes()
    assert hopping.last == straight.turns[-1]
    hopping.undo(n_turns // 2)
    assert hopping.turns == straight.turns[: n_turns - n_turns // 2]
    assert policy.resume(hopping.to_bytes()).turns == hopping.turns


def test_together_is_as_alone(policy):
    sessions, alone = [policy.start() for _ in SAID], [policy.start() for _ in SAID]
    for turn in range(len(SAID)):
        said = SAID[turn:] + SAID[:turn]
        together = policy.respond_many(zip(sessions, said, strict=True))
        close(together, [session.respond(user) for session, user in zip(alone, said, strict=True)])
    assert policy.respond_many([]) == []


def test_threads_share_a_policy(policy):
    expected = talk(policy.start())
    by_thread = {}

    def work(number):
        by_thread[number] = [talk(policy.start()) for _ in range(10)]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [steps for n in range(8) for steps in by_thread[n]] == [expected] * 80


def test_only_allowed_actions_are_taken(policy):
    session = policy.start()
    for user in SAID:
        free = session.respond(user)
        session.undo()
        for allowed in ({policy.actions.classes_[1]}, set(policy.actions.classes_) - free.actions, set()):
            step = session.respond(user, allowed=allowed)
            assert step.actions <= allowed
            assert all(step.probabilities[name] == 0 for name in set(policy.actions.classes_) - allowed)
            session.undo()
        assert session.respond(user, allowed=policy.actions.classes_) == free


def test_allowed_without_choice_where_exactly_one_action_is_taken(small):
    single = small.with_dialogues(
        Dialogue(
            id=d.id,
            turns=tuple(Turn(user=t.user, actions=frozenset(sorted(t.actions)[:1])) for t in d.turns if t.actions),
        )
        for d in small
    )
    policy = DialogPolicy(**QUICK).fit(single).runtime_
    session = policy.start()
    only = policy.actions.classes_[-1]
    step = session.respond("hello", allowed=[only])
    assert step.actions == {only}
    assert step.confidence == pytest.approx(1)
    with pytest.raises(OptionError, match="at least one action"):
        session.respond("hello", allowed=[])
    assert len(session) == 1


def test_a_conversation_becomes_training_data(policy):
    session = policy.start()
    steps = talk(session)
    dialogue = session.to_dialogue("mine")
    assert [turn.user for turn in dialogue.turns] == [user or "" for user in SAID]
    assert [turn.actions for turn in dialogue.turns] == [step.actions for step in steps]
    assert dialogue.turns[2].context == FOUND


def refused(session, act, error, match):
    before = session.to_bytes()
    with pytest.raises(error, match=match):
        act()
    assert session.to_bytes() == before


def test_mistakes_are_said_and_change_nothing(policy):
    session = policy.start()
    refused(session, lambda: session.observe(actions=()), OptionError, "no turn yet")
    refused(session, session.undo, OptionError, "no turn to undo")
    session.respond("hello")
    known = policy.actions.classes_[0]
    refused(session, lambda: session.observe(actions=[known + "x"]), OptionError, f"Did you mean '{known}'")
    refused(session, lambda: session.observe(actions=known), OptionError, "found the string")
    refused(session, lambda: session.observe(actions=(), turn=1), OptionError, "turns 0 to 0")
    refused(session, lambda: session.respond("x", allowed=["nothing such"]), OptionError, "no action 'nothing such'")
    refused(session, lambda: session.respond(7), OptionError, "as a string")
    # What was taken here was saved, too, and never read again.
    refused(session, lambda: session.observe(system=None), OptionError, 'expected what the bot said as a string, ""')
    refused(session, lambda: session.observe(system="x", turn="0"), OptionError, "no turn '0'")
    refused(session, lambda: session.undo("1"), OptionError, "found '1'")
    refused(session, lambda: session.respond("x", {"a": object()}), OptionError, "JSON object")
    refused(session, lambda: session.respond("x", [1]), OptionError, "JSON object")
    twice = [(session, "a"), (session, "b")]
    refused(session, lambda: policy.respond_many(twice), OptionError, "occurs twice")
    halfway = [Request(session, "a"), Request(policy.start(), "b", None, ["nothing such"])]
    refused(session, lambda: policy.respond_many(halfway), OptionError, "nothing such")


def test_half_a_surrogate_pair_that_the_bot_said_is_saved_as_a_question_mark(policy):
    session = policy.start()
    session.respond("hello")
    session.observe(system="Wait\ud83d")
    assert policy.resume(session.to_bytes()).turns[0].system == session.turns[0].system == "Wait?"


def test_a_session_of_another_policy_is_refused(policy, other):
    session = other.start()
    refused(session, lambda: policy.respond_many([(session, "a")]), OptionError, "another policy")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s: s | {"version": 9}, "version 9"),
        (lambda s: s | {"state": "AAAA"}, "damaged"),
        (lambda s: s | {"state": "not base 64!"}, "not a saved session"),
        (lambda s: s | {"memory": {}}, "damaged"),
        (lambda s: s | {"memory": {**s["memory"], "records": [1]}}, "damaged"),
        (lambda s: s | {"turns": 3}, "not a saved session"),
        (lambda s: [s], "not a saved session"),
    ],
)
def test_damaged_sessions_of_the_version_before_are_refused(policy, change, match):
    session = policy.start()
    talk(session)
    with pytest.raises(SessionError, match=match):
        policy.resume(json.dumps(change(version_2(session))).encode())


@pytest.mark.parametrize(
    ("place", "value", "match"),
    [
        (0, 9, "version 9"),
        (1, 7, "not a saved session"),
        (2, [b"x"], "damaged"),
        (2, [], "not a saved session"),
        (3, zlib.compress(b"x"), "not a saved session"),
        (3, b"x", "damaged"),
        (4, b"abc", "damaged"),
        (4, b"abcd", "damaged"),
    ],
)
def test_damaged_sessions_are_refused(policy, place, value, match):
    session = policy.start()
    talk(session, SAID * 8)
    parts = msgspec.msgpack.decode(session.to_bytes())
    parts[place] = value
    with pytest.raises(SessionError, match=match):
        policy.resume(msgspec.msgpack.encode(parts))
    with pytest.raises(SessionError, match="not a saved session"):
        policy.resume(session.to_bytes()[:-5])


def test_a_damaged_block_is_noticed_when_it_is_needed(policy):
    session = policy.start()
    talk(session, SAID * 16)
    parts = msgspec.msgpack.decode(session.to_bytes())
    assert len(parts[2]) > 2
    for block in (
        b"x",
        zlib.compress(b"x"),
        zlib.compress(msgspec.msgpack.encode([])),
        parts[2][1][:-1],
        parts[2][1] + b"x",
    ):
        parts[2][1] = block
        damaged = policy.resume(msgspec.msgpack.encode(parts))
        with pytest.raises(SessionError, match="damaged"):
            damaged.turns  # noqa: B018


def test_low_confidence_is_marked(trained, tmp_path):
    trained.save(tmp_path / "run")
    never, always = (Policy.load(tmp_path / "run", fallback_below=share) for share in (0.0, 1.0))
    assert not never.start().respond("hello").fallback
    assert always.start().respond("hello").fallback


@pytest.mark.parametrize("share", [2, -0.1, float("nan"), float("inf"), "0.5"])
def test_a_bound_of_confidence_that_is_no_share_is_refused(trained, tmp_path, share):
    trained.save(tmp_path / "run")
    with pytest.raises(OptionError, match="fallback_below: expected a number from 0 to 1, found"):
        Policy.load(tmp_path / "run", fallback_below=share)
    with pytest.raises(OptionError, match="threads: expected a whole number from 0, found"):
        Policy.load(tmp_path / "run", threads=share if share != 2 else -2)


@pytest.mark.parametrize("made", [copy.copy, copy.deepcopy])
def test_a_copy_goes_on_by_itself(policy, made):
    session = policy.start()
    talk(session, SAID[:3])
    before = session.to_bytes()
    other = made(session)
    close(talk(other, SAID[3:]), talk(policy.resume(before), SAID[3:]))
    assert session.to_bytes() == before
    assert session.respond("something else") == policy.resume(before).respond("something else")
    assert len(other) == len(SAID)


def test_what_is_not_even_bytes_is_said(policy):
    for saved in ("text", None, {"version": 3}):
        with pytest.raises(OptionError, match="expected the bytes that to_bytes"):
            policy.resume(saved)
    session = policy.start()
    session.respond("hello")
    for kind in (bytearray, memoryview):
        assert policy.resume(kind(session.to_bytes())).turns == session.turns


def test_nothing_is_decided_under_a_mask_only_where_it_is_asked_for(small):
    """One empty training turn of many made nothing at all the surest decision among the few that a mask left."""
    turns = [Turn(user=text, actions=frozenset([name])) for text, name in (("hi", "greet"), ("bye", "end"))]
    silent = Turn(user="hm", actions=frozenset())
    corpus = small.with_dialogues(
        Dialogue(id=str(number), turns=(*turns, silent, silent) if number < 2 else tuple(turns)) for number in range(20)
    )
    policy = DialogPolicy(**QUICK | {"epochs": 1}).fit(corpus, dev=None).runtime_

    def respond(**options):
        return policy.respond_many([Request(policy.start(), "hm", **options)])[0]

    forced = respond(allowed=["end"])
    assert forced.actions == {"end"}
    assert forced.confidence == pytest.approx(1)
    decided = respond(allowed=["end"], allow_none=True)
    assert decided.confidence < 1
    assert respond(allow_none=True) == respond(), "without a mask it competes as in training"
    assert respond(allowed=[]).actions == set()


def test_a_corpus_without_any_text_is_trained_and_served(small):
    """Bots with an understanding of their own log intents and slots, and no words."""
    turns = [Turn(context={"intent": name}, actions=frozenset([f"do {name}"])) for name in ("greet", "bye")]
    corpus = small.with_dialogues(Dialogue(id=str(number), turns=tuple(turns)) for number in range(20))
    policy = DialogPolicy(hidden=8, epochs=2).fit(corpus, dev=None).runtime_
    step = policy.start().respond(None, {"intent": "greet"})
    assert step.actions < {"do greet", "do bye"}
    assert [p.turn for p in policy.predict(corpus)] == [0, 1] * 20


def test_integers_of_any_length_are_a_context(policy):
    for number in (10**30, 10**400):
        assert policy.start().respond("hello", {"slots": {"n": number}}).actions is not None
    refused(policy.start(), lambda: policy.start().respond("x", {"n": 10**5_000}), OptionError, "JSON object")


def test_a_notebook_shows_a_step_as_a_table_and_escapes_it():
    probabilities = {f"act{n}": n / 100 for n in range(12)} | {"<b>": 0.9}
    shown = Step(frozenset({"<b>"}), probabilities, 0.75, True, "<i>Hello</i>")._repr_html_()
    assert "<caption>&lt;b&gt; (confidence 0.750, below the threshold): &#x27;&lt;i&gt;Hello" in shown
    assert shown.index("&lt;b&gt;</td><td>0.900</td><td>yes") < shown.index("act11</td><td>0.110</td><td></td>")
    assert "act2<" not in shown
    assert "and 3 further actions" in shown


def test_a_policy_says_what_it_is(policy):
    assert repr(policy).startswith(f"<Policy {policy.name!r}: {len(policy.actions)} actions, trained 20")
