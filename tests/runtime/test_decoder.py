import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog_policy.corpus import ActionSpace
from dialog_policy.network import calibration
from dialog_policy.network.calibration import calibrate, choose_fallback
from dialog_policy.runtime import decoder as decoder_module
from dialog_policy.runtime.decoder import Decoder
from dialog_policy.runtime.likeliest_sets import likeliest_sets
from tests.reference import prior_by_hand

SPACE = ActionSpace(list("abcd"))
SEEN = [{"a"}, {"a"}, {"a"}, {"a", "b"}, {"c"}, set()]


EVERYTHING = [frozenset(s) for n in range(5) for s in itertools.combinations("abcd", n)]


def decoder(temperature=1.0, **options):
    made = Decoder.fit(SPACE, [frozenset(s) for s in SEEN], single_action=False, **options)
    made.temperature = temperature
    return made


logits = st.lists(st.floats(-6, 6), min_size=4, max_size=4)


def by_hand(z, temperature, allowed="abcd", allow_none=True):
    """Probability of every set of allowed actions, one set after the other."""
    prior, odds = prior_by_hand(SEEN, EVERYTHING)
    score = {
        s: (sum(v - odds[n] for n, v in zip("abcd", z, strict=True) if n in s) + np.log(prior[s])) / temperature
        for s in EVERYTHING
        if s <= set(allowed) and (s or allow_none)
    }
    top = max(score.values())
    total = sum(np.exp(value - top) for value in score.values())
    return {s: np.exp(value - top) / total for s, value in score.items()}


def test_without_evidence_sets_are_as_frequent_as_training_and_good_and_turing_say():
    prior, odds = prior_by_hand(SEEN, EVERYTHING)
    assert sum(prior.values()) == pytest.approx(1.0)
    logits = np.array([[odds[name] for name in "abcd"]] * len(EVERYTHING))
    computed = decoder().log_probabilities(logits, EVERYTHING)
    np.testing.assert_allclose(np.exp(computed), [prior[s] for s in EVERYTHING], rtol=1e-9)


@settings(max_examples=100)
@given(logits, st.sampled_from([0.5, 1.0, 3.0]), st.booleans())
def test_the_most_probable_sets_are_those_of_all_sets(z, temperature, whole_sets):
    made = decoder(temperature, whole_sets=whole_sets)
    (listed,) = likeliest_sets(made, np.array([z]), 16)
    shares = made.log_probabilities(np.array([z] * 16), listed)
    assert set(listed) == set(EVERYTHING)
    assert np.all(np.diff(shares) <= 1e-9)
    assert listed[:5] == likeliest_sets(made, np.array([z]), 5)[0]


@settings(max_examples=50)
@given(logits)
def test_the_first_of_the_most_probable_sets_is_what_is_decided(z):
    impossible = np.array([[False, True, False, True]])
    (chosen,) = decoder().decide(np.array([z]), impossible=impossible).actions
    (listed,) = likeliest_sets(decoder(), np.array([z]), 5, impossible)
    assert listed[0] == chosen
    assert len(set(listed)) == len(listed)
    assert not any(actions & {"b", "d"} for actions in listed)
    one = Decoder.fit(SPACE, [frozenset("a"), frozenset("b")], single_action=True)
    assert likeliest_sets(one, np.array([z]), 9)[0] == [
        frozenset(SPACE.classes_[i]) for i in np.argsort([-v for v in z], kind="stable")
    ]


def test_doing_nothing_is_not_among_the_sets_where_the_system_always_did_something():
    space = ActionSpace(["a", "b"])
    made = Decoder.fit(space, [frozenset("a"), frozenset("b"), frozenset("ab")], single_action=False)
    z = np.array([[-6.0, -6.0]])
    (chosen,) = made.decide(z).actions
    (listed,) = likeliest_sets(made, z, 5)
    assert listed[0] == chosen
    assert frozenset() not in listed
    independent = Decoder.fit(space, [frozenset("a")], single_action=False, whole_sets=False)
    assert independent.decide(z).actions == [frozenset()]
    assert likeliest_sets(independent, z, 5)[0][0] == frozenset()


@settings(max_examples=200)
@given(logits, st.sampled_from([0.5, 1.0, 3.0]), st.sampled_from(["abcd", "ac", "bd", "d"]), st.booleans())
def test_sets_are_decided_among_all_sets(z, temperature, allowed, allow_none):
    mask = np.array([[name in allowed for name in "abcd"]])
    decided = decoder(temperature).decide(np.array([z]), mask, np.array([allow_none]))
    shares = by_hand(z, temperature, allowed, allow_none or allowed == "abcd")
    (chosen,) = decided.actions
    assert shares[chosen] == pytest.approx(max(shares.values()), rel=1e-9)
    assert decided.confidence[0] == pytest.approx(shares[chosen], rel=1e-9)
    marginals = [sum(share for s, share in shares.items() if name in s) for name in "abcd"]
    np.testing.assert_allclose(decided.probabilities[0], marginals, rtol=1e-9, atol=1e-12)
    if allowed == "abcd":
        computed = decoder(temperature).log_probabilities(np.array([z] * len(EVERYTHING)), EVERYTHING)
        np.testing.assert_allclose(computed, [np.log(shares[s]) for s in EVERYTHING], rtol=1e-6)


