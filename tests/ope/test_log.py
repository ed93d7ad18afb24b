import math

import pytest

from dialog_policy.corpus import Corpus, Dialogue, Turn
from dialog_policy.errors import CorpusError
from dialog_policy.ope.log import read_log


def turn(reward=None, propensity=0.5, actions="a"):
    return Turn(user="", actions=None if actions is None else frozenset(actions), reward=reward, propensity=propensity)


def log(*dialogues, **options):
    corpus = Corpus(Dialogue(id=f"d{i}", turns=tuple(turns)) for i, turns in enumerate(dialogues))
    return read_log(corpus, **options)


def history(reward=None):
    return turn(reward, None, None)


def test_rewards_of_turns_and_of_what_follows_them():
    read = log([turn(1.0), history(), turn(-2.0), history(5.0)], [history(), turn(0.0)])
    assert read.rewarded == "turn"
    assert read.rewards.tolist() == [1, 3, 0]
    assert read.turns == [0, 2, 1]
    assert read.spread(read.rewards, 9.0).tolist() == [[1, 3], [0, 9]]


def test_a_reward_of_the_dialogue_counts_at_its_last_decision():
    field = Dialogue(id="field", turns=(turn(), turn(), history()), fields={"reward": 3})
    last = Dialogue(id="last", turns=(turn(), turn(2.0)))
    after = Dialogue(id="after", turns=(turn(), turn(), history(1.0)))
    single = Dialogue(id="single", turns=(turn(7.0),))
    read = read_log(Corpus([field, last, after, single]))
    assert read.rewarded == "dialogue"
    assert read.rewards.tolist() == [0, 3, 0, 2, 0, 1, 7]


def test_propensities_are_all_there_or_none():
    assert log([turn(1, 0.25), turn(1, 1.0)]).propensities.tolist() == [0.25, 1.0]
    assert log([turn(1, None), turn(1, None)]).propensities is None
    assert log([turn(1, 0.25)], propensities=False).propensities is None


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([turn(1), turn(1), turn()], "turn 2 .*expected a reward, found none"),
        ([turn(1), turn(math.nan)], r"turn 1 .*finite reward of at most 1e\+50, found nan"),
        ([turn(1), turn(math.inf)], r"turn 1 .*finite reward of at most 1e\+50, found inf"),
        ([history(1.0), turn(1)], "turn 0 .*before the first decision"),
        ([turn(1), turn(1, None)], "turn 1 .*expected a propensity.*--estimate-propensities"),
        ([turn(1), turn(1, 0.0)], "turn 1 .*above 0 and at most 1, found 0.0"),
        ([turn(1), turn(1, math.nan)], "turn 1 .*found nan"),
        ([turn(1), turn(1, 1.5)], "turn 1 .*found 1.5"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_place(turns, message):
    with pytest.raises(CorpusError, match=f"dialogue 'd1', {message}"):
        log([turn(1), turn(1)], turns)


@pytest.mark.parametrize(
    ("dialogue", "message"),
    [
        (Dialogue(id="x", turns=(turn(1),), fields={"reward": 1}), "another one of a turn"),
        (Dialogue(id="x", turns=(turn(),), fields={"reward": "good"}), "found 'good'"),
        (Dialogue(id="x", turns=(turn(),), fields={"reward": True}), "found True"),
        (Dialogue(id="x", turns=(turn(), turn())), "expected a reward of the dialogue"),
    ],
)
def test_rewards_of_dialogues_are_checked(dialogue, message):
    first = Dialogue(id="first", turns=(turn(),), fields={"reward": 1.0})
    with pytest.raises(CorpusError, match=f"dialogue 'x'.*{message}"):
        read_log(Corpus([first, dialogue]))


def test_a_log_without_decisions_is_refused():
    with pytest.raises(CorpusError, match="nothing to value"):
        log([history()])
