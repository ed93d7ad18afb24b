import itertools

import numpy as np
import pytest

from benchmarks.simulation import make_world, true_value
from dialog_policy.ope.estimators import ESTIMATORS, Evidence, cumulative_weights, estimate


def all_dialogues(world):
    """Every dialogue of a world: its probability under logging, and per step state, action, mean reward; None after the end."""
    states, actions = world.logging.shape

    def go_on(state, turn, share, path):
        for action in range(actions):
            here = share * world.logging[state, action]
            longer = [*path, (state, action)]
            stops = 1.0 if turn == world.longest - 1 else world.stop
            yield here * stops, longer
            if stops < 1:
                for following in range(states):
                    move = world.moves[state, action, following]
                    yield from go_on(following, turn + 1, here * (1 - stops) * move, longer)

    for start in range(states):
        yield from go_on(start, 0, world.start[start], [])


@pytest.fixture(scope="module")
def enumerated():
    """All dialogues of a small world as evidence, with their probabilities. Rewards are the means of what was done."""
    world = make_world(3, longest=2, sharpness=1.0)
    shares, paths = zip(*all_dialogues(world), strict=True)
    n, steps = len(paths), world.longest
    ratios, rewards, q, v = np.ones((n, steps)), np.zeros((n, steps)), np.zeros((n, steps)), np.zeros((n, steps))
    # Any model will do, also a wrong one, if V is the mean of Q under the target.
    guess = np.random.default_rng(0).normal(size=world.logging.shape)
    for i, path in enumerate(paths):
        for t, (s, a) in enumerate(path):
            ratios[i, t] = world.target[s, a] / world.logging[s, a]
            rewards[i, t] = world.rewards[s, a]
            q[i, t], v[i, t] = guess[s, a], world.target[s] @ guess[s]
    assert sum(shares) == pytest.approx(1)
    return world, np.array(shares), ratios, Evidence(cumulative_weights(ratios), rewards, q, v, v[:, 0])


@pytest.mark.parametrize("gamma", [1.0, 0.7])
@pytest.mark.parametrize("name", ["ips", "snips", "pdis", "wpdis", "dr"])
def test_over_all_dialogues_the_estimate_is_the_value(enumerated, name, gamma):
    world, shares, _, evidence = enumerated
    discounts = gamma ** np.arange(world.longest)
    evidence = evidence._replace(
        rewards=evidence.rewards * discounts, q=evidence.q * discounts, v=evidence.v * discounts
    )
    # The expectation over the log: each dialogue counts by its probability.
    totals = shares @ ESTIMATORS[name].columns(evidence)
    value = ESTIMATORS[name].value(totals[None], 1)[0]
    assert value == pytest.approx(true_value(world, world.target, gamma), abs=1e-12)
    assert abs(value - true_value(world, world.logging, gamma)) > 0.02


def naive(evidence, ratios):
    """The formulas, dialogue by dialogue."""
    n, steps = ratios.shape
    weights = [[np.prod(ratios[i, : t + 1]) for t in range(steps)] for i in range(n)]
    r, q, v = evidence.rewards, evidence.q, evidence.v
    returns = [sum(r[i]) for i in range(n)]
    whole = [weights[i][-1] for i in range(n)]
    found = {
        "ips": sum(w * g for w, g in zip(whole, returns, strict=True)) / n,
        "snips": sum(w * g for w, g in zip(whole, returns, strict=True)) / sum(whole),
        "pdis": sum(weights[i][t] * r[i, t] for i, t in itertools.product(range(n), range(steps))) / n,
        "wpdis": sum(
            sum(weights[i][t] * r[i, t] for i in range(n)) / sum(weights[i][t] for i in range(n)) for t in range(steps)
        ),
        "dm": sum(evidence.direct) / n,
    }
    # The recursion of Jiang & Li (2016): V̂(x) + ρ (r + V_DR of what follows − Q̂).
    total = 0.0
    for i in range(n):
        following = 0.0
        for t in range(steps - 1, -1, -1):
            following = v[i, t] + ratios[i, t] * (r[i, t] + following - q[i, t])
        total += following
    return {**found, "dr": total / n}


def test_sums_are_the_formulas():
    random = np.random.default_rng(4)
    ratios = random.gamma(2, size=(9, 4))
    evidence = Evidence(cumulative_weights(ratios), *random.normal(size=(3, 9, 4)), random.normal(size=9))
    for name, value in naive(evidence, ratios).items():
        assert estimate(name, evidence) == pytest.approx(value), name


def test_one_decision_by_hand():
    # Taken with ½, ½ and ¼; the policy would take them with 1, 0 and ½: weights 2, 0, 2.
    evidence = Evidence(cumulative_weights(np.array([[2.0], [0.0], [2.0]])), np.array([[1.0], [5.0], [0.0]]))
    assert estimate("ips", evidence) == pytest.approx(2 / 3)
    assert estimate("snips", evidence) == pytest.approx(1 / 2)


def test_self_normalised_estimates_move_with_the_rewards():
    random = np.random.default_rng(5)
    evidence = Evidence(cumulative_weights(random.gamma(2, size=(7, 1))), random.normal(size=(7, 1)))
    shifted = evidence._replace(rewards=evidence.rewards + 100)
    for name, moves in (("snips", True), ("wpdis", True), ("ips", False)):
        assert (estimate(name, shifted) - estimate(name, evidence) == pytest.approx(100)) is moves


def test_clipping_bounds_weights_and_no_product_overflows():
    ratios = np.full((2, 3), 10.0)
    assert cumulative_weights(ratios, 50.0) == pytest.approx(np.array([[10.0, 50.0, 50.0]] * 2))
    assert np.isfinite(cumulative_weights(np.full((1, 400), 50.0))).all()
    assert cumulative_weights(np.array([[0.0, 3.0]])).tolist() == [[0.0, 0.0]]
