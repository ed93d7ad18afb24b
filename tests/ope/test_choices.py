"""What MAGIC and the estimators that shrink weights choose, against their definitions written out."""

import math

import numpy as np
import pytest

from dialog_policy.evaluation.intervals import dialogue_weights
from dialog_policy.ope.doubly_robust import WeightedDR
from dialog_policy.ope.evidence import Evidence, estimate
from dialog_policy.ope.magic import MAGIC, simplex_minimum
from dialog_policy.ope.shrinkage import DRos, SwitchDR


def made(seed, n, steps, bias=0.1):
    """A log in which some weights are 0, from the third step on all of them, and a model that is off by `bias` a step."""
    random = np.random.default_rng(seed)
    ratios = random.gamma(2, 0.5, size=(n, steps)) * (random.random((n, steps)) < 0.9)
    ratios[:, 2:3] = 0.0
    model = np.tile((1.0 + bias) * np.arange(steps, 0, -1.0), (n, 1)) + random.normal(0, 0.1, size=(n, steps))
    return Evidence(np.cumprod(ratios, axis=1), random.normal(1.0, 1.0, size=(n, steps)), model, model)


def horizons_by_hand(evidence):
    """Shape (n, T + 1): what each dialogue adds to n g_j, for every horizon."""
    n, steps = evidence.weights.shape
    added = np.zeros((n, steps + 1))
    for i in range(n):
        added[i, :] = evidence.v[i, 0]
        for t in range(steps):
            total = sum(evidence.weights[k, t] for k in range(n))
            following = evidence.v[i, t + 1] if t + 1 < steps else 0.0
            error = evidence.rewards[i, t] + following - evidence.q[i, t]
            if total > 0:
                added[i, t + 1 :] += n * evidence.weights[i, t] / total * error
    return added


def matrix_by_hand(evidence):
    """Ω + b bᵀ of Thomas & Brunskill (2016): covariance of the means, and their distances from the interval of `wdr`."""
    added = horizons_by_hand(evidence)
    n, k = added.shape
    values = [sum(added[i, j] for i in range(n)) / n for j in range(k)]
    drawn = []
    for row in np.concatenate(list(dialogue_weights(n, 200, 0))):
        again = [i for i in range(n) for _ in range(int(row[i]))]
        drawn.append(estimate(WeightedDR(), Evidence(*(table[again] for table in evidence[:4]))))
    low, high = np.quantile(drawn, [0.05, 0.95])
    low, high = min(low, values[-1]), max(high, values[-1])
    bias = [float(max(0.0, low - value, value - high)) for value in values]
    matrix = np.zeros((k, k))
    for j in range(k):
        for m in range(k):
            covariance = sum((added[i, j] - values[j]) * (added[i, m] - values[m]) for i in range(n)) / (n * (n - 1))
            matrix[j, m] = covariance + bias[j] * bias[m]
    return matrix, bias


@pytest.mark.parametrize("bias", [0.05, 0.3, -0.8])
def test_the_mixture_of_magic_has_the_least_error_by_its_definition(bias):
    evidence = made(1, 30, 4, bias)
    x = np.array([row["weight"] for row in MAGIC().terms(evidence).parameters["horizons"]])
    matrix, distances = matrix_by_hand(evidence)
    assert any(distances) is (abs(bias) > 0.1)
    assert sum(x) == pytest.approx(1)
    assert (x >= 0).all()
    assert 0 < (x > 0).sum() < len(x), "some horizons are mixed, others are not"
    # What is mixed is as steep as the mixture, and nothing else is less so: the minimum of a convex function.
    slopes = matrix @ x
    assert slopes[x > 0] == pytest.approx(x @ matrix @ x, rel=1e-6)
    assert slopes.min() == pytest.approx(x @ matrix @ x, rel=1e-6)


def test_what_each_dialogue_adds_to_magic_follows_the_mixture():
    evidence = made(2, 25, 4, 0.2)
    terms = MAGIC().terms(evidence)
    x = np.array([row["weight"] for row in terms.parameters["horizons"]])
    assert estimate(MAGIC(), evidence) == pytest.approx(horizons_by_hand(evidence).mean(axis=0) @ x)
    # Twice every dialogue is the same estimate, and a step without weights adds nothing.
    twice = terms.value(2 * terms.columns.sum(axis=0)[None], np.array([50.0]))
    assert twice[0] == pytest.approx(estimate(MAGIC(), evidence))
    # Weights are only compared with each other, however small they are.
    small = evidence._replace(weights=evidence.weights / 1_000)
    assert estimate(MAGIC(), small) == pytest.approx(estimate(MAGIC(), evidence))


