import numpy as np
import pytest

from dialog_policy.ope.overlap import effective_sample_size, examine_overlap, pareto_k


def examine(weights, mean_ci95=(0.9, 1.1)):
    return examine_overlap(np.asarray(weights, dtype=float), mean_ci95)


def test_effective_sample_size():
    assert effective_sample_size(np.ones(7)) == pytest.approx(7)
    assert effective_sample_size(np.array([0, 0, 3.0])) == pytest.approx(1)
    assert effective_sample_size(np.array([1.0, 2, 3])) == pytest.approx(36 / 14)
    assert effective_sample_size(np.zeros(3)) == 0
    assert effective_sample_size(np.array([[1.0, 0], [1, 5e21]])).tolist() == pytest.approx([2, 1])


@pytest.mark.parametrize("k", [0.2, 0.5, 0.9])
def test_pareto_k_finds_the_shape_of_a_tail(k):
    weights = (1 - np.random.default_rng(0).random(20_000)) ** -k
    assert pareto_k(weights) == pytest.approx(k, abs=0.12)


def pareto_k_by_hand(weights):
    """Zhang & Stephens (2009), one candidate after the other, and the weak prior of Vehtari et al. (2024)."""
    n = len(weights)
    size = int(min(n / 5, 3 * n**0.5))
    tail = sorted(weights)[-size - 1 :]
    x = [value - tail[0] for value in tail[1:] if value > tail[0]]
    x = [value / x[-1] for value in x]
    size = len(x)
    m, quartile = 30 + int(size**0.5), x[int(size / 4 + 0.5) - 1]
    theta = [1 / x[-1] + (1 - (m / (i - 0.5)) ** 0.5) / (3 * quartile) for i in range(1, m + 1)]

    def shape(t):
        return sum(np.log1p(-t * value) for value in x) / size

    likelihood = [size * (np.log(-t / shape(t)) - shape(t) - 1) for t in theta]
    shares = [1 / sum(np.exp(other - own) for other in likelihood) for own in likelihood]
    k = shape(sum(t * share for t, share in zip(theta, shares, strict=True)))
    return (k * size + 5) / (size + 10)


@pytest.mark.parametrize("n", [25, 60, 333])
def test_pareto_k_is_the_estimate_of_its_definition(n):
    weights = np.random.default_rng(n).gamma(0.7, size=n)
    assert pareto_k(weights) == pytest.approx(pareto_k_by_hand(weights.tolist()), rel=1e-9)


def test_a_tail_has_five_weights_at_least():
    assert pareto_k(np.arange(24.0)) is None
    assert pareto_k(np.arange(25.0)) is not None


def test_fifty_effective_dialogues_are_enough():
    assert examine(np.ones(50)).refused is None
    assert "at least 50 are needed" in str(examine(np.ones(49)).refused)


def test_weights_without_a_spread_have_no_tail():
    assert pareto_k(np.ones(500)) is None
    assert pareto_k(np.repeat([0.0, 2.0], 250)) is None
    assert pareto_k(np.arange(10.0)) is None


def test_enough_overlap_is_not_refused():
    weights = np.random.default_rng(1).gamma(4, 0.25, size=500)
    overlap = examine(weights)
    assert overlap.refused is None
    assert overlap.effective_sample_size == pytest.approx(500 / 1.25, rel=0.1)


@pytest.mark.parametrize(
    ("weights", "mean", "reason"),
    [
        (np.zeros(500), (0, 0), "in no dialogue"),
        (np.repeat([0.0, 20.0], [475, 25]), (0.7, 1.3), "as much as 25.0"),
        ((1 - np.random.default_rng(4).random(40_000)) ** -0.8, (0.8, 1.3), "Pareto k"),
        (np.full(500, 0.5), (0.45, 0.55), "mean 0.50"),
        (np.full(500, 2.0), (1.9, 2.1), "mean 2.00"),
    ],
)
def test_thin_overlap_is_refused_with_the_reason(weights, mean, reason):
    assert reason in (examine(weights, mean).refused or "")
