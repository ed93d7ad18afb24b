"""From logits to a decided set of actions. The same in training, evaluation and serving.

One module of more than 300 lines: what is decided, how probable it is and what may not be are one distribution.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.compiled import step
from dialog_policy.corpus import ActionSpace
from dialog_policy.corpus.action_slots import act_and_slot, slots_of
from dialog_policy.runtime.set_prior import MOST_SETS, SetPrior
from dialog_policy.runtime.stored import stored_decoder

__all__ = ["Decided", "Decoder"]

FloatArray = npt.NDArray[np.floating[Any]]
BoolArray = npt.NDArray[np.bool_]

# By marginals, actions with more than this probability are taken. Of decisions for the greatest expected F1 the threshold is
# half of that F1 (Lipton, Elkan & Narayanaswamy 2014, "Optimal thresholding of classifiers to maximize F1 measure"): two thirds,
# as on services of SGD that training never saw.
_MARGINAL = 1 / 3
# Where no precision was asked for.
_FALLBACK_BELOW = 0.3
# Logarithms of sums that differ from 0 by less say nothing more exact.
_TINY = 1e-8
# Turns that are judged together: each takes a number for every set.
_TOGETHER = 5_000


class Decided(NamedTuple):
    """Decisions for n turns.

    Attributes
    ----------
    actions
        The chosen set of each turn.
    probabilities
        Shape (n, n_actions): of each action, in whatever set.
    confidence
        Shape (n,): probability of the chosen set among all sets.
    """

    actions: list[frozenset[str]]
    probabilities: FloatArray
    confidence: FloatArray


class Decoder:
    """Chooses an action set for each turn.

    Where actions exclude each other, the most probable one. Else the whole set is decided at once, among all 2^K sets of K
    actions: the probability of a set s with bits s_k is proportional to exp(Σ s_k z_k + w_s), with the logits z and the weights
    w of :class:`~dialog_policy.runtime.set_prior.SetPrior`. The network is trained by the likelihood of this same distribution
    (:class:`~dialog_policy.network.loss.ActionLoss`). The sums over all sets are exact, since Σ_s exp(Σ s_k z_k) = Π (1 + exp z_k).

    Parameters
    ----------
    space
        The actions.
    sets, counts
        The action sets of the training part, the most frequent first, and how many turns have each. Without any, bits are
        independent.
    single_action
        Whether every target turn of the training part has exactly one action.
    temperature
        Log-probabilities are divided by it: it changes how sure decisions are, not which they are.
    fallback_below
        Confidence below which a decision had better not be acted on.
    by_marginals
        Whether, in place of the most probable set, all actions are taken whose probability, in whatever set, is above a third:
        actions are right more often (F1), whole sets less often. Runs of earlier versions with independent bits have False.
    named_acts
        Acts whose actions are only taken if a context of the dialogue has named their slot
        (:func:`~dialog_policy.corpus.action_slots.acts_with_named_slots`).
    only_fillable
        Whether actions are templates, of which only those are taken that the dialogue so far can fill:
        :meth:`~dialog_policy.runtime.engine.Engine.fillable` leaves the others out. Runs of earlier versions have False.
    compiled
        Whether the compiled decision is used where it is installed. Both decide the same;
        probabilities differ by rounding.

    Attributes
    ----------
    slots
        The slots of these acts' actions.
    """

    def __init__(
        self,
        space: ActionSpace,
        sets: Sequence[frozenset[str]],
        counts: Sequence[int],
        *,
        single_action: bool,
        temperature: float = 1.0,
        fallback_below: float = _FALLBACK_BELOW,
        by_marginals: bool = False,
        named_acts: Iterable[str] = (),
        only_fillable: bool = False,
        compiled: bool = True,
    ) -> None:
        self.space, self.sets, self.counts = space, list(sets), list(counts)
        self.single_action = single_action
        self.prior = SetPrior.fit(space, self.sets, self.counts)
        bits = self.prior.bits
        self._bits_by_action = np.ascontiguousarray(bits.T)
        # From what sets weigh to what each action weighs, and all together.
        self._sums = np.concatenate([bits, np.ones((len(bits), 1))], axis=1)
        self._known = {row.tobytes(): number for number, row in enumerate(bits.astype(np.bool_))}
        self._singles = [frozenset([name]) for name in space.classes_]
        self.by_marginals = by_marginals
        self._is_compiled = compiled and step is not None
        self.temperature = temperature
        self.fallback_below = fallback_below
        self.named_acts = frozenset(named_acts)
        self.only_fillable = only_fillable
        self.slots = slots_of(space.classes_, self.named_acts)
        pairs = [act_and_slot(name) for name in space.classes_]
        self._slot_of = [pair[1] if pair is not None and pair[0] in self.named_acts else None for pair in pairs]

    @property
    def temperature(self) -> float:
        """What log-probabilities are divided by."""
        return self._temperature

    @temperature.setter
    def temperature(self, temperature: float) -> None:
        self._temperature = temperature
        prior = self.prior.tempered(temperature)
        self._log_weights, self._log_new, self._log_excess = prior.log_weights, prior.log_new, prior.log_excess
        excess = np.exp(self._log_excess - self._log_weights)
        self._excess = self._sums * excess[:, None]
        self._compiled = self._compile(excess) if self._is_compiled else None

    def _compile(self, excess: FloatArray) -> step.Decision:
        bits = self.prior.bits != 0
        return step.Decision(
            self.space.classes_,
            tuple(self._singles if self.single_action else self.sets),
            bits.nonzero()[1].astype(np.int32).tobytes(),
            bits.sum(axis=1).cumsum().astype(np.int32).tobytes(),
            self._log_weights.tobytes(),
            excess.tobytes(),
            self._log_new,
            self._temperature,
            self.single_action,
            self.by_marginals,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return Decoder.from_json, (self.to_json(), self.space)

    @classmethod
    def fit(
        cls,
        space: ActionSpace,
        action_sets: Iterable[frozenset[str]],
        *,
        single_action: bool,
        whole_sets: bool = True,
        by_marginals: bool = False,
        named_acts: Iterable[str] = (),
        only_fillable: bool = False,
    ) -> Decoder:
        """Count the action sets of the training part; without `whole_sets` actions do not depend on each other."""
        counts: dict[frozenset[str], int] = {}
        for actions in action_sets if whole_sets or single_action else ():
            counts[actions] = counts.get(actions, 0) + 1
        order = sorted(counts, key=lambda actions: (-counts[actions], sorted(actions)))
        return cls(
            space,
            order,
            [counts[s] for s in order],
            single_action=single_action,
            by_marginals=by_marginals,
            named_acts=named_acts,
            only_fillable=only_fillable,
        )

    def impossible(self, named: Iterable[Set[str]]) -> BoolArray | None:
        """Say which actions cannot be taken, shape (n, n_actions), where contexts have named these of :attr:`slots`; None: all can.

        Parameters
        ----------
        named
            Of each of n turns, the slots that its context or one before has as keys.
        """
        if not self.slots:
            return None
        rows = [[slot is not None and slot not in own for slot in self._slot_of] for own in named]
        return np.array(rows, dtype=np.bool_).reshape(len(rows), len(self._slot_of))

    def decide(
        self,
        logits: FloatArray,
        allowed: BoolArray | None = None,
        allow_none: BoolArray | None = None,
        impossible: BoolArray | None = None,
    ) -> Decided:
        """Decide from logits of shape (n, n_actions).

        Parameters
        ----------
        logits
            The network's.
        allowed
            Shape (n, n_actions): actions that may be taken. Others have probability 0, and no set with one of them
            competes. None: all may.
        allow_none
            Shape (n,): whether the empty set competes where only some actions may be taken; None: nowhere. Where all may, it
            competes as in the training part; where none may, it is all that is left.
        impossible
            Shape (n, n_actions), by :meth:`impossible`: actions that are left out of what was decided. If nothing is left, the
            most probable possible action is taken. Probabilities and confidence stay as they are. None: all are possible.
        """
        decided = self._decide(logits, allowed, allow_none)
        return decided if impossible is None else self._without(decided, impossible)

    def _without(self, decided: Decided, impossible: BoolArray) -> Decided:
        """Leave impossible actions out: what else was decided does not depend on them."""
        actions = list(decided.actions)
        for row in np.flatnonzero(impossible.any(axis=1)).tolist():
            actions[row] = self.without(actions[row], impossible[row], decided.probabilities[row])
        return decided._replace(actions=actions)

    def without(self, actions: frozenset[str], impossible: BoolArray, probabilities: FloatArray) -> frozenset[str]:
        """Leave impossible actions out of the set of a turn; both arrays of shape (n_actions,), as for :meth:`decide`."""
        kept = frozenset(self.space.classes_[bit] for bit in self.space.bits(actions) if not impossible[bit])
        if actions and not kept:
            shares = np.where(impossible, 0.0, probabilities)
            kept = self._singles[int(shares.argmax())] if shares.any() else kept
        return kept

    def _decide(self, logits: FloatArray, allowed: BoolArray | None, allow_none: BoolArray | None) -> Decided:
        """Decide, whatever is possible."""
        if self._compiled is not None:
            actions, shares, confidence = self._compiled.decide(
                logits.astype(np.float64).tobytes(),
                None if allowed is None else allowed.tobytes(),
                None if allow_none is None else allow_none.tobytes(),
            )
            return Decided(actions, np.frombuffer(shares).reshape(logits.shape), np.frombuffer(confidence))
        z = logits.astype(np.float64)
        z /= self._temperature
        if self.single_action:
            if allowed is not None:
                z[~allowed] = -np.inf
            probabilities = np.exp(z - z.max(axis=1, keepdims=True))
            probabilities /= probabilities.sum(axis=1, keepdims=True)
            best = probabilities.argmax(axis=1)
            confidence = probabilities[np.arange(len(best)), best]  # a share of a sum of shares: 1 at the most
            return Decided([self._singles[i] for i in best.tolist()], probabilities, confidence)
        scores = z.dot(self._bits_by_action)
        scores += self._log_weights
        positive = z > 0
        log_any, marginals = self._base(z, allowed)
        if allowed is not None:
            scores[(~allowed).astype(np.float64) @ self._bits_by_action > 0] = -np.inf
            positive &= allowed
            must_act: BoolArray = np.logical_and(~allowed.all(axis=1), allowed.any(axis=1))
            if allow_none is not None:
                must_act &= ~allow_none
            if must_act.any():
                self._forbid_nothing(z, allowed, must_act, scores, positive, log_any, marginals)
        if self.sets:
            best = scores.argmax(axis=1)
            chosen = [self.sets[i] for i in best.tolist()]
            score = scores.max(axis=1)
            top = np.maximum(score, log_any)
        else:
            chosen = [frozenset[str]()] * len(z)
            score, top = np.full(len(z), -np.inf), log_any
        scores -= top[:, None]
        seen = np.exp(scores, out=scores).dot(self._excess)
        anything = np.exp(log_any - top)
        total = seen[:, -1] + anything
        marginals *= anything[:, None]
        marginals += seen[:, :-1]
        marginals /= total[:, None]
        # Of new sets only that of all positive logits can win, since none weighs more than one that was seen; but doing nothing
        # at all, where the system always did something, wins only if nothing else is allowed.
        for row, bits in enumerate(positive):
            if bits.tobytes() not in self._known and (bits.any() or score[row] == -np.inf):
                rival = float(z[row].dot(bits)) + self._log_new
                if rival > score[row]:
                    score[row] = rival
                    chosen[row] = frozenset(self.space.classes_[bit] for bit in np.flatnonzero(bits))
        if self.by_marginals:
            for row in range(len(z)):
                score[row] = self._by_marginals(row, z, marginals, chosen, score)
        # Sums of rounded terms may exceed 1 by a rounding error.
        confidence = np.minimum(np.exp(score - top) / total, 1.0)
        return Decided(chosen, np.minimum(marginals, 1.0, out=marginals), confidence)

    def _by_marginals(
        self, row: int, z: FloatArray, marginals: FloatArray, chosen: list[frozenset[str]], score: FloatArray
    ) -> float:
        """Take in one row of `chosen` the probable actions in place of the most probable set; return the set's score.

        If none is probable, but the most probable set is not empty, the most probable action is taken.
        """
        bits = marginals[row] > _MARGINAL
        if not bits.any():
            if not chosen[row]:
                return float(score[row])
            bits[marginals[row].argmax()] = True
        chosen[row] = frozenset(self.space.classes_[bit] for bit in np.flatnonzero(bits))
        number = self._known.get(bits.tobytes())
        return float(z[row].dot(bits)) + float(self._log_new if number is None else self._log_weights[number])

    def _forbid_nothing(
        self,
        z: FloatArray,
        allowed: BoolArray,
        must_act: BoolArray,
        scores: FloatArray,
        positive: BoolArray,
        log_any: FloatArray,
        shares: FloatArray,
    ) -> None:
        """Take the empty set out of what competes in the rows `must_act`: changes the arrays from `scores` on."""
        n_actions = self.prior.bits.sum(axis=1)
        scores[np.ix_(must_act, n_actions == 0)] = -np.inf
        logits = np.where(allowed, z, -np.inf)[must_act]
        log_off = np.logaddexp(0.0, logits)
        log_all = log_off.sum(axis=1)  # log Π (1 + e^z); as a difference it would lose the digits of small ones
        # log(Π (1 + e^z) - 1); where the product is all but 1, the sum of all e^z is as good.
        with np.errstate(divide="ignore"):
            log_some = np.where(
                log_all > _TINY, log_all + np.log(-np.expm1(-log_all)), np.logaddexp.reduce(logits, axis=1)
            )
        log_any[must_act] = log_some + self._log_new
        # What is in a set is in one that is not empty, so its weight stays, while all together weigh less.
        shares[must_act] = np.exp(np.minimum(logits - log_off + (log_all - log_some)[:, None], 0.0))
        # The best new set of actions without a positive logit has the one that is the least improbable.
        none = must_act & ~positive.any(axis=1)
        positive[none, np.where(allowed, z, -np.inf)[none].argmax(axis=1)] = True

    def _base(self, z: FloatArray, allowed: BoolArray | None) -> tuple[FloatArray, FloatArray]:
        """Every set as if new: log of the total weight, shape (n,), and the share of it of each action, shape of z."""
        log_off = np.logaddexp(0.0, z)  # log(1 + e^z)
        share = np.exp(z - log_off)
        if allowed is not None:
            log_off[~allowed] = 0.0
            share[~allowed] = 0.0
        return log_off.sum(axis=1) + self._log_new, share

    def log_probabilities(self, logits: FloatArray, actions: Sequence[frozenset[str]]) -> FloatArray:
        """Log of the probability of one action set a turn, shape (n,), in nats; -inf for a set that cannot be.

        Parameters
        ----------
        logits
            Shape (n, n_actions).
        actions
            The n sets.
        """
        if len(actions) > _TOGETHER:
            starts = range(0, len(actions), _TOGETHER)
            pieces = [(logits[at : at + _TOGETHER], actions[at : at + _TOGETHER]) for at in starts]
            return np.concatenate([self.log_probabilities(*piece) for piece in pieces])
        z = logits.astype(np.float64) / self._temperature
        if self.single_action:
            z -= z.max(axis=1, keepdims=True)  # else large logits leave no digits for their differences
            log_shares = z - np.logaddexp.reduce(z, axis=1, keepdims=True)
            columns = [self.space.bits(s)[0] if len(s) == 1 and s <= self._names else -1 for s in actions]
            chosen: FloatArray = np.where(np.array(columns) < 0, -np.inf, log_shares[np.arange(len(columns)), columns])
            return chosen
        seen = np.logaddexp.reduce(z.dot(self._bits_by_action) + self._log_excess, axis=1, initial=-np.inf)
        log_total = np.logaddexp(seen, self._base(z, None)[0])
        row_of = {s: row for row, s in enumerate(self.sets[:MOST_SETS])}
        rows = np.array([row_of.get(s, -1) for s in actions], dtype=np.intp)
        prior = np.append(self._log_weights, self._log_new)[rows]
        possible = [s <= self._names for s in actions]
        bits = self.space.transform([s if fits else frozenset() for s, fits in zip(actions, possible, strict=True)])
        return np.where(possible, (bits * z).sum(axis=1) + prior - log_total, -np.inf)

    @property
    def _names(self) -> frozenset[str]:
        return frozenset(self.space.classes_)

    def judge(
        self, logits: FloatArray, gold: Sequence[frozenset[str] | None], impossible: BoolArray | None = None
    ) -> tuple[BoolArray, FloatArray]:
        """Return for each turn with gold actions whether the decided set is exactly the gold set, and the confidence."""
        targets = [turn for turn, actions in enumerate(gold) if actions is not None]
        right: list[bool] = []
        confidence: list[FloatArray] = [np.zeros(0)]
        for start in range(0, len(targets), _TOGETHER):
            own = targets[start : start + _TOGETHER]
            decided = self.decide(logits[own], impossible=None if impossible is None else impossible[own])
            right += [chosen == gold[turn] for chosen, turn in zip(decided.actions, own, strict=True)]
            confidence.append(decided.confidence)
        return np.array(right, dtype=np.bool_), np.concatenate(confidence)

    def to_json(self) -> dict[str, Any]:
        """Return what a run folder stores."""
        return {
            "single_action": self.single_action,
            "temperature": self.temperature,
            "fallback_below": self.fallback_below,
            "sets": [sorted(actions) for actions in self.sets],
            "counts": self.counts,
            "by_marginals": self.by_marginals,
            "named_acts": sorted(self.named_acts),
            "only_fillable": self.only_fillable,
        }

    @classmethod
    def from_json(cls, described: Mapping[str, Any], space: ActionSpace) -> Decoder:
        """Undo :meth:`to_json`.

        Raises
        ------
        ValueError
            If it is no such object, or not one of these actions.
        """
        return cls(space, **stored_decoder(described, space))
