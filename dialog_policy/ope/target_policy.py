"""The target policy: with which probability it does what the log did, and which actions it takes on average."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dialog_policy.arrays import Floats
from dialog_policy.corpus import ActionSpace
from dialog_policy.errors import CorpusError
from dialog_policy.prediction import Prediction

__all__ = ["TARGET_POLICIES", "TargetPolicy", "greedy_policy", "stochastic_policy"]

# Probability of an action that a prediction leaves out, and how close to 0 or 1 a bit may come.
_LEFT_OUT, _SURE = 1e-4, 1e-6
# How far probabilities may add up to something else than 1: predictions leave improbable actions out.
_SLACK = 0.05
# Turns computed together.
_TURNS_AT_ONCE = 4096


class TargetPolicy(NamedTuple):
    """What the policy that is to be valued does at each of m decisions of a log.

    Attributes
    ----------
    logged
        Shape (m,): probability of the set that the log took.
    expected
        Shape (m, n_actions): probability of each action. None where the policy says nothing of other sets than the logged.
    acts
        How it acts, in words.
    """

    logged: Floats
    expected: Floats | None
    acts: str


def greedy_policy(
    predictions: Sequence[Prediction], logged: Sequence[frozenset[str]], space: ActionSpace
) -> TargetPolicy:
    """Return the policy that always takes the set it predicts, as a served one does."""
    same = np.array([p.actions == actions for p, actions in zip(predictions, logged, strict=True)], dtype=np.float64)
    expected = space.transform([p.actions for p in predictions]).astype(np.float64)
    return TargetPolicy(same, expected, "takes its predicted set always")


def stochastic_policy(
    predictions: Sequence[Prediction], logged: Sequence[frozenset[str]], space: ActionSpace
) -> TargetPolicy:
    """Return the policy that draws from the probabilities of its predictions.

    - ``logged`` is the probability of the logged set; ``probabilities`` beside it are those of the single actions, in whatever
      set. Without them the policy says nothing of other sets: ``expected`` is then None.
    - Without ``logged``, where every set has one action and the probabilities add up to 1, they are the distribution.
    - Other probabilities without ``logged`` are taken for independent bits, of which the sets of the log and the predicted one
      compete: P(S) ∝ Π_{a ∈ S} p_a Π_{a ∉ S} (1 − p_a). ``confidence``, if there is one, is the probability of the predicted
      set, and the others are scaled to the rest.
    - With none of these, the policy always takes the predicted set (:func:`greedy_policy`).

    Raises
    ------
    CorpusError
        If some turns have one of these keys and others not, or a confidence below 1 is all there is: with the place.
    """
    has_shares = _given(predictions, "probabilities")
    if _given(predictions, "logged"):
        stated = np.array([p.logged for p in predictions], dtype=np.float64)
        expected = _shares(predictions, space, 0.0) if has_shares else None
        return TargetPolicy(stated, expected, "draws a set from its probabilities")
    if not has_shares:
        _refuse_bare_confidence(predictions)
        return greedy_policy(predictions, logged, space)
    if _exclusive(predictions, logged):
        expected = _shares(predictions, space, 0.0)
        expected /= expected.sum(axis=1, keepdims=True)
        bits = [space.bits(actions)[0] for actions in logged]
        return TargetPolicy(expected[np.arange(len(bits)), bits], expected, "draws an action from its probabilities")
    return _of_bits(predictions, logged, space)


def _shares(predictions: Sequence[Prediction], space: ActionSpace, left_out: float) -> Floats:
    """Probability of each action, shape (n_predictions, n_actions); `left_out` for those that a prediction leaves out."""
    shares = np.full((len(predictions), len(space)), left_out)
    for row, p in enumerate(predictions):
        for action, share in (p.probabilities or {}).items():
            shares[row, space.bits([action])] = share
    return shares


def _given(predictions: Sequence[Prediction], key: str) -> bool:
    has = [getattr(p, key) is not None for p in predictions]
    if any(has) and not all(has):
        bare = predictions[has.index(False)]
        raise CorpusError(
            f"expected {key!r} in this prediction, as in others; found none.", dialogue=bare.dialogue, turn=bare.turn
        )
    return has[0]


def _refuse_bare_confidence(predictions: Sequence[Prediction]) -> None:
    for p in predictions:
        if p.confidence is not None and p.confidence < 1:
            raise CorpusError(
                f"a confidence of {p.confidence} but no probabilities, so the probability of the logged set is unknown.",
                dialogue=p.dialogue,
                turn=p.turn,
                remedy="Write 'probabilities', or 'logged' (the logged set's probability), or evaluate the greedy policy (--target-policy greedy).",
            )


def _exclusive(predictions: Sequence[Prediction], logged: Sequence[frozenset[str]]) -> bool:
    return all(len(actions) == 1 for actions in logged) and all(
        len(p.actions) == 1 and abs(sum((p.probabilities or {}).values()) - 1) <= _SLACK for p in predictions
    )


def _of_bits(predictions: Sequence[Prediction], logged: Sequence[frozenset[str]], space: ActionSpace) -> TargetPolicy:
    sets = list(dict.fromkeys([*logged, *(p.actions for p in predictions)]))
    number = {actions: i for i, actions in enumerate(sets)}
    in_log = np.isin(np.arange(len(sets)), [number[actions] for actions in set(logged)])
    bits = space.transform(sets).astype(np.float64)
    confidence = _given(predictions, "confidence")
    logged_probabilities, expected = [], []
    for start in range(0, len(predictions), _TURNS_AT_ONCE):
        chunk = predictions[start : start + _TURNS_AT_ONCE]
        rows = np.arange(len(chunk))
        shares = np.clip(_shares(chunk, space, _LEFT_OUT), _SURE, 1 - _SURE)
        scores = (np.log(shares) - np.log1p(-shares)) @ bits.T
        predicted = np.array([number[p.actions] for p in chunk])
        gold = np.array([number[actions] for actions in logged[start : start + len(chunk)]])
        competes = np.broadcast_to(in_log, scores.shape).copy()
        competes[rows, predicted] = True
        scores[~competes] = -np.inf
        distribution = np.exp(scores - scores.max(axis=1, keepdims=True))
        if confidence:
            sure = np.array([p.confidence for p in chunk], dtype=np.float64)
            distribution[rows, predicted] = 0.0
            rest = distribution.sum(axis=1, keepdims=True)
            # Where no other set competes, the predicted one is all there is.
            scaled = distribution * (1 - sure[:, None])
            distribution = np.divide(scaled, rest, out=np.zeros_like(scaled), where=rest > 0)
            distribution[rows, predicted] = np.where(rest[:, 0] > 0, sure, 1.0)
        distribution /= distribution.sum(axis=1, keepdims=True)
        logged_probabilities.append(distribution[rows, gold])
        expected.append(distribution @ bits)
    return TargetPolicy(
        np.concatenate(logged_probabilities), np.concatenate(expected), "draws a set from its probabilities"
    )


# The target policies that predictions describe, by name.
TARGET_POLICIES = {"stochastic": stochastic_policy, "greedy": greedy_policy}
