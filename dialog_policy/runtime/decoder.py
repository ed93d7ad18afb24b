"""From logits to a decided set of actions. The same in training, evaluation and serving."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.corpus import ActionSpace

__all__ = ["Decided", "Decoder"]

FloatArray = npt.NDArray[np.floating[Any]]
BoolArray = npt.NDArray[np.bool_]

# How often an action set counts as seen that training never showed.
_UNSEEN_COUNT = 0.5
# Larger than any score.
_HUGE = 1e300


class Decided(NamedTuple):
    """Decisions for n turns.

    Attributes
    ----------
    actions
        The chosen set of each turn.
    probabilities
        Shape (n, n_actions): of each action, whatever the set.
    confidence
        Shape (n,): probability of the chosen set among the sets that competed.
    """

    actions: list[frozenset[str]]
    probabilities: FloatArray
    confidence: FloatArray


class Decoder:
    """Chooses an action set for each turn.

    Where actions exclude each other, the most probable one. Else the whole set is decided at once: every set seen in
    training competes, and so does the set of all actions more probable than not, seen or unseen. A set's score is the log of
    its probability under independent bits plus `prior_weight` times the log of its share of the training turns.

    Parameters
    ----------
    space
        The actions.
    sets, counts
        The action sets of the training part and how many turns have each.
    single_action
        Whether every target turn of the training part has exactly one action.
    prior_weight
        0: only the bits count.
    """

    def __init__(
        self,
        space: ActionSpace,
        sets: Sequence[frozenset[str]],
        counts: Sequence[int],
        *,
        single_action: bool,
        prior_weight: float,
    ) -> None:
        self.space, self.sets, self.counts = space, list(sets), list(counts)
        self.single_action = single_action
        bits = space.transform(self.sets)
        self._bits_by_action = np.ascontiguousarray(bits.T, dtype=np.float64)
        self._known = {row.tobytes() for row in bits.astype(np.bool_)}
        self._singles = [frozenset([name]) for name in space.classes_]
        total = max(1, sum(self.counts))
        self._log_prior = np.log(np.array(self.counts, dtype=np.float64) / total)
        self._log_unseen = float(np.log(_UNSEEN_COUNT / total))
        self.prior_weight = prior_weight

    @property
    def prior_weight(self) -> float:
        """How much the sets' shares of the training turns count; 0: only the bits count."""
        return self._prior_weight

    @prior_weight.setter
    def prior_weight(self, weight: float) -> None:
        self._prior_weight = weight
        self._prior = weight * self._log_prior

    @classmethod
    def fit(cls, space: ActionSpace, action_sets: Iterable[frozenset[str]], *, single_action: bool) -> Decoder:
        """Count the action sets of the training part."""
        counts: dict[frozenset[str], int] = {}
        for actions in action_sets:
            counts[actions] = counts.get(actions, 0) + 1
        order = sorted(counts, key=lambda actions: (-counts[actions], sorted(actions)))
        prior_weight = 0.0 if single_action else 1.0
        return cls(space, order, [counts[s] for s in order], single_action=single_action, prior_weight=prior_weight)

    def decide(self, logits: FloatArray, allowed: BoolArray | None = None) -> Decided:
        """Decide from logits of shape (n, n_actions).

        Parameters
        ----------
        logits
            The network's.
        allowed
            Shape (n, n_actions): actions that may be taken. Others have probability 0, and no set with one of them
            competes. None: all may.
        """
        z = logits.astype(np.float64)
        if self.single_action:
            if allowed is not None:
                z[~allowed] = -np.inf
            probabilities = np.exp(z - z.max(axis=1, keepdims=True))
            probabilities /= probabilities.sum(axis=1, keepdims=True)
            best = probabilities.argmax(axis=1)
            confidence = probabilities[np.arange(len(best)), best]
            return Decided([self._singles[i] for i in best.tolist()], probabilities, confidence)
        # log p(set) = Σ z over its actions − Σ log(1 + e^z) over all; the last sum is the same for every set.
        scores = z.dot(self._bits_by_action)
        scores += self._prior
        likely = z > 0
        probabilities = _sigmoid(z)
        if allowed is not None:
            likely &= allowed
            scores[(~allowed).astype(np.float64) @ self._bits_by_action > 0] = -np.inf
            probabilities[~allowed] = 0.0
        chosen = [self.sets[i] for i in scores.argmax(axis=1).tolist()]
        top = np.maximum.reduce(scores, axis=1, keepdims=True)
        top[np.isneginf(top)] = -_HUGE  # no set of the training part is allowed
        scores -= top
        total = np.add.reduce(np.exp(scores, out=scores), axis=1)
        # The set of all likely actions competes, too, where training never showed it; but to do nothing at all, where the system
        # always did something, only if nothing else is allowed.
        for row, bits in enumerate(likely):
            if bits.tobytes() not in self._known and (bits.any() or top[row, 0] == -_HUGE):
                rival = float(z[row].dot(bits)) + self.prior_weight * self._log_unseen
                if rival > (best := float(top[row, 0])):
                    chosen[row] = frozenset(self.space.classes_[bit] for bit in np.flatnonzero(bits))
                    total[row] = total[row] * math.exp(best - rival) + 1.0
                else:
                    total[row] += math.exp(rival - best)
        return Decided(chosen, probabilities, 1.0 / total)

    def accuracy(self, logits: FloatArray, gold: Sequence[frozenset[str] | None]) -> float:
        """Share of target turns whose decided set is exactly the gold set; turns without gold actions do not count."""
        targets = [turn for turn, actions in enumerate(gold) if actions is not None]
        decided = self.decide(logits[targets]).actions
        return sum(mine == gold[turn] for mine, turn in zip(decided, targets, strict=True)) / len(targets)

    def tune(self, logits: FloatArray, gold: Sequence[frozenset[str] | None], weights: Sequence[float]) -> None:
        """Set `prior_weight` to the one of `weights` with the best accuracy on a dev part; the first of equals."""

        def accuracy(weight: float) -> float:
            self.prior_weight = weight
            return self.accuracy(logits, gold)

        self.prior_weight = max(weights, key=accuracy)

    def to_json(self) -> dict[str, Any]:
        """Return what a run folder stores."""
        return {
            "single_action": self.single_action,
            "prior_weight": self.prior_weight,
            "sets": [sorted(actions) for actions in self.sets],
            "counts": self.counts,
        }

    @classmethod
    def from_json(cls, described: dict[str, Any], space: ActionSpace) -> Decoder:
        """Undo :meth:`to_json`."""
        options = dict(described)
        sets = [frozenset(actions) for actions in options.pop("sets")]
        return cls(space, sets, options.pop("counts"), **options)


def _sigmoid(z: FloatArray) -> FloatArray:
    e = np.maximum(z, -700.0)  # e^-z stays finite
    np.exp(np.negative(e, out=e), out=e)
    e += 1.0
    return np.reciprocal(e, out=e)
