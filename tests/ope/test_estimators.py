"""Every estimator against its value over all dialogues of a small world, and against its formula written out."""

import itertools
import math

import numpy as np
import pytest

from benchmarks.simulation import make_world, true_value
from dialog_policy.ope.doubly_robust import DirectMethod, DoublyRobust, SelfNormalizedDR, WeightedDR
from dialog_policy.ope.estimators import ESTIMATORS
from dialog_policy.ope.evidence import Evidence, MarginalWeights, cumulative_weights, estimate
from dialog_policy.ope.magic import MAGIC
from dialog_policy.ope.mips import MarginalizedIPS
from dialog_policy.ope.shrinkage import DRos, SwitchDR

# Estimators that are right for any model where the propensities are, with λ left at no shrinkage.
UNBIASED = {
    **{key: ESTIMATORS[key] for key in ("ips", "snips", "pdis", "wpdis", "dr", "sndr", "wdr")},
    "switch_dr": SwitchDR(lambdas=(math.inf,)),
    "dros": DRos(lambdas=(math.inf,)),
}


def all_dialogues(world):
    """Every dialogue of a world: its probability under logging, and per step state and action."""
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


def enumerate_evidence(world, q):
    """All dialogues as evidence, with their probabilities; rewards are the means of what was done, V is the mean of Q."""
    shares, paths = zip(*all_dialogues(world), strict=True)
    tables = {name: np.zeros((len(paths), world.longest)) for name in ("rewards", "q", "v")}
    ratios = np.ones((len(paths), world.longest))
    for i, path in enumerate(paths):
        for t, (s, a) in enumerate(path):
            ratios[i, t] = world.target[s, a] / world.logging[s, a]
            tables["rewards"][i, t] = world.rewards[s, a]
            tables["q"][i, t], tables["v"][i, t] = q[t, s, a], world.target[s] @ q[t, s]
    assert sum(shares) == pytest.approx(1)
    return np.array(shares), Evidence(cumulative_weights(ratios), **tables)


def true_q(world):
    """Shape (longest, S, A): the value of an action under the target policy."""
    q = np.zeros((world.longest, *world.logging.shape))
    following = np.zeros(len(world.start))
    for turn in range(world.longest - 1, -1, -1):
        goes_on = 0.0 if turn == world.longest - 1 else 1 - world.stop
        q[turn] = world.rewards + goes_on * (world.moves @ following)
        following = (world.target * q[turn]).sum(axis=1)
    return q


@pytest.fixture(scope="module")
def world():
    return make_world(3, longest=2, sharpness=1.0)


def expectation(estimator, shares, evidence):
    """The estimate over the log in which each dialogue counts by its probability."""
    terms = estimator.terms(evidence)
    return terms.value((shares @ terms.columns)[None], np.ones(1))[0]


@pytest.mark.parametrize("gamma", [1.0, 0.7])
@pytest.mark.parametrize("key", UNBIASED)
def test_over_all_dialogues_the_estimate_is_the_value_whatever_the_model(world, key, gamma):
    q = np.random.default_rng(0).normal(size=(2, *world.logging.shape))
    shares, evidence = enumerate_evidence(world, q)
    discounts = gamma ** np.arange(world.longest)
    evidence = evidence._replace(
        rewards=evidence.rewards * discounts, q=evidence.q * discounts, v=evidence.v * discounts
    )
    value = expectation(UNBIASED[key], shares, evidence)
    assert value == pytest.approx(true_value(world, world.target, gamma), abs=1e-12)
    assert abs(value - true_value(world, world.logging, gamma)) > 0.02


@pytest.mark.parametrize(
    "estimator",
    [DirectMethod(), DoublyRobust(), SelfNormalizedDR(), WeightedDR(), MAGIC(), SwitchDR((0.5,)), DRos((0.2,)), DRos()],
    ids=lambda estimator: estimator.key,
)
def test_with_the_true_model_the_estimate_is_the_value_whatever_the_weights(world, estimator):
    shares, evidence = enumerate_evidence(world, true_q(world))
    for weights in (evidence.weights, np.ones_like(evidence.weights)):
        value = expectation(estimator, shares, evidence._replace(weights=weights))
        assert value == pytest.approx(true_value(world, world.target), abs=1e-12)