@given(logits, st.sampled_from([0.5, 2.0]), st.sampled_from(["abcd", "ac", "d", ""]), st.booleans())
def test_by_marginals_the_probable_actions_are_taken_and_the_confidence_is_that_of_their_set(
    z, temperature, allowed, allow_none
):
    mask = np.array([[name in allowed for name in "abcd"]])
    asked = np.array([z]), mask, np.array([allow_none])
    joint, decided = decoder(temperature).decide(*asked), decoder(temperature, by_marginals=True).decide(*asked)
    np.testing.assert_array_equal(decided.probabilities, joint.probabilities)
    likely = {name for name, share in zip("abcd", decided.probabilities[0], strict=True) if share > 1 / 3}
    if not likely and joint.actions[0]:
        likely = {"abcd"[decided.probabilities[0].argmax()]}
    assert decided.actions == [likely]
    shares = by_hand(z, temperature, allowed, allow_none or allowed in ("abcd", ""))
    assert decided.confidence[0] == pytest.approx(shares[frozenset(likely)], rel=1e-9)


@given(
    st.lists(st.lists(st.floats(-900, 900), min_size=4, max_size=4), min_size=1, max_size=4),
    st.lists(st.sampled_from(["abcd", "ac", "d", ""]), min_size=4, max_size=4),
    st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_where_only_some_actions_are_allowed_nothing_is_decided_only_if_it_is_asked_for(rows, allowed, allow_none):
    """One training turn of six was empty, so nothing at all once won among the few sets that a mask left."""
    mask = np.array([[name in names for name in "abcd"] for names in allowed[: len(rows)]])
    decided = decoder().decide(np.array(rows), mask, np.array(allow_none[: len(rows)]))
    free = decoder().decide(np.array(rows))
    for row, (actions, names, none) in enumerate(zip(decided.actions, allowed, allow_none, strict=False)):
        assert actions <= set(names)
        if names == "abcd":
            assert actions == free.actions[row]
        elif names and not none:
            assert actions
        elif not names:
            assert actions == set()
    for each in (decided, free):
        assert ((each.confidence >= 0) & (each.confidence <= 1)).all()
        assert ((each.probabilities >= 0) & (each.probabilities <= 1)).all()
    assert not decided.probabilities[~mask].any()


def test_confidence_is_never_more_than_one():
    """Rounding once made it 1.0000000000000568."""
    space = ActionSpace(f"action {number}" for number in range(12))
    z = np.random.default_rng(0).normal(size=(20_000, 12)) * 60
    for whole_sets in (True, False):
        seen = [frozenset(space.classes_[start : start + 3]) for start in range(10)]
        decided = Decoder.fit(space, seen, single_action=False, whole_sets=whole_sets).decide(z)
        assert decided.confidence.max() == 1
        assert decided.probabilities.max() <= 1


@given(logits)
def test_doing_nothing_competes_only_where_training_did_nothing_or_nothing_else_is_allowed(z):
    always = Decoder.fit(SPACE, [frozenset("a"), frozenset("bc")], single_action=False)
    assert always.decide(np.array([z])).actions != [frozenset()]
    decided = always.decide(np.array([z]), np.zeros((1, 4), dtype=bool))
    assert decided.actions == [frozenset()]
    assert decided.confidence[0] == pytest.approx(1.0)


@given(logits)
def test_without_sets_every_action_is_decided_by_itself(z):
    made = Decoder.fit(SPACE, [frozenset(s) for s in SEEN], single_action=False, whole_sets=False)
    decided = made.decide(np.array([z]))
    p = 1 / (1 + np.exp(-np.array(z)))
    assert decided.actions == [frozenset(name for name, value in zip("abcd", z, strict=True) if value > 0)]
    np.testing.assert_allclose(decided.probabilities[0], p, rtol=1e-9)
    np.testing.assert_allclose(decided.confidence, np.maximum(p, 1 - p).prod(), rtol=1e-9)
    np.testing.assert_allclose(
        made.log_probabilities(np.array([z]), decided.actions), np.log(decided.confidence), rtol=1e-6, atol=1e-12
    )


def test_an_unseen_set_stays_possible():
    (chosen,) = decoder().decide(np.array([[-9.0, 9.0, 9.0, 9.0]])).actions
    assert chosen == {"b", "c", "d"}


def test_what_cannot_be_has_no_probability():
    for single in (False, True):
        made = Decoder.fit(SPACE, [frozenset("a")], single_action=single)
        assert made.log_probabilities(np.zeros((1, 4)), [frozenset("ax")]).tolist() == [-np.inf]


@given(st.lists(logits, min_size=1, max_size=5))
def test_a_single_action_is_the_most_probable(rows):
    z = np.array(rows)
    decided = Decoder.fit(SPACE, [frozenset("a")], single_action=True).decide(z)
    softmax = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(decided.probabilities, softmax, rtol=1e-9)
    chosen = [decided.probabilities[i, SPACE.bits(actions)[0]] for i, actions in enumerate(decided.actions)]
    np.testing.assert_allclose(chosen, softmax.max(axis=1))


@pytest.mark.parametrize("single", [True, False])
def test_calibration_finds_the_temperature_that_made_the_labels(single, monkeypatch):
    monkeypatch.setattr(calibration, "_MOST_TURNS", 3_000)
    random = np.random.default_rng(0)
    made = Decoder.fit(SPACE, [frozenset(s) for s in ("abcd" if single else SEEN)], single_action=single)
    z = random.normal(size=(4_000, 4)) * 3
    made.temperature = 2.0
    sets = [frozenset(s) for s in "abcd"] if single else EVERYTHING
    logs = np.stack([made.log_probabilities(z, [s] * len(z)) for s in sets], axis=1)
    gold = [sets[random.choice(len(sets), p=row / row.sum())] for row in np.exp(logs)]
    calibrate(made, np.concatenate([z, z[:2]]), [*gold, None, frozenset("unseen")])
    assert made.temperature == pytest.approx(2.0, rel=0.1)


@given(st.lists(logits, min_size=4, max_size=4), st.sampled_from([0.0, 0.3, 1.0, 20.0]), st.booleans())
def test_no_temperature_makes_the_validation_part_more_likely(rows, times, single):
    seen = [frozenset(s) for s in ("a", "b", "b", "d")] if single else [frozenset(s) for s in SEEN]
    made, z = Decoder.fit(SPACE, seen, single_action=single), np.array(rows) * times
    calibrate(made, z, seen[:4])
    found = made.log_probabilities(z, seen[:4]).sum()
    for temperature in np.geomspace(0.25, 4.0, 17):
        made.temperature = float(temperature)
        assert made.log_probabilities(z, seen[:4]).sum() <= found + 1e-9 * max(1.0, abs(found))


def test_the_fallback_is_chosen_for_a_wanted_precision(monkeypatch):
    made = Decoder.fit(SPACE, [frozenset(s) for s in "abcd"], single_action=True)
    z = np.array([[4.0, 0, 0, 0], [3, 0, 0, 0], [3, 0, 0, 0], [2, 0, 0, 0], [1, 0, 0, 0]])
    gold = [frozenset(name) for name in "aabab"]
    monkeypatch.setattr(decoder_module, "_TOGETHER", 2)
    confidence = made.decide(z).confidence
    assert choose_fallback(made, z, [*gold[:4], None], 0.75) == (1.0, 0.75)
    assert made.fallback_below == confidence[3]
    assert choose_fallback(made, z, gold, 0.7) == (0.8, 0.75)
    assert choose_fallback(made, z, gold, 0.9) == (0.2, 1.0)
    assert made.fallback_below == confidence[0]
    assert choose_fallback(made, z[1:], gold[1:], 0.9) == (0.5, 0.5), "both of equal confidence or none"
    assert Decoder.from_json(made.to_json(), SPACE).fallback_below == made.fallback_below


def test_json_round_trip():
    made = decoder(0.75)
    again = Decoder.from_json(made.to_json(), SPACE)
    z = np.random.default_rng(0).normal(size=(20, 4)) * 3
    assert again.decide(z).actions == made.decide(z).actions


def test_a_turn_is_judged_by_what_is_decided():
    """Turns without known actions do not count; what is impossible there is not decided."""
    logits = np.array([[9.0, -9, -9, -9], [9, -9, -9, -9], [9, 9, -9, -9], [9, 9, -9, -9]])
    gold = [frozenset("a"), None, frozenset("b"), frozenset("ab")]
    impossible = np.array([[False] * 4, [True] * 4, [True, False, False, False], [False] * 4])
    right, confidence = decoder().judge(logits, gold, impossible)
    assert right.tolist() == [True, True, True]
    assert right.dtype == np.bool_
    decided = decoder().decide(logits[[0, 2, 3]], impossible=impossible[[0, 2, 3]])
    assert confidence.tolist() == decided.confidence.tolist()
    assert decoder().judge(logits, gold)[0].tolist() == [True, False, True]


@pytest.mark.parametrize("single_action", [False, True])
def test_log_probabilities_of_many_turns_are_computed_in_pieces(monkeypatch, single_action):
    made = decoder() if not single_action else Decoder.fit(SPACE, [frozenset("a")], single_action=True)
    z = np.random.default_rng(0).normal(size=(len(EVERYTHING), 4))
    whole = made.log_probabilities(z, EVERYTHING)
    monkeypatch.setattr(decoder_module, "_TOGETHER", 3)
    np.testing.assert_array_equal(made.log_probabilities(z, EVERYTHING), whole)


def test_an_only_action_is_certain():
    made = Decoder.fit(ActionSpace(["a"]), [frozenset("a")], single_action=True)
    assert made.log_probabilities(np.array([[-3.0]]), [frozenset("a")]).tolist() == [0.0]
