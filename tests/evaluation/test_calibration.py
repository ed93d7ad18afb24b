import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from dialog_policy.corpus import Corpus, Dialogue, Turn
from dialog_policy.evaluation.calibration import Reliability, expected_calibration_error, reliability_rows
from dialog_policy.evaluation.probability_scores import exclude_each_other
from dialog_policy.prediction import Prediction
from tests.predictors import judged

outcomes = st.lists(
    st.tuples(st.sampled_from([i / 20 for i in range(21)]) | st.floats(0, 1), st.booleans()), min_size=1
)


@given(outcomes)
def test_bins_are_scikit_learns(pairs):
    shares, right = np.array([p for p, _ in pairs]), np.array([r for _, r in pairs])
    rows = reliability_rows(Reliability.of(shares, right))
    accuracy, confidence = calibration_curve(right.astype(int), shares, n_bins=10, strategy="uniform", pos_label=1)
    assert [row.accuracy for row in rows] == pytest.approx(accuracy.tolist())
    assert [row.confidence for row in rows] == pytest.approx(confidence.tolist())
    assert sum(row.count for row in rows) == len(pairs)
    by_hand = sum(row.count * abs(row.accuracy - row.confidence) for row in rows) / len(pairs)
    assert expected_calibration_error(Reliability.of(shares, right)) == pytest.approx(by_hand)


@given(outcomes, st.integers(0, 5), st.integers(0, 5))
def test_zeros_can_be_added_later(pairs, right, wrong):
    shares, came_true = np.array([p for p, _ in pairs]), np.array([r for _, r in pairs])
    later = Reliability.of(shares, came_true).with_zeros(right + wrong, right)
    at_once = Reliability.of(
        np.concatenate([shares, np.zeros(right + wrong)]),
        np.concatenate([came_true, np.arange(right + wrong) < right]),
    )
    for part, other in zip(later, at_once, strict=True):
        assert part.tolist() == pytest.approx(other.tolist())


def test_the_report_has_sets_and_bits():
    turns = tuple(Turn(user="", actions=frozenset(actions)) for actions in ("a", "b", "ab", ""))
    corpus = Corpus([Dialogue(id="d", turns=turns)])
    outcomes = [({"a": 0.95}, 0.9, "a"), ({"a": 0.5}, 0.45, "a"), ({"a": 0.95, "b": 0.85}, 0.75, "ab"), ({}, 0.35, "")]
    predictions = [
        Prediction(dialogue="d", turn=t, actions=frozenset(mine), probabilities=shares, confidence=confidence)
        for t, (shares, confidence, mine) in enumerate(outcomes)
    ]
    result = judged(predictions, corpus, known_actions="ab", resamples=0)
    sets, bits = result["calibration"], result["calibration_bits"]
    bins = [(round(row["low"], 6), row["count"], row["accuracy"]) for row in sets["bins"]]
    assert bins == [(0.3, 1, 1.0), (0.4, 1, 0.0), (0.7, 1, 1.0), (0.8, 1, 1.0)]
    assert sets["ece"] == pytest.approx((0.65 + 0.45 + 0.25 + 0.1) / 4)
    # Four of eight bits are left out: probability 0, and one of them was right.
    assert (bits["bins"][0]["count"], bits["bins"][0]["accuracy"]) == (4, 0.25)
    assert bits["ece"] == pytest.approx((1 + 0.5 + 0.15 + 0.1) / 8)


@pytest.mark.parametrize(
    ("least", "most", "exclusive"),
    [(1, 1, True), (0.9965, 1.0005, True), (0.9945, 1, False), (0.5, 1, False), (1, 1.002, False), (1, 2, False)],
)
def test_probabilities_that_add_up_exclude_each_other(least, most, exclusive):
    """But for a thousandth of rounding, and a thousandth of each of four actions that may have been left out."""
    assert exclude_each_other(least, most, 4) is exclusive


def test_no_interval_of_a_loss_is_below_zero():
    """Two dialogues: Student's t with one degree of freedom reaches far below the mean."""
    shares = (0.9, 0.4)
    corpus = Corpus([Dialogue(id=str(i), turns=(Turn(user="", actions=frozenset("a")),)) for i in range(2)])
    predictions = [
        Prediction(dialogue=str(i), turn=0, actions=frozenset("a"), probabilities={"a": p}, confidence=p)
        for i, p in enumerate(shares)
    ]
    result = judged(predictions, corpus, known_actions="ab")
    for name in ("log_loss", "brier"):
        low, high = result["ci95"][name]
        assert low == 0.0
        assert high > result[name]
