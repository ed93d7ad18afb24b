import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog_policy.corpus import ActionSpace
from dialog_policy.runtime.decoder import Decoder

SPACE = ActionSpace("abcd")
SEEN = [{"a"}, {"a"}, {"a"}, {"a", "b"}, {"c"}, set()]


def decoder(weight):
    made = Decoder.fit(SPACE, [frozenset(s) for s in SEEN], single_action=False)
    made.prior_weight = weight
    return made


logits = st.lists(st.floats(-6, 6), min_size=4, max_size=4)


@settings(max_examples=200)
@given(logits, st.sampled_from([0.0, 0.5, 1.0]))
def test_the_best_set_wins_by_a_plain_computation(z, weight):
    p = 1 / (1 + np.exp(-np.array(z)))
    bitwise = frozenset(name for name, value in zip("abcd", z, strict=True) if value > 0)
    counts = {frozenset(s): [frozenset(x) for x in SEEN].count(frozenset(s)) for s in SEEN}

    def score(actions):
        likelihood = sum(np.log(share if name in actions else 1 - share) for name, share in zip("abcd", p, strict=True))
        return likelihood + weight * np.log(counts.get(actions, 0.5) / len(SEEN))

    rivals = {*counts, bitwise}
    decided = decoder(weight).decide(np.array([z]))
    (chosen,) = decided.actions
    assert chosen in rivals
    best = max(score(s) for s in rivals)
    assert score(chosen) == pytest.approx(best, abs=1e-9)
    share = np.exp(score(chosen)) / sum(np.exp(score(s)) for s in rivals)
    assert decided.confidence[0] == pytest.approx(share, rel=1e-6)
    np.testing.assert_allclose(decided.probabilities[0], p, rtol=1e-9)


@given(logits)
def test_doing_nothing_competes_only_where_training_did_nothing_or_nothing_else_is_allowed(z):
    always = Decoder.fit(SPACE, [frozenset("a"), frozenset("bc")], single_action=False)
    assert always.decide(np.array([z])).actions != [frozenset()]
    decided = always.decide(np.array([z]), np.zeros((1, 4), dtype=bool))
    assert decided.actions == [frozenset()]
    assert decided.confidence[0] == 1.0


@given(logits)
def test_without_prior_the_bits_decide(z):
    (chosen,) = decoder(0.0).decide(np.array([z])).actions
    likelihoods = {
        frozenset(s): sum(v if n in s else 0 for n, v in zip("abcd", z, strict=True))
        for r in range(5)
        for s in itertools.combinations("abcd", r)
    }
    assert likelihoods[chosen] == pytest.approx(max(likelihoods.values()))


def test_an_unseen_set_stays_possible():
    (chosen,) = decoder(1.0).decide(np.array([[-9.0, 9.0, 9.0, 9.0]])).actions
    assert chosen == {"b", "c", "d"}


@given(st.lists(logits, min_size=1, max_size=5))
def test_a_single_action_is_the_most_probable(rows):
    z = np.array(rows)
    decided = Decoder.fit(SPACE, [frozenset("a")], single_action=True).decide(z)
    softmax = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(decided.probabilities, softmax, rtol=1e-9)
    chosen = [decided.probabilities[i, SPACE.bits(actions)[0]] for i, actions in enumerate(decided.actions)]
    np.testing.assert_allclose(chosen, softmax.max(axis=1))


def test_tuning_takes_the_best_weight_and_the_first_of_equals():
    made = decoder(0.5)
    z = np.array([[0.2, 0.1, -3, -3.0], [0.2, 0.1, -3, -3.0]])
    gold = [frozenset("a"), None]
    made.tune(z, gold, (0.0, 1.0, 2.0))
    assert made.prior_weight == 1.0
    assert made.accuracy(z, gold) == 1.0


def test_json_round_trip():
    made = decoder(0.75)
    again = Decoder.from_json(made.to_json(), SPACE)
    z = np.random.default_rng(0).normal(size=(20, 4)) * 3
    assert again.decide(z).actions == made.decide(z).actions
