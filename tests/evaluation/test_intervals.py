import tracemalloc

import numpy as np
import pytest
from scipy import stats

from dialog_policy.evaluation import intervals
from dialog_policy.evaluation.intervals import bootstrap_intervals, dialogue_weights, t_quantile


def mean(totals):
    return np.divide(totals[:, :1], totals[:, 1:2], out=np.full((len(totals), 1), np.nan), where=totals[:, 1:2] > 0)


def sums_of(values):
    return np.stack([np.asarray(values, dtype=np.float64), np.ones(len(values))], axis=1)


@pytest.mark.parametrize("skewed", [False, True])
def test_it_is_scipys_bca_interval(skewed):
    random = np.random.default_rng(3)
    values = random.exponential(size=300) if skewed else random.random(300)
    [[low, high]] = bootstrap_intervals(sums_of(values), mean, 300, bounded=False, resamples=20_000, seed=1)
    theirs = stats.bootstrap((values,), np.mean, method="BCa", n_resamples=20_000, rng=np.random.default_rng(0))
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert low == pytest.approx(theirs.confidence_interval.low, abs=0.03 * width)
    assert high == pytest.approx(theirs.confidence_interval.high, abs=0.03 * width)


def test_weights_draw_whole_dialogues(monkeypatch):
    monkeypatch.setattr(intervals, "_WEIGHTS_AT_ONCE", 40)
    blocks = list(dialogue_weights(7, 23, seed=4))
    weights = np.concatenate(blocks)
    assert len(blocks) > 1
    assert weights.shape == (23, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert np.array_equal(weights, np.concatenate(list(dialogue_weights(7, 23, seed=4))))
    assert not np.array_equal(weights, np.concatenate(list(dialogue_weights(7, 23, seed=5))))


def test_dialogues_that_agree_have_the_exact_binomial_interval():
    for n in (3, 30):
        theirs = stats.binomtest(n, n).proportion_ci(method="exact")
        [interval] = bootstrap_intervals(sums_of(np.ones(n)), mean, n, resamples=50)
        assert interval == pytest.approx([theirs.low, 1.0])
        [interval] = bootstrap_intervals(sums_of(np.zeros(n)), mean, n, resamples=50)
        assert interval == pytest.approx([0.0, 1 - theirs.low])


def test_few_dialogues_have_students_interval():
    values = [0.2, 0.5, 0.4]
    theirs = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert bootstrap_intervals(sums_of(values), mean, 3, bounded=False, resamples=50)[0] == pytest.approx(theirs)
    assert bootstrap_intervals(sums_of(values), mean, 3, resamples=50)[0] == pytest.approx([0, theirs[1]])


def test_one_dialogue_says_nothing():
    assert bootstrap_intervals(sums_of([0.3]), mean, 1, resamples=50).tolist() == [[0.0, 1.0]]
    assert np.isnan(bootstrap_intervals(sums_of([0.3]), mean, 1, bounded=False, resamples=50)).all()


def test_resamples_without_the_slice_do_not_count():
    """Twelve of 400 dialogues are in the slice; 6 in a million resamples have none of them, and many have few."""
    random = np.random.default_rng(0)
    sums = np.zeros((400, 2))
    sums[:12] = sums_of(random.random(12))
    [[low, high]] = bootstrap_intervals(sums, mean, 12, resamples=4_000)
    assert 0 < low < sums[:12, 0].mean() < high < 1
    [[low_alone, high_alone]] = bootstrap_intervals(sums[:12], mean, 12, resamples=4_000)
    assert high - low == pytest.approx(high_alone - low_alone, rel=0.15)


def test_many_dialogues_are_resampled_in_groups(monkeypatch):
    values = np.random.default_rng(0).random(4_000)
    [alone] = bootstrap_intervals(sums_of(values), mean, len(values), resamples=1_000)
    monkeypatch.setattr(intervals, "_RESAMPLED", 500)
    monkeypatch.setattr(intervals, "_LEFT_OUT", 100)
    [grouped] = bootstrap_intervals(sums_of(values), mean, len(values), resamples=1_000)
    assert grouped == pytest.approx(alone, abs=0.15 * (alone[1] - alone[0]))


def test_intervals_hold_the_truth():
    random, n = np.random.default_rng(0), 300
    held = 0
    for seed in range(n):
        values = random.beta(6, 1, size=40)
        [[low, high]] = bootstrap_intervals(sums_of(values), mean, 40, resamples=400, seed=seed)
        held += low <= 6 / 7 <= high
    assert 0.915 <= held / n <= 0.985  # 95 % ± 2.8 standard errors


@pytest.mark.parametrize("freedom", [1, 2, 3, 5, 12, 200])
def test_t_quantile_is_scipys(freedom):
    assert t_quantile(0.975, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=2e-3)


def test_t_quantile_has_the_terms_of_its_expansion():
    """What is left out is of the order of the fifth power; a wrong term shows where many degrees of freedom make that small."""
    for freedom in (20, 40, 80):
        assert t_quantile(0.975, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=3 / freedom**5)


def test_ten_thousand_resamples_of_ten_thousand_dialogues_are_never_held_at_once():
    sums = np.random.default_rng(0).poisson(2, size=(10_000, 120))
    tracemalloc.start()
    intervals = bootstrap_intervals(sums, lambda t: t[:, :60] / (t[:, :60] + t[:, 60:]), 10_000, resamples=10_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert intervals.shape == (60, 2)
    assert peak < 200e6  # all counts at once would be 10,000 × 10,000 numbers
