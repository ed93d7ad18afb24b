import pytest

from dialog_policy.corpus import ActionSpace
from dialog_policy.errors import CorpusError
from dialog_policy.ope.target_policy import greedy_policy, stochastic_policy
from dialog_policy.prediction import Prediction

SPACE = ActionSpace(["a", "b", "c"])
A, B, AB = frozenset("a"), frozenset("b"), frozenset("ab")


def prediction(actions, probabilities=None, turn=0, **more):
    return Prediction(dialogue="d", turn=turn, actions=actions, probabilities=probabilities, **more)


def test_without_probabilities_a_policy_takes_what_it_predicts():
    predictions = [prediction(A), prediction(AB, turn=1)]
    for target in (stochastic_policy(predictions, [A, A], SPACE), greedy_policy(predictions, [A, A], SPACE)):
        assert target.logged.tolist() == [1, 0]
        assert target.expected.tolist() == [[1, 0, 0], [1, 1, 0]]


def test_probabilities_of_single_actions_are_scaled_to_one():
    target = stochastic_policy([prediction(A, {"a": 0.72, "b": 0.24})], [B], SPACE)
    assert target.logged.tolist() == pytest.approx([0.25])
    assert target.expected[0] == pytest.approx([0.75, 0.25, 0])


def test_bits_compete_among_the_sets_of_the_log():
    bits = {"a": 0.8, "b": 0.4, "c": 0.5}
    predictions = [prediction(A, bits), prediction(A, bits, turn=1)]
    target = stochastic_policy(predictions, [A, AB], SPACE)
    # Only {a} and {a, b} compete, at odds of 0.6 to 0.4: c and a cancel.
    assert target.logged == pytest.approx([0.6, 0.4])
    assert target.expected[0] == pytest.approx([1, 0.4, 0])


def test_confidence_is_the_probability_of_the_predicted_set():
    bits = {"a": 0.8, "b": 0.4}
    logged = [A, AB, B]
    target = stochastic_policy([prediction(A, bits, turn=i, confidence=0.9) for i in range(3)], logged, SPACE)
    assert target.logged[0] == pytest.approx(0.9)
    # {a, b} is as likely as {b} times the odds of a.
    assert target.logged[1:].sum() == pytest.approx(0.1)
    assert target.logged[1] / target.logged[2] == pytest.approx(0.8 / 0.2)
    assert target.expected[0] == pytest.approx([0.9 + target.logged[1], 0.1, 0])
    alone = stochastic_policy([prediction(A, {"a": 0.3}, confidence=0.2)], [A], SPACE)
    assert alone.logged.tolist() == [1.0]


def test_the_logged_probability_comes_before_what_bits_say():
    target = stochastic_policy([prediction(A, {"a": 0.8, "b": 0.4}, logged=0.3)], [AB], SPACE)
    assert target.logged.tolist() == [0.3]
    assert target.expected[0].tolist() == [0.8, 0.4, 0]


def test_the_logged_probability_alone_is_enough_for_weights():
    target = stochastic_policy([prediction(A, logged=0.3)], [B], SPACE)
    assert target.logged.tolist() == [0.3]
    assert target.expected is None


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        ([prediction(A, {"a": 1.0}), prediction(A, turn=1)], "turn 1 .*expected 'probabilities'"),
        ([prediction(A, logged=0.5), prediction(A, turn=1)], "turn 1 .*expected 'logged'"),
        ([prediction(A), prediction(A, turn=1, confidence=0.5)], "turn 1 .*confidence of 0.5 but no probabilities"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_the_place(predictions, message):
    with pytest.raises(CorpusError, match=f"'d', {message}"):
        stochastic_policy(predictions, [B, A], SPACE)


def test_a_run_states_how_probable_the_logged_set_is(trained, small):
    policy, part = trained.runtime_, small.split("test")
    with_log, plain = list(policy.logged_probabilities(part)), list(policy.predict(part))
    assert [(p.dialogue, p.turn, p.actions) for p in with_log] == [(p.dialogue, p.turn, p.actions) for p in plain]
    for mine, usual in zip(with_log, plain, strict=True):
        gold = part.dialogue(mine.dialogue).turns[mine.turn].actions
        assert mine.confidence == pytest.approx(usual.confidence)
        assert mine.probabilities == pytest.approx(
            {**dict.fromkeys(mine.probabilities, 0.0), **usual.probabilities}, abs=1e-3
        )
        # No set is more probable than the chosen one or than any of its actions.
        assert (
            mine.logged
            <= min([mine.confidence, *(mine.probabilities[a] for a in gold if a in mine.probabilities)]) + 1e-9
        )
        if gold == mine.actions:
            assert mine.logged == pytest.approx(mine.confidence)
    logged = [turn.actions for d in part for turn in d.turns if turn.is_target]
    target = stochastic_policy(with_log, logged, policy.actions)
    assert target.logged.tolist() == [p.logged for p in with_log]
    assert target.expected.shape == (len(logged), len(policy.actions))
