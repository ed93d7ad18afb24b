"""What is chosen from the log: λ by SLOPE, MAGIC's mixture, MIPS' embedding."""

import itertools

import numpy as np
import pytest
from scipy import optimize

from benchmarks.simulation import SCENARIOS, lead_dialogues, make_world
from dialog_policy.corpus import ActionSpace
from dialog_policy.ope.doubly_robust import DirectMethod, WeightedDR
from dialog_policy.ope.evidence import Evidence, estimate
from dialog_policy.ope.features import state_features
from dialog_policy.ope.log import read_log
from dialog_policy.ope.magic import MAGIC, simplex_minimum
from dialog_policy.ope.mips import marginal_weights
from dialog_policy.ope.slope import slope


@pytest.mark.parametrize(
    ("values", "widths", "chosen"),
    [
        ([0.0, 1.0, 2.0], [1.0, 0.5, 0.1], 2),  # [-2, 2], [0, 2], [1.8, 2.2]
        ([0.0, 1.0, 2.3], [1.0, 0.5, 0.1], 1),  # [2.1, 2.5] is past 2
        ([0.0, 9.0, 0.0], [1.0, 0.5, 0.1], 0),  # what comes after a miss is not looked at
        ([0.0], [1.0], 0),
        ([0.0, 3.5], [1.0, 2.0], 1),  # the first width is raised to the second: [-4, 4]
    ],
)
def test_slope_by_hand(values, widths, chosen):
    assert slope(np.array(values), np.array(widths)) == chosen


def test_slope_takes_the_last_estimate_that_meets_all_before():
    random = np.random.default_rng(0)
    for _ in range(200):
        values, widths = random.normal(size=6), np.sort(random.uniform(0.05, 0.8, size=6))[::-1]
        intervals = [(v - 2 * w, v + 2 * w) for v, w in zip(values, widths, strict=True)]

        def share(count, intervals=intervals):
            return max(low for low, _ in intervals[:count]) <= min(high for _, high in intervals[:count])

        assert slope(values, widths) == max(count for count in range(1, 7) if share(count)) - 1


@pytest.mark.parametrize("seed", range(20))
def test_the_simplex_minimum_is_scipys(seed):
    random = np.random.default_rng(seed)
    k = int(random.integers(2, 9))
    points = random.normal(size=(int(random.integers(1, 12)), k)) * 10.0 ** random.integers(-3, 4, size=k)
    matrix = points.T @ points
    x = simplex_minimum(matrix)
    assert x.sum() == pytest.approx(1)
    assert (x >= 0).all()
    theirs = optimize.minimize(
        lambda y: y @ matrix @ y / np.trace(matrix), np.full(k, 1 / k), bounds=[(0, 1)] * k, method="SLSQP",
        constraints={"type": "eq", "fun": lambda y: y.sum() - 1}, options={"ftol": 1e-15, "maxiter": 1_000},
    )  # fmt: skip
    assert x @ matrix @ x <= theirs.fun * np.trace(matrix) + 1e-9 * np.trace(matrix)
    # No corner is a way down.
    assert ((matrix @ x) >= x @ matrix @ x - 1e-7 * np.diag(matrix).max()).all()


def test_the_simplex_minimum_of_equal_and_of_zero_points():
    assert simplex_minimum(np.ones((3, 3))).sum() == pytest.approx(1)
    assert simplex_minimum(np.zeros((2, 2))).sum() == pytest.approx(1)
    assert simplex_minimum(np.diag([1.0, 3.0])) == pytest.approx(np.array([0.75, 0.25]))


def made(seed, n, steps, bias):
    """A log of rewards of mean 1 a step and variance 1, and a model that is off by `bias` a step, whose Q is its V."""
    random = np.random.default_rng(seed)
    weights = np.cumprod(random.gamma(20, 1 / 20, size=(n, steps)), axis=1)
    rewards = random.normal(1.0, 1.0, size=(n, steps))
    model = np.tile((1.0 + bias) * np.arange(steps, 0, -1), (n, 1)).astype(float)
    return Evidence(weights, rewards, model, model)


