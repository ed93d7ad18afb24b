"""Acts that only ever have slots which a context has named keep to that with a service that training never saw."""

import numpy as np
import pytest

from dialog_policy import Corpus, DialogPolicy, Dialogue, Turn
from dialog_policy.corpus.action_slots import act_and_slot, slots_in
from dialog_policy.corpus.entity_tracker import EntityTracker
from dialog_policy.features.preconditions import fit_preconditions
from dialog_policy.text.counts import BIT
from tests.conftest import QUICK


def dialogue(number, key, slot, asked="how much"):
    """The user asks, a service answers with a key, the system offers a slot and then confirms it."""
    turns = (
        Turn(user="hello", actions=frozenset(["GREET", "REQUEST-city"]), system="where?"),
        Turn(user=asked, context={"results": [{key: "7"}]}, actions=frozenset([f"OFFER-{slot}"]), system="7"),
        Turn(user="fine", actions=frozenset([f"OFFER-{slot}", "CONFIRM-city"]), system="so"),
    )
    return Dialogue(id=str(number), turns=turns)


@pytest.fixture(scope="module")
def policy():
    slots = ("price", "balance")
    corpus = Corpus([dialogue(n, slots[n % 2], slots[n % 2], ("how much", "my money")[n % 2]) for n in range(40)])
    return DialogPolicy(**QUICK | {"epochs": 30, "learning_rate": 0.01}).fit(corpus, dev=None)


def test_an_action_has_an_act_and_a_slot_and_a_context_has_keys():
    assert act_and_slot("hotel-INFORM-Price") == ("hotel-INFORM", "price")
    assert [act_and_slot(name) for name in ("GREET", "-x", "x-")] == [None] * 3
    context = {"Calls": [{"parameters": {"city": "x"}}], "inform-food": {"value": 1}, "other": None}
    assert slots_in(context, {"city", "food", "calls", "value", "price"}) == {"city", "food", "calls", "value"}
    tracker = EntityTracker(slots=frozenset(["city"]))
    tracker.observe_turn("", "", context)
    assert tracker.observe_turn("", "", {}).facts == {"@seen city"}
    restored = EntityTracker(slots=frozenset(["city"]))
    restored.restore(tracker.state())
    assert restored.facts() == {"@seen city"}


def test_an_act_with_slots_that_contexts_always_named_has_a_precondition(policy):
    encoder = policy.runtime_.engine.encoder
    slots = ("price", "balance")
    found = fit_preconditions([dialogue(n, slots[n % 2], slots[n % 2]) for n in range(40)], encoder)
    names = list(encoder.actions.classes_)
    price = names.index("OFFER-price")
    assert found.bias[price] == pytest.approx(-np.log(81))
    assert {name for name, bias in zip(names, found.bias, strict=True) if bias} == {"OFFER-price", "OFFER-balance"}
    row = sorted(encoder.facts).index("@seen price")
    assert found.kernel[row, price] * BIT == pytest.approx(np.log(81)), "where it was named, nothing changes"
    assert np.count_nonzero(found.kernel) == 2
    missed = [dialogue(n, "cost" if n < 5 else "price", "price") for n in range(40)]
    assert fit_preconditions(missed, encoder) is None


def test_a_service_without_the_slot_is_not_answered_with_it_and_all_ways_to_decide_agree(policy):
    runtime = policy.runtime_
    known, changed = dialogue("a", "price", "price"), dialogue("b", "cost", "price")
    predicted = {(p.dialogue, p.turn): p for p in runtime.predict(Corpus([known, changed]))}
    assert predicted["a", 1].actions == {"OFFER-price"}
    assert predicted["a", 1].probabilities["OFFER-price"] > 0.8
    assert predicted["b", 1].probabilities.get("OFFER-price", 0) < 0.5
    network = policy.network_
    for one in (known, changed):
        session = runtime.start()
        for number, turn in enumerate(one.turns):
            step = session.respond(turn.user, turn.context)
            session.observe(actions=turn.actions, system=turn.system)
            session = runtime.resume(session.to_bytes())
            assert step.actions == predicted[one.id, number].actions
            for action, share in predicted[one.id, number].probabilities.items():
                assert step.probabilities[action] == pytest.approx(share, abs=1e-5)
    assert network.get_layer("preconditions").preconditions.bias.any()