def naive(ratios, evidence):
    """The formulas of the papers, dialogue by dialogue."""
    n, steps = ratios.shape
    w = [[math.prod(ratios[i, : t + 1]) for t in range(steps)] for i in range(n)]
    r, q, v = evidence.rewards, evidence.q, evidence.v
    returns = [sum(r[i]) for i in range(n)]
    whole = [w[i][-1] for i in range(n)]
    sums = [sum(w[i][t] for i in range(n)) for t in range(steps)]
    values = {
        "ips": sum(x * g for x, g in zip(whole, returns, strict=True)) / n,
        "snips": sum(x * g for x, g in zip(whole, returns, strict=True)) / sum(whole),
        "pdis": sum(w[i][t] * r[i, t] for i, t in itertools.product(range(n), range(steps))) / n,
        "wpdis": sum(sum(w[i][t] * r[i, t] for i in range(n)) / sums[t] for t in range(steps)),
        "dm": sum(v[i, 0] for i in range(n)) / n,
    }
    # The recursion of Jiang & Li (2016): V̂(x) + ρ (r + V_DR of what follows − Q̂).
    total = 0.0
    for i in range(n):
        following = 0.0
        for t in range(steps - 1, -1, -1):
            following = v[i, t] + ratios[i, t] * (r[i, t] + following - q[i, t])
        total += following
    values["dr"] = total / n
    # Thomas & Brunskill (2016): weighted rewards, less the control variate Σ w̄_t Q̂_t − w̄_t−1 V̂_t.
    values["wdr"] = sum(
        w[i][t] / sums[t] * (r[i, t] - q[i, t]) + (w[i][t - 1] / sums[t - 1] if t else 1 / n) * v[i, t]
        for i, t in itertools.product(range(n), range(steps))
    )
    after = [[v[i, t + 1] if t + 1 < steps else 0.0 for t in range(steps)] for i in range(n)]
    errors = [sum(r[i, t] + after[i][t] - q[i, t] for t in range(steps)) for i in range(n)]
    values["sndr"] = values["dm"] + sum(x * e for x, e in zip(whole, errors, strict=True)) / sum(whole)
    return values


def random_evidence(seed, n, steps):
    random = np.random.default_rng(seed)
    ratios = random.gamma(2, size=(n, steps))
    return ratios, Evidence(cumulative_weights(ratios), *random.normal(size=(3, n, steps)))


@pytest.mark.parametrize("steps", [1, 4])
def test_estimates_are_the_formulas(steps):
    ratios, evidence = random_evidence(4, 9, steps)
    for key, value in naive(ratios, evidence).items():
        assert estimate(ESTIMATORS[key], evidence) == pytest.approx(value), key


def test_one_decision_by_hand():
    # Taken with ½, ½ and ¼; the policy would take them with 1, 0 and ½: weights 2, 0, 2.
    evidence = Evidence(cumulative_weights(np.array([[2.0], [0.0], [2.0]])), np.array([[1.0], [5.0], [0.0]]))
    assert estimate(ESTIMATORS["ips"], evidence) == pytest.approx(2 / 3)
    assert estimate(ESTIMATORS["snips"], evidence) == pytest.approx(1 / 2)
    # The model says 0.5 everywhere: errors 0.5, 4.5, −0.5 have the weights 2, 0, 2.
    model = evidence._replace(q=np.full((3, 1), 0.5), v=np.full((3, 1), 0.5))
    for key in ("dr", "sndr", "wdr"):
        assert estimate(ESTIMATORS[key], model) == pytest.approx(0.5)
    uneven = model._replace(q=np.array([[0.0], [0.5], [0.5]]))
    assert estimate(ESTIMATORS["dr"], uneven) == pytest.approx(0.5 + (2 * 1 - 2 * 0.5) / 3)
    assert estimate(ESTIMATORS["sndr"], uneven) == estimate(ESTIMATORS["wdr"], uneven) == pytest.approx(0.75)


@pytest.mark.parametrize(("shrinkage", "expected"), [(math.inf, "dr"), (0.0, "dm")])
@pytest.mark.parametrize("estimator", [SwitchDR, DRos])
def test_without_and_with_all_shrinkage_they_are_dr_and_dm(estimator, shrinkage, expected):
    _, evidence = random_evidence(5, 12, 3)
    value = estimate(ESTIMATORS[expected], evidence)
    assert estimate(estimator((shrinkage,)), evidence) == pytest.approx(value)


def test_shrunk_weights_by_hand():
    weights = np.array([[0.0], [1.0], [4.0]])
    evidence = Evidence(weights, np.ones((3, 1)), np.zeros((3, 1)), np.zeros((3, 1)))
    assert estimate(SwitchDR((2.0,)), evidence) == pytest.approx((0 + 1 + 0) / 3)
    # λ w / (w² + λ): 0, 2 / 3, 8 / 18.
    assert estimate(DRos((2.0,)), evidence) == pytest.approx((0 + 2 / 3 + 8 / 18) / 3)
    assert estimate(DRos((1e300,)), evidence) == pytest.approx(5 / 3)