@pytest.mark.parametrize(
    ("steps", "decisions"),
    [
        (1, [0, 1]),
        (9, list(range(10))),
        (10, [0, 1, 2, 3, 4, 6, 7, 10]),
        (100, [0, 1, 2, 3, 6, 10, 18, 32, 56, 100]),
    ],
)
def test_all_horizons_are_mixed_or_ten_ever_further_apart(steps, decisions):
    rows = MAGIC().terms(made(3, 12, steps)).parameters["horizons"]
    assert [row["decisions"] for row in rows] == decisions


@pytest.mark.parametrize("scale", [1e-280, 1e-14, 1.0, 1e14, 1e200])
def test_the_simplex_minimum_does_not_depend_on_the_unit(scale):
    points = np.random.default_rng(4).normal(1.0, 1.0, size=(5, 6))
    matrix = points.T @ points
    expected = simplex_minimum(matrix)
    assert (expected > 0).sum() > 1
    assert simplex_minimum(scale * matrix) == pytest.approx(expected, rel=1e-6)


def test_ties_in_the_search_for_the_simplex_minimum_end_at_a_minimum():
    # Twins, a corner as good as the mixture of two others, and a point that enters and is left again.
    square = np.array([[1.0, 1.0, -1.0, -1.0, 1.0], [1.0, -1.0, 1.0, -1.0, 1.0]]) + np.array([[3.0], [0.0]])
    corner = np.array([[1.0, 1.0, 1.0], [-1.0, 1.0, 0.0]])
    leaving = np.array([[0.0, -2.0, 3.0, 0.1], [2.0, 1.0, 1.0, 1.9]])
    for points, norm in ((square, 4.0), (corner, 1.0), (leaving, 1.0), (np.ones((1, 4)), 1.0)):
        for order in (slice(None), slice(None, None, -1)):
            p = points[:, order]
            x = simplex_minimum(p.T @ p)
            assert sum(x) == pytest.approx(1)
            assert (x >= 0).all()
            assert x @ p.T @ p @ x == pytest.approx(norm, rel=1e-9)


def lambdas_of(estimator, evidence, monkeypatch):
    """Every λ among which SLOPE chooses, in order."""
    found = []
    for index in range(11):
        monkeypatch.setattr("dialog_policy.ope.shrinkage.slope", lambda values, widths, index=index: index)
        chosen = estimator.terms(evidence).parameters["lambda"]
        found.append(math.inf if chosen is None else chosen)
    return found


def test_dros_chooses_from_a_grid_that_the_weights_span(monkeypatch):
    evidence = made(5, 200, 2)
    positive = evidence.weights[evidence.weights > 0]
    assert 0.05 < (evidence.weights == 0).mean() < 0.5
    small, large = np.quantile(positive, [0.05, 0.95])
    expected = [math.inf, *np.geomspace(100 * large**2, 0.01 * small**2, 9), 0.0]
    assert lambdas_of(DRos(), evidence, monkeypatch) == pytest.approx(expected)


def test_switch_dr_chooses_from_quantiles_of_the_weights(monkeypatch):
    evidence = made(6, 200, 2)
    quantiles = np.quantile(evidence.weights, [0.99, 0.95, 0.9, 0.8, 0.65, 0.5, 0.35, 0.2])
    monkeypatch.setattr("dialog_policy.ope.shrinkage.slope", lambda values, widths: len(values) - 1)
    assert SwitchDR().terms(evidence).parameters == {"lambda": 0.0}
    for index, expected in enumerate([None, *quantiles, 0.0]):
        monkeypatch.setattr("dialog_policy.ope.shrinkage.slope", lambda values, widths, index=index: index)
        chosen = SwitchDR().terms(evidence).parameters["lambda"]
        assert chosen == (None if expected is None else pytest.approx(expected))


def test_a_weight_at_the_threshold_is_kept():
    evidence = Evidence(np.array([[1.0], [2.0]]), np.ones((2, 1)), np.zeros((2, 1)), np.zeros((2, 1)))
    assert estimate(SwitchDR((1.0,)), evidence) == pytest.approx(1 / 2)
    assert estimate(SwitchDR((2.0,)), evidence) == pytest.approx(3 / 2)


def test_where_no_action_was_possible_there_is_nothing_to_shrink():
    evidence = made(7, 10, 2)._replace(weights=np.zeros((10, 2)))
    assert DRos().terms(evidence).parameters == {"lambda": 0.0}
    assert estimate(DRos(), evidence) == pytest.approx(evidence.v[:, 0].mean())
