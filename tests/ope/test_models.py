import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from benchmarks.simulation import lead_dialogues, make_world, true_value
from dialog_policy.corpus import ActionSpace
from dialog_policy.ope.features import MAX_TERMS, state_features
from dialog_policy.ope.log import read_log
from dialog_policy.ope.logging_policy import estimate_propensities, multinomial_regression, softmax
from dialog_policy.ope.model import fit_reward_model
from dialog_policy.ope.regression import crossfitted


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
    fitted = estimate_propensities(log, features)
    assert np.abs(fitted.propensities - log.propensities).mean() < 0.04
    assert fitted.about["ece"] < 0.06
    assert fitted.about["log_loss"] < fitted.about["log_loss_of_shares"]
    assert sum(row.count for row in fitted.about["bins"]) == len(log.actions)


def test_what_was_never_seen_elsewhere_has_a_propensity_over_zero(led):
    _, log, _, features, _ = led
    actions = [frozenset([f"only-{i}"]) if i < 3 else a for i, a in enumerate(log.actions)]
    fitted = estimate_propensities(log._replace(actions=actions), features)
    assert (fitted.propensities > 0).all()
    assert fitted.propensities[:3].max() < 0.05


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
    fitted = fit_reward_model(log, features, space.transform(log.actions).astype(float), expected, 1.0)
    first = fitted.v[log.step == 0]
    assert first.mean() == pytest.approx(true_value(world, world.target), abs=0.05)
    influence = fitted.fit_influence(np.zeros((len(log.dialogues), world.longest)))
    assert influence.mean() == pytest.approx(0, abs=1e-12)
    assert influence.std() > 0.1 * first.std()
    # Without a future, the value of what was done is its expected reward.
    alone = fit_reward_model(log, features, space.transform(log.actions).astype(float), expected, 0.0)
    names = ("north", "south", "east", "west")
    users = [turn.user for dialogue in log.dialogues for turn in dialogue.turns]
    actions = ("ask", "offer", "book")
    truth = [world.rewards[names.index(u), actions.index(*a)] for u, a in zip(users, log.actions, strict=True)]
    assert np.abs(alone.q - truth).mean() < 0.06


def test_the_influence_of_a_dialogue_is_what_the_estimate_moves_by_without_it(led):
    world, log, space, features, predictions = led
    expected = np.array([[p.probabilities[name] for name in space.classes_] for p in predictions])
    taken = space.transform(log.actions).astype(float)
    omega = np.random.default_rng(0).uniform(0.0, 2.0, size=(len(log.dialogues), world.longest))

    def estimate(rewards):
        model = fit_reward_model(log._replace(rewards=rewards), features, taken, expected, 1.0)
        v, q, r = (log.spread(values, 0.0) for values in (model.v, model.q, rewards))
        after = np.concatenate([v[:, 1:], np.zeros((len(v), 1))], axis=1)
        return (v[:, 0] + (omega * (r + after - q)).sum(axis=1)).mean(), model.fit_influence(omega)

    # The equations of the fit are linear in the rewards: raised a little in one dialogue, the estimate moves by that dialogue's
    # own corrections and by what its influence grows by.
    raised = log.rewards.copy()
    raised[log.dialogue == 7] += 1e-3
    (before, influence), (after, moved) = estimate(log.rewards), estimate(raised)
    own = 1e-3 * omega[7, : int((log.dialogue == 7).sum())].sum() / len(log.dialogues)
    assert after - before - own == pytest.approx((moved - influence)[7] / (len(log.dialogues) - 1), rel=0.05)


def test_ridge_predictions_come_from_other_folds():
    random = np.random.default_rng(1)
    features = np.concatenate([np.ones((40, 1)), random.normal(size=(40, 3))], axis=1)
    targets, folds = random.normal(size=40), np.arange(40) % 4
    fitted = crossfitted(features, targets, folds)
    model = Ridge(alpha=1.0).fit(features[folds != 2, 1:], targets[folds != 2])
    assert fitted.predictions[folds == 2] == pytest.approx(model.predict(features[folds == 2, 1:]))
    whole = Ridge(alpha=1.0).fit(features[:, 1:], targets)
    assert fitted.coefficients == pytest.approx(np.array([whole.intercept_, *whole.coef_]))