@pytest.mark.parametrize("key", ["switch_dr", "dros"])
def test_a_wrong_model_is_found_out_and_a_right_one_believed(key):
    random = np.random.default_rng(6)
    n = 2_000
    weights, rewards = random.gamma(1, size=(n, 1)), random.normal(2.0, 1.0, size=(n, 1))
    right = Evidence(weights, rewards, np.full((n, 1), 2.0), np.full((n, 1), 2.0))
    wrong = Evidence(weights, rewards, np.zeros((n, 1)), np.zeros((n, 1)))
    assert ESTIMATORS[key].terms(right).parameters == {"lambda": 0.0}
    chosen = ESTIMATORS[key].terms(wrong).parameters["lambda"]
    assert chosen is None or chosen > 1
    assert estimate(ESTIMATORS[key], wrong) == pytest.approx(2.0, abs=0.3)


def test_self_normalised_estimates_move_with_the_rewards():
    _, evidence = random_evidence(7, 7, 1)
    shifted = evidence._replace(rewards=evidence.rewards + 100)
    for key in ("snips", "wpdis", "sndr", "wdr", "ips", "dr"):
        moved = estimate(ESTIMATORS[key], shifted) - estimate(ESTIMATORS[key], evidence)
        assert (moved == pytest.approx(100)) is (key not in ("ips", "dr")), key


def embedded_world():
    """A world of four actions: two effects, each of which the policies reach by two actions in different shares."""
    base = make_world(8, longest=2)
    random = np.random.default_rng(9)
    effect = np.array([0, 0, 1, 1])
    policies = {name: random.dirichlet(np.ones(4), size=4) for name in ("logging", "target")}
    return base._replace(moves=base.moves[:, effect], rewards=base.rewards[:, effect], **policies), effect


def test_weights_of_what_actions_do_give_the_value_with_less_spread():
    world, effect = embedded_world()
    shares, evidence = enumerate_evidence(world, np.zeros((2, 4, 4)))
    of_effect = {
        name: np.stack([policy[:, effect == e].sum(axis=1) for e in (0, 1)], axis=1)
        for name, policy in (("logging", world.logging), ("target", world.target))
    }
    ratios = np.ones(evidence.weights.shape)
    for i, (_, path) in enumerate(all_dialogues(world)):
        for t, (s, a) in enumerate(path):
            ratios[i, t] = of_effect["target"][s, effect[a]] / of_effect["logging"][s, effect[a]]
    marginal = cumulative_weights(ratios)
    evidence = evidence._replace(marginal=[MarginalWeights(["x"], marginal)])
    truth = true_value(world, world.target)
    assert expectation(MarginalizedIPS(), shares, evidence) == pytest.approx(truth, abs=1e-12)
    assert expectation(ESTIMATORS["pdis"], shares, evidence) == pytest.approx(truth, abs=1e-12)
    assert shares @ marginal[:, -1] ** 2 < 0.9 * (shares @ evidence.weights[:, -1] ** 2)
    # With all bits, an embedding is the action, and MIPS per-decision importance sampling.
    whole = evidence._replace(marginal=[MarginalWeights(["x", "y"], evidence.weights)])
    assert estimate(MarginalizedIPS(), whole) == pytest.approx(estimate(ESTIMATORS["pdis"], whole))


def test_estimators_that_need_what_is_not_there_say_so():
    bare = Evidence(np.ones((2, 1)), np.ones((2, 1)))
    for estimator in ESTIMATORS.values():
        if estimator.needs_model or estimator.needs_embedding:
            with pytest.raises(ValueError, match="needs"):
                estimator.terms(bare)
        else:
            assert estimate(estimator, bare) == 1


def test_clipping_bounds_weights_and_no_product_overflows():
    ratios = np.full((2, 3), 10.0)
    assert cumulative_weights(ratios, 50.0) == pytest.approx(np.array([[10.0, 50.0, 50.0]] * 2))
    assert np.isfinite(cumulative_weights(np.full((1, 400), 50.0))).all()
    assert cumulative_weights(np.array([[0.0, 3.0]])).tolist() == [[0.0, 0.0]]


def test_keys_and_names_are_of_one_estimator_each():
    assert all(estimator.key == key for key, estimator in ESTIMATORS.items())
    assert len({estimator.name for estimator in ESTIMATORS.values()}) == len(ESTIMATORS)
