"""A constant on top of the rewards is on top of the estimates, however large it is, and changes nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog_policy.corpus import ActionSpace, Corpus, Dialogue, Turn
from dialog_policy.ope import ESTIMATORS, estimate_value
from dialog_policy.ope.features import state_features
from dialog_policy.ope.log import read_log
from dialog_policy.ope.mips import marginal_weights
from dialog_policy.prediction import Prediction

# Without a model and with weights that are not made to add up to 1, a constant counts by the weights' mean.
PLAIN = ("ips", "pdis", "mips")
WORDS = ("north", "south")


def make_log(seed, constant, *, n=120, longest=1):
    """Dialogues of 1 to `longest` decisions, whose reward of 0 or 1 comes at the end, with a constant; predictions of a target."""
    random = np.random.default_rng(seed)
    dialogues, predictions = [], []
    for number in range(n):
        turns = []
        for _ in range(int(random.integers(1, longest + 1))):
            state, greets = int(random.integers(2)), bool(random.random() < 0.5)
            share = (0.7, 0.4)[state]
            shares = {"greet": share, "ask": 1 - share}
            predictions.append(
                Prediction(dialogue=f"{number}", turn=len(turns), actions=frozenset(["greet"]), probabilities=shares)
            )
            taken = frozenset(["greet" if greets else "ask"])
            turns.append(Turn(user=WORDS[state], actions=taken, propensity=0.5))
        reward = constant + float(random.random() < 0.3 + 0.4 * greets)
        dialogues.append(Dialogue(id=f"{number}", turns=tuple(turns), fields={"reward": reward}))
    return Corpus(dialogues), predictions


def estimates(corpus, predictions, keys=tuple(ESTIMATORS)):
    result = estimate_value(predictions, corpus, estimators=keys, resamples=100)
    rows = {row.estimator: row if row.refused is None else row.unreliable for row in result.estimates}
    return result, rows


@settings(max_examples=8)
@given(seed=st.integers(0, 1_000), constant=st.floats(-1e6, 1e6), longest=st.sampled_from([1, 1, 3]))
def test_estimates_and_intervals_move_by_the_constant(seed, constant, longest):
    # Weighted per-decision IS has other weights at every step, so it moves by it only where there is one.
    keys = tuple(key for key in ESTIMATORS if key not in PLAIN and (longest == 1 or key != "wpdis"))
    before, rows = estimates(*make_log(seed, 0.0, longest=longest), keys)
    after, moved = estimates(*make_log(seed, constant, longest=longest), keys)
    exact = {"abs": 1e-9 * (1 + abs(constant))}
    assert after.logged.ci95 == pytest.approx([end + constant for end in before.logged.ci95], **exact)
    for key, row in rows.items():
        assert moved[key].value == pytest.approx(row.value + constant, **exact), key
        assert moved[key].ci95 == pytest.approx([end + constant for end in row.ci95], **exact), key
        assert moved[key].difference == pytest.approx(row.difference, **exact), key
        # The interval of the difference covers what it covered before, whatever the constant.
        assert moved[key].difference_ci95 == pytest.approx(row.difference_ci95, **exact), key


@pytest.mark.parametrize("constant", [-10.0, 4.0])
def test_plain_importance_sampling_moves_by_the_mean_weight(constant):
    before, rows = estimates(*make_log(1, 0.0), ("ips", "pdis"))
    _, moved = estimates(*make_log(1, constant), ("ips", "pdis"))
    assert before.overlap.mean_weight != pytest.approx(1, abs=1e-3)
    for key, row in rows.items():
        assert moved[key].value == pytest.approx(row.value + constant * before.overlap.mean_weight), key


def embeddings(corpus, predictions, **options):
    log = read_log(corpus)
    space = ActionSpace().fit(log.actions)
    shares = [p.probabilities[next(iter(actions))] for p, actions in zip(predictions, log.actions, strict=True)]
    taken = space.transform(log.actions).astype(float)
    ratios = np.array(shares) / log.propensities
    return marginal_weights(log, state_features(log, space), taken, ratios, space.classes_, **options)


def test_the_weights_of_embeddings_do_not_depend_on_a_constant():
    for before, after in zip(embeddings(*make_log(2, 0.0)), embeddings(*make_log(2, 1_000.0)), strict=True):
        assert list(before.kept) == list(after.kept)
        assert after.weights == pytest.approx(before.weights)


@pytest.mark.parametrize(("constant", "scale"), [(1e7, 1.0), (0.0, 5e39)])
def test_the_interval_of_large_rewards_is_as_wide_as_their_spread(constant, scale):
    def scaled(constant, scale):
        corpus, predictions = make_log(3, 0.0)
        dialogues = [
            Dialogue(id=d.id, turns=d.turns, fields={"reward": constant + scale * d.fields["reward"]}) for d in corpus
        ]
        return estimates(Corpus(dialogues), predictions, ("snips", "dr"))

    before, rows = scaled(0.0, 1.0)
    after, moved = scaled(constant, scale)
    exact = {"rel": 1e-6, "abs": 1e-6 * scale}
    assert np.subtract(after.logged.ci95, constant) == pytest.approx(np.multiply(before.logged.ci95, scale), **exact)
    for key, row in rows.items():
        assert moved[key].difference_ci95 == pytest.approx(np.multiply(row.difference_ci95, scale), **exact), key


def test_where_nothing_depends_on_the_action_the_difference_is_found_to_be_none():
    missed = dict.fromkeys((*ESTIMATORS,), 0)
    for seed in range(15):
        random = np.random.default_rng(seed)
        corpus, predictions = make_log(seed, 0.0, n=150)
        dialogues = [
            Dialogue(id=d.id, turns=d.turns, fields={"reward": 10.0 + float(random.random() < 0.7)}) for d in corpus
        ]
        for key, row in estimates(Corpus(dialogues), predictions)[1].items():
            low, high = row.difference_ci95
            missed[key] += not low <= 0 <= high
    # Of 15 intervals of 95 %, more than 4 miss by chance once in 2,000 times.
    assert max(missed.values()) <= 4, missed
