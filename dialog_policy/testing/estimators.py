"""What estimators promise: of a policy's value from logs (off-policy), and policies as scikit-learn's estimators."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dialog_policy.corpus import Corpus
from dialog_policy.errors import DialogPolicyError
from dialog_policy.ope.evidence import Estimator, Evidence, MarginalWeights, cumulative_weights, estimate
from dialog_policy.testing.check import Check, check, checks_of, same

__all__ = ["policy_estimator_checks", "value_estimator_checks"]

_OF_VALUES: list[Callable[..., None]] = []
_OF_POLICIES: list[Callable[..., None]] = []
_N, _STEPS = 12, 4


def value_estimator_checks(estimator: Estimator) -> list[Check]:
    """Return the checks of an off-policy estimator.

    Parameters
    ----------
    estimator
        With `key`, `name` and `terms`.
    """
    return checks_of(estimator.key, _OF_VALUES, estimator)


def _evidence(ratios: Any, rewards: Any, q: Any = None, v: Any = None) -> Evidence:
    weights = cumulative_weights(ratios)
    known = {"q": rewards if q is None else q, "v": rewards if v is None else v}
    return Evidence(weights, rewards, **known, marginal=[MarginalWeights(["a"], weights)])


def _drawn(seed: int) -> Evidence:
    random = np.random.default_rng(seed)
    return _evidence(random.gamma(2, size=(_N, _STEPS)), *random.normal(size=(3, _N, _STEPS)))


def _rows(evidence: Evidence, rows: Any) -> Evidence:
    fine = evidence.marginal[0] if evidence.marginal else None
    assert fine is not None
    q, v = (None if table is None else table[rows] for table in (evidence.q, evidence.v))
    marginal = [MarginalWeights(fine.kept, fine.weights[rows])]
    return Evidence(evidence.weights[rows], evidence.rewards[rows], q, v, marginal=marginal)


def _close(found: float, expected: float, what: str) -> None:
    assert np.isclose(found, expected, rtol=1e-9, atol=1e-12), f"{what}: expected {expected}, found {found}"


@check(_OF_VALUES)
def _described(estimator: Estimator) -> None:
    """It has a key and a name, and a column or more for each dialogue."""
    for text in (estimator.key, estimator.name):
        assert isinstance(text, str), f"expected a text, found {text!r}"
        assert text, "expected a text, found an empty one"
    columns = estimator.terms(_drawn(0)).columns
    same((columns.ndim, len(columns)), (2, _N), "dimensions and rows of the columns")
    assert np.isfinite(columns).all(), "expected finite columns"


@check(_OF_VALUES)
def _own_policy(estimator: Estimator) -> None:
    """Of the logging policy itself, with a model that is right, the value is the mean of the returns."""
    rewards = np.random.default_rng(1).normal(size=(_N, _STEPS))
    ahead = np.cumsum(rewards[:, ::-1], axis=1)[:, ::-1]
    _close(estimate(estimator, _evidence(np.ones_like(rewards), rewards, ahead, ahead)), rewards.sum(1).mean(), "value")


@check(_OF_VALUES)
def _order(estimator: Estimator) -> None:
    """The order of dialogues does not matter, but for what is chosen by resampling."""
    evidence = _drawn(2)
    other = _rows(evidence, np.random.default_rng(0).permutation(_N))
    if estimator.terms(other).parameters == estimator.terms(evidence).parameters:
        _close(estimate(estimator, other), estimate(estimator, evidence), "value in another order")


@check(_OF_VALUES)
def _unit(estimator: Estimator) -> None:
    """Rewards in another unit give the value in this unit."""
    evidence = _drawn(4)
    assert evidence.q is not None
    assert evidence.v is not None
    larger = evidence._replace(rewards=8 * evidence.rewards, q=8 * evidence.q, v=8 * evidence.v)
    _close(estimate(estimator, larger), 8 * estimate(estimator, evidence), "value in another unit")


@check(_OF_VALUES)
def _extremes(estimator: Estimator) -> None:
    """Weights of 0 and of almost everything, and rewards of one size, give a finite value."""
    rewards = np.ones((_N, _STEPS))
    for ratio in (0.0, 1e-12, 1e6):
        ratios = np.full((_N, _STEPS), ratio)
        ratios[0, 0] = 1.0
        value = estimate(estimator, _evidence(ratios, rewards))
        assert np.isfinite(value), f"ratios of {ratio}: expected a finite value, found {value}"


@check(_OF_VALUES)
def _resampled(estimator: Estimator) -> None:
    """Totals of several samples at once give a value for each, as a bootstrap needs it."""
    terms = estimator.terms(_drawn(5))
    counts = np.random.default_rng(0).multinomial(_N, np.full(_N, 1 / _N), size=6).astype(np.float64)
    values = terms.value(counts @ terms.columns, counts.sum(axis=1))
    same(values.shape, (6,), "shape of the values")
    for sample, value in zip(counts, values, strict=True):
        _close(float(terms.value((sample @ terms.columns)[None], np.array([float(_N)]))[0]), float(value), "a value")


def policy_estimator_checks(estimator: Any, corpus: Corpus) -> list[Check]:
    """Return the checks of a policy that is trained as scikit-learn's estimators are.

    Parameters
    ----------
    estimator
        Not trained yet; one that learns quickly, since it is trained several times.
    corpus
        To learn from.
    """
    return checks_of(type(estimator).__name__, _OF_POLICIES, estimator, corpus)


@check(_OF_POLICIES)
def _settings(estimator: Any, _: Corpus) -> None:
    """Its settings are those that it was made with, and make another one."""
    settings = estimator.get_params()
    again = type(estimator)(**settings)
    for name, value in settings.items():
        assert getattr(again, name) is value, f"{name} is not stored as it was given"
    same(type(estimator)().set_params(**settings).get_params(), settings, "settings after set_params")
    assert type(estimator).__name__ in repr(estimator), f"expected its class in {estimator!r}"


@check(_OF_POLICIES)
def _untrained(estimator: Any, corpus: Corpus) -> None:
    """Before it is trained it says so."""
    untrained = type(estimator)(**estimator.get_params())
    assert not untrained.__sklearn_is_fitted__(), "says that it is trained"
    try:
        list(untrained.predict(corpus))
    except DialogPolicyError:
        return
    raise AssertionError("predicts, though it is not trained")


@check(_OF_POLICIES)
def _trained(estimator: Any, corpus: Corpus) -> None:
    """Training returns it, keeps its settings, gives the same again, and what is saved predicts the same."""
    settings = estimator.get_params()
    first, second = (type(estimator)(**settings) for _ in range(2))
    assert first.fit(corpus, dev=None) is first, "fit does not return the estimator"
    same(first.get_params(), settings, "settings after training")
    assert first.__sklearn_is_fitted__(), "says that it is not trained"
    predicted = list(first.predict(corpus))
    same(list(second.fit(corpus, dev=None).predict(corpus)), predicted, "predictions of a second training")
    right = [p.actions == t.actions for p, t in zip(predicted, _targets(corpus), strict=True)]
    _close(first.score(corpus), float(np.mean(right)), "score")
    with tempfile.TemporaryDirectory() as folder:
        first.save(Path(folder) / "run")
        same(list(type(estimator).load(Path(folder) / "run").predict(corpus)), predicted, "predictions once saved")


def _targets(corpus: Corpus) -> list[Any]:
    return [turn for dialogue in corpus for turn in dialogue.turns if turn.is_target]