def test_magic_is_a_mixture_of_the_horizons():
    evidence = made(1, 400, 3, 0.1)
    terms = MAGIC().terms(evidence)
    rows = terms.parameters["horizons"]
    assert [row["decisions"] for row in rows] == [0, 1, 2, 3]
    assert sum(row["weight"] for row in rows) == pytest.approx(1)
    w, r, q, v = evidence.weights, evidence.rewards, evidence.q, evidence.v
    followed = []
    for horizon in range(4):
        value = v[:, 0].mean()
        for t in range(horizon):
            after = v[:, t + 1] if t < 2 else 0.0
            value += (w[:, t] * (r[:, t] + after - q[:, t])).sum() / w[:, t].sum()
        followed.append(value)
    assert followed[0] == pytest.approx(estimate(DirectMethod(), evidence))
    assert followed[-1] == pytest.approx(estimate(WeightedDR(), evidence))
    expected = sum(row["weight"] * value for row, value in zip(rows, followed, strict=True))
    assert estimate(MAGIC(), evidence) == pytest.approx(expected)


def test_magic_believes_a_right_model_and_follows_the_log_against_a_wrong_one():
    right = MAGIC().terms(made(2, 500, 3, 0.0)).parameters["horizons"]
    assert right[0]["weight"] > 0.9
    wrong = MAGIC().terms(made(2, 500, 3, 2.0)).parameters["horizons"]
    assert wrong[-1]["weight"] > 0.9


def test_magic_of_long_dialogues_mixes_ten_horizons_at_most():
    rows = MAGIC().terms(made(3, 60, 40, 0.1)).parameters["horizons"]
    decisions = [row["decisions"] for row in rows]
    assert len(decisions) <= 10
    assert (decisions[0], decisions[-1]) == (0, 40)
    assert all(a < b for a, b in itertools.pairwise(decisions))


def test_bits_that_change_nothing_are_given_up_first_and_weights_are_those_of_the_rest():
    scenario = SCENARIOS["sets with actions that change nothing"]
    world = make_world(0, longest=2, sharpness=0.5, extras=scenario.extras)
    corpus, predictions = lead_dialogues(world, 2_000, 3)
    log = read_log(corpus)
    space = ActionSpace().fit(log.actions)
    ratios = np.array([p.logged for p in predictions]) / log.propensities
    taken = space.transform(log.actions).astype(float)
    embeddings = marginal_weights(log, state_features(log, space), taken, ratios, space.classes_)
    sizes = [len(embedding.kept) for embedding in embeddings]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == len(space)
    assert sizes[-1] == 1
    assert embeddings[0].weights[:, 0] == pytest.approx(log.spread(ratios, 1.0)[:, 0])
    middle = next(embedding for embedding in embeddings if len(embedding.kept) in (2, 3))
    assert {name for name in middle.kept if name.startswith("extra")} == set()
    # The weights of a first decision by its action alone are π / b of that action.
    states, actions = ("north", "south", "east", "west"), ("ask", "offer", "book")
    exact = []
    for dialogue in corpus:
        state = states.index(dialogue.turns[0].user)
        (action,) = (actions.index(name) for name in dialogue.turns[0].actions if name in actions)
        exact.append(world.target[state, action] / world.logging[state, action])
    assert np.abs(middle.weights[:, 0] - exact).mean() < 0.12
    assert np.abs(embeddings[0].weights[:, 0] - exact).mean() > 0.3


def test_the_influence_of_a_dialogue_on_the_weights_is_what_the_estimate_moves_by():
    world = make_world(1, longest=2)
    corpus, predictions = lead_dialogues(world, 400, 3)
    log = read_log(corpus)
    space = ActionSpace().fit(log.actions)
    (target,) = {frozenset(p.probabilities) for p in predictions}
    assert target == set(space.classes_)
    shares = [p.probabilities[next(iter(actions))] for p, actions in zip(predictions, log.actions, strict=True)]
    ratios, taken = np.array(shares) / log.propensities, space.transform(log.actions).astype(float)
    states, rewards = state_features(log, space), log.spread(log.rewards, 0.0)

    def coarsest(ratios):
        marginal = marginal_weights(log, states, taken, ratios, space.classes_)[-1]
        return (marginal.weights * rewards).sum(axis=1).mean(), marginal.fit_influence

    # The fits are linear in the ratios: raised a little in one dialogue, the estimate moves by what its influence grows by.
    raised = ratios.copy()
    raised[log.dialogue == 7] += 1e-4
    (before, influence), (after, moved) = coarsest(ratios), coarsest(raised)
    assert after - before == pytest.approx((moved - influence)[7] / (len(log.dialogues) - 1), rel=0.05)
    assert influence.mean() == pytest.approx(0, abs=1e-12)
