"""Acts that only ever have slots which a context has named keep to that with a service that training never saw."""

import numpy as np
import pytest

from dialog_policy import Corpus, DialogPolicy, Dialogue, Turn
from dialog_policy.corpus import ActionSpace
from dialog_policy.corpus.action_slots import act_and_slot, acts_with_named_slots, named_slots, slots_in
from dialog_policy.corpus.entity_tracker import EntityTracker
from dialog_policy.runtime.decoder import Decoder
from tests.conftest import QUICK

SLOTS = ("price", "balance")


def dialogue(number, key, slot, asked="how much"):
    """The user asks, a service answers with a key, the system offers a slot and then confirms it."""
    turns = (
        Turn(user="hello", actions=frozenset(["GREET", "REQUEST-city"]), system="where?"),
        Turn(user=asked, context={"results": [{key: "7"}]}, actions=frozenset([f"OFFER-{slot}", "MORE"]), system="7"),
        Turn(user="fine", actions=frozenset([f"OFFER-{slot}", "CONFIRM-city"]), system="so"),
    )
    return Dialogue(id=str(number), turns=turns)


TRAIN = [dialogue(n, SLOTS[n % 2], SLOTS[n % 2], ("how much", "my money")[n % 2]) for n in range(40)]


def test_an_action_has_an_act_and_a_slot_and_a_context_has_keys():
    assert act_and_slot("hotel-INFORM-Price") == ("hotel-INFORM", "price")
    assert [act_and_slot(name) for name in ("GREET", "-x", "x-")] == [None] * 3
    context = {"Calls": [{"parameters": {"city": "x"}}], "inform-food": {"value": 1}, "other": None}
    assert slots_in(context, {"city", "food", "calls", "value", "price"}) == {"city", "food", "calls", "value"}
    assert list(named_slots(TRAIN[0], {"price", "results"})) == [set(), {"price", "results"}, {"price", "results"}]
    tracker = EntityTracker(slots=frozenset(["city"]))
    tracker.observe_turn("", "", context)
    tracker.observe_turn("", "", {})
    restored = EntityTracker(slots=frozenset(["city"]))
    restored.restore(tracker.state())
    assert tracker.named_slots == restored.named_slots == {"city"}


def test_acts_have_named_slots_if_there_were_always_named_ones_and_enough_of_them():
    assert acts_with_named_slots(TRAIN) == {"OFFER"}
    assert acts_with_named_slots(TRAIN[:20]) == frozenset(), "too few"
    assert acts_with_named_slots(TRAIN[::2] * 2) == frozenset(), "a single slot"
    assert (
        acts_with_named_slots([dialogue(n, "cost" if n < 5 else SLOTS[n % 2], SLOTS[n % 2]) for n in range(40)])
        == set()
    )


@pytest.mark.parametrize("single", [True, False])
def test_what_is_impossible_is_left_out_of_what_was_decided(single):
    space = ActionSpace(["MORE", "OFFER-balance", "OFFER-price"])
    sets = [frozenset([name]) for name in space] if single else [frozenset(space)]
    decoder = Decoder.fit(space, sets, single_action=single, named_acts=["OFFER"])
    z = np.array([[1.0, 2.0, 3.0]] * 3)
    impossible = decoder.impossible([{"price", "balance"}, {"balance"}, set()])
    plain, decided = decoder.decide(z), decoder.decide(z, impossible=impossible)
    expected = (
        [{"OFFER-price"}, {"OFFER-balance"}, {"MORE"}] if single else [set(space), {"MORE", "OFFER-balance"}, {"MORE"}]
    )
    assert decided.actions == expected
    np.testing.assert_array_equal(decided.probabilities, plain.probabilities)
    again = Decoder.from_json(decoder.to_json(), space)
    assert again.decide(z, impossible=again.impossible([{"balance"}] * 3)).actions == [expected[1]] * 3
    assert Decoder.fit(space, sets, single_action=single).impossible([set()]) is None


def test_all_ways_to_decide_agree_about_a_service_without_the_slot():
    policy = DialogPolicy(**QUICK | {"epochs": 30, "learning_rate": 0.01}).fit(Corpus(TRAIN), dev=None).runtime_
    known, changed = dialogue("a", "price", "price"), dialogue("b", "cost", "price")
    both = Corpus([known, changed])
    predicted = {(p.dialogue, p.turn): p for p in policy.predict(both)}
    assert predicted["a", 1].actions == {"OFFER-price", "MORE"}
    assert predicted["b", 1].actions == {"MORE"}
    assert {(p.dialogue, p.turn): p.actions for p in policy.predict(both, free_running=True)}["b", 1] == {"MORE"}
    for one in both:
        session = policy.start()
        for number, turn in enumerate(one.turns):
            step = session.respond(turn.user, turn.context)
            session.observe(actions=turn.actions, system=turn.system)
            session = policy.resume(session.to_bytes())
            assert step.actions == predicted[one.id, number].actions
            for action, share in predicted[one.id, number].probabilities.items():
                assert step.probabilities[action] == pytest.approx(share, abs=1e-5)
