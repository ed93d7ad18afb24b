import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from benchmarks.simulation import lead_dialogues, make_world, true_value
from dialog_policy.corpus import ActionSpace
from dialog_policy.ope.behaviour import fit_behaviour, multinomial_regression, softmax
from dialog_policy.ope.features import MAX_TERMS, state_features
from dialog_policy.ope.log import read_log
from dialog_policy.ope.model import fit_values


@pytest.fixture(scope="module")
def led():
    world = make_world(1, longest=4)
    corpus, predictions = lead_dialogues(world, 1_500, 5)
    log = read_log(corpus)
    space = ActionSpace().fit(log.actions)
    return world, log, space, state_features(log, space), predictions


def test_regression_is_scikit_learns():
    random = np.random.default_rng(0)
    features = np.concatenate([np.ones((400, 1)), random.normal(size=(400, 5))], axis=1)
    targets = (features @ random.normal(size=(6, 4)) + random.gumbel(size=(400, 4))).argmax(axis=1)
    mine = softmax(features @ multinomial_regression(features, targets, 4, iterations=2_000))
    model = LogisticRegression(C=1.0, fit_intercept=False, max_iter=2_000, tol=1e-8).fit(features, targets)
    assert np.abs(mine - model.predict_proba(features)).max() < 2e-3


def test_estimated_propensities_are_close_to_the_true_ones(led):
    _, log, _, features, _ = led
    found = fit_behaviour(log, features)
    assert np.abs(found.propensities - log.propensities).mean() < 0.04
    assert found.about["ece"] < 0.06
    assert found.about["log_loss"] < found.about["log_loss_of_shares"]
    assert sum(row["count"] for row in found.about["bins"]) == len(log.actions)


def test_what_was_never_seen_elsewhere_has_a_propensity_over_zero(led):
    _, log, _, features, _ = led
    actions = [frozenset([f"only-{i}"]) if i < 3 else a for i, a in enumerate(log.actions)]
    found = fit_behaviour(log._replace(actions=actions), features)
    assert (found.propensities > 0).all()
    assert found.propensities[:3].max() < 0.05


def test_states_know_nothing_of_the_decision_or_later(led):
    _, log, space, features, _ = led
    changed = list(log.actions)
    changed[2] = frozenset()
    other = state_features(log._replace(actions=changed), space)
    assert (other[:3] == features[:3]).all()
    assert features.shape[1] <= 2 + 8 + len(space) + MAX_TERMS


def test_the_model_finds_the_value_where_it_sees_the_state(led):
    world, log, space, features, predictions = led
    expected = np.array([[p.probabilities[name] for name in space.classes_] for p in predictions])
    found = fit_values(log, features, space.transform(log.actions).astype(float), expected, 1.0)
    assert found.direct.mean() == pytest.approx(true_value(world, world.target), abs=0.05)
    first = found.v[log.step == 0]
    assert first.mean() == pytest.approx(found.direct.mean())
    # Without a future, the value of what was done is its expected reward.
    alone = fit_values(log, features, space.transform(log.actions).astype(float), expected, 0.0)
    names = ("north", "south", "east", "west")
    users = [turn.user for dialogue in log.dialogues for turn in dialogue.turns]
    actions = ("ask", "offer", "book")
    truth = [world.rewards[names.index(u), actions.index(*a)] for u, a in zip(users, log.actions, strict=True)]
    assert np.abs(alone.q - truth).mean() < 0.06
