"""Where actions are templates, none is taken that the dialogue cannot fill."""

import numpy as np
import pytest

from dialog_policy import Corpus, DialogPolicy, Dialogue, Turn
from dialog_policy.runtime.engine import Engine
from tests.conftest import QUICK

SURE = "sure , <food> food"


def dialogue(number, food):
    """The user names a food and asks again; the system repeats it."""
    told = SURE.replace("<food>", food)
    turns = (
        Turn(user="hello", actions=frozenset(["what food ?"]), system="what food ?"),
        Turn(user=f"i want {food}", actions=frozenset([SURE]), system=told),
        Turn(user="say that again", actions=frozenset([SURE]), system=told),
        Turn(user="bye", actions=frozenset(["bye"]), system="bye"),
    )
    return Dialogue(id=str(number), turns=turns)


def corpus(dialogues, **changes):
    return Corpus(dialogues, gazetteer={"food": ("thai", "greek")}, **{"replies_are_templates": True, **changes})


TRAIN = [dialogue(n, ("thai", "greek")[n % 2]) for n in range(20)]
# Nobody has named a food yet.
TOO_EARLY = Dialogue(
    id="early", turns=(Turn(user="say that again", actions=frozenset(["what food ?"]), system="what food ?"),)
)


@pytest.fixture(scope="module")
def policy():
    return DialogPolicy(**QUICK | {"epochs": 20, "learning_rate": 0.02}).fit(corpus(TRAIN), dev=None).runtime_


def test_an_action_that_cannot_be_filled_gives_way_to_the_most_probable_one_that_can(policy):
    teacher_forced, free = (next(iter(policy.predict(corpus([TOO_EARLY]), free_running=f))) for f in (False, True))
    shares = teacher_forced.probabilities
    assert max(shares, key=shares.get) == SURE, "the network has learnt it"
    best = max((name for name in shares if name != SURE), key=shares.get)
    assert teacher_forced.actions == free.actions == {best}
    step = policy.start().respond("say that again")
    assert (step.actions, step.text) == ({best}, best)
    assert teacher_forced.confidence == shares[best], "it is that of what is done, not of what was decided first"
    assert step.confidence == pytest.approx(teacher_forced.confidence, abs=1e-5)


def test_sets_are_listed_in_the_order_in_which_they_would_be_taken(policy):
    first = next(iter(policy.predict(corpus([TOO_EARLY]), logged=True)))
    assert first.sets[0] == first.actions
    assert frozenset([SURE]) not in first.sets


def test_what_can_be_filled_is_taken_as_it_was_decided(policy):
    told = [prediction.actions for prediction in policy.predict(corpus(TRAIN[:2]))]
    assert told == [turn.actions for one in TRAIN[:2] for turn in one.turns]


def test_an_action_that_is_the_only_one_allowed_is_taken_all_the_same(policy):
    step = policy.start().respond("say that again", allowed=[SURE])
    assert (step.actions, step.text) == ({SURE}, "")


def test_actions_that_are_no_templates_are_left_alone():
    fitted = DialogPolicy(**QUICK | {"epochs": 1}).fit(corpus(TRAIN, replies_are_templates=False), dev=None).runtime_
    engine: Engine = fitted.engine
    shares = np.full(len(engine.actions), 0.3)
    assert engine.fillable(frozenset([SURE]), 0.5, shares, engine.new_tracker()) == ({SURE}, 0.5)
