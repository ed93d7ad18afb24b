"""The baselines, each a Predictor: they choose one of the action sets that training showed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.baselines.neighbours import Neighbours
from dialog_policy.baselines.view import ActionSet, Exchange, Part, TurnView, turn_views
from dialog_policy.corpus import ActionSpace, Dialogue
from dialog_policy.prediction import SETS_LISTED, Prediction
from dialog_policy.text.table import FloatArray, TermTable
from dialog_policy.text.tokens import Tokenizer

__all__ = [
    "Baseline",
    "BigramBaseline",
    "LogisticRegressionBaseline",
    "MajorityBaseline",
    "NearestNeighbourBaseline",
    "Regression",
    "previous_action_bits",
    "weighted_terms",
]


class Baseline(ABC):
    """A simple policy fitted on the same training part as a run.

    Attributes
    ----------
    name
        What reports call it.
    actions
        The actions of the training part.
    fingerprints
        ``"train"`` to the hashes of the dialogues it was fitted on; empty where they are not known.
    """

    def __init__(self, name: str, actions: ActionSpace) -> None:
        self.name, self.actions = name, actions
        self.fingerprints: Mapping[str, frozenset[str]] = {}

    def predict(self, dialogues: Iterable[Dialogue]) -> Iterator[Prediction]:
        """Yield a prediction for every target turn, in order; the system side of earlier turns is the gold one."""
        for dialogue in dialogues:
            turns = list(turn_views(dialogue))
            if turns:
                yield from self._predicted(dialogue.id, turns)

    def _predicted(self, dialogue: str, turns: Sequence[tuple[TurnView, ActionSet]]) -> Iterator[Prediction]:
        """Yield the predictions for a dialogue's target turns, of each what may be looked at and its gold actions."""
        chosen = self._choose([view for view, _ in turns])
        for (view, _), actions in zip(turns, chosen, strict=True):
            yield Prediction(dialogue=dialogue, turn=view.number, actions=actions)

    @abstractmethod
    def _choose(self, views: Sequence[TurnView]) -> Sequence[ActionSet]:
        """Choose the actions of each of a dialogue's target turns."""


class MajorityBaseline(Baseline):
    """The most frequent action set of the training part, always."""

    def __init__(self, actions: ActionSpace, most_frequent: ActionSet) -> None:
        super().__init__("majority", actions)
        self._most_frequent = most_frequent

    def _choose(self, views: Sequence[TurnView]) -> Sequence[ActionSet]:
        return [self._most_frequent] * len(views)


class BigramBaseline(Baseline):
    """The most frequent action set after the previous turn's set; the most frequent of all after one never seen."""

    def __init__(
        self, actions: ActionSpace, after: Mapping[ActionSet | None, ActionSet], most_frequent: ActionSet
    ) -> None:
        super().__init__("bigram", actions)
        self._after, self._most_frequent = after, most_frequent

    def _choose(self, views: Sequence[TurnView]) -> Sequence[ActionSet]:
        return [self._after.get(view.exchange.before, self._most_frequent) for view in views]


class Regression(NamedTuple):
    """A multinomial logistic regression: the logits of the action sets are sums of table rows.

    Attributes
    ----------
    tables
        Part of what is seen of a turn to the table of its terms' coefficients, each row of shape (n_sets,).
    actions
        Shape (1 + n_actions, n_sets): coefficients of "first turn" and of the previous turn's actions; None: not looked at.
    bias
        Shape (n_sets,).
    """

    tables: Mapping[Part, TermTable]
    actions: FloatArray | None
    bias: FloatArray


class LogisticRegressionBaseline(Baseline):
    """The action set that a logistic regression finds most probable.

    Parameters
    ----------
    name
        What reports call it.
    actions
        The actions of the training part.
    sets
        The action sets that the regression's columns stand for, shape (n_sets,).
    regression
        The coefficients.
    tokenize
        Splits a text into words.
    """

    def __init__(
        self,
        name: str,
        actions: ActionSpace,
        sets: Sequence[ActionSet],
        regression: Regression,
        tokenize: Tokenizer,
    ) -> None:
        super().__init__(name, actions)
        self._sets, self._regression, self._tokenize = sets, regression, tokenize
        # Of many sets only the most frequent were learnt: one logit each.
        self._number = {actions: number for number, actions in enumerate(sets[: len(regression[2])])}

    def _choose(self, views: Sequence[TurnView]) -> Sequence[ActionSet]:
        return [self._sets[best] for best in self._logits(views).argmax(axis=1)]

    def _predicted(self, dialogue: str, turns: Sequence[tuple[TurnView, ActionSet]]) -> Iterator[Prediction]:
        """State the probability of the gold set, 0 for one that training lacks, and the most probable sets, too."""
        logits = self._logits([view for view, _ in turns]).astype(np.float64)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        ranked = np.argsort(-logits, axis=1, kind="stable")[:, :SETS_LISTED]
        for (view, gold), own, order in zip(turns, shares, ranked, strict=True):
            sets = [self._sets[number] for number in order]
            number = self._number.get(gold)
            logged = 0.0 if number is None else min(1.0, float(own[number]))
            yield Prediction(dialogue=dialogue, turn=view.number, actions=sets[0], logged=logged, sets=sets)

    def _logits(self, views: Sequence[TurnView]) -> FloatArray:
        """Return the logits of the sets, shape (n_views, n_sets)."""
        tables, actions, bias = self._regression
        logits = np.tile(bias, (len(views), 1))
        for part, table in tables.items():
            logits += table.encode([view.terms(part, self._tokenize) for view in views])
        if actions is not None:
            logits += previous_action_bits(self.actions, [view.exchange for view in views]) @ actions
        return logits


class NearestNeighbourBaseline(Baseline):
    """What was done in the most similar turn of the training part.

    Parameters
    ----------
    actions
        The actions of the training part.
    sets
        The action sets that `neighbours` chooses among.
    neighbours
        The indexed training turns.
    history
        The regression whose terms are compared.
    tokenize
        Splits a text into words.
    """

    def __init__(
        self,
        actions: ActionSpace,
        sets: Sequence[ActionSet],
        neighbours: Neighbours,
        history: Regression,
        tokenize: Tokenizer,
    ) -> None:
        super().__init__("nearest_neighbour", actions)
        self._sets, self._neighbours, self._history, self._tokenize = sets, neighbours, history, tokenize

    def _choose(self, views: Sequence[TurnView]) -> Sequence[ActionSet]:
        nearest = self._neighbours.nearest
        terms = (weighted_terms(self.actions, self._history, self._tokenize, view.exchange) for view in views)
        return [self._sets[nearest(compared)] for compared in terms]


def weighted_terms(
    actions: ActionSpace, history: Regression, tokenize: Tokenizer, exchange: Exchange
) -> list[tuple[npt.NDArray[np.intp], FloatArray]]:
    """Return what is compared of two turns: words of the user, of the system before, actions before; each of length 1."""
    bits = np.array([0] if exchange.is_first else [bit + 1 for bit in actions.bits(exchange.before)], dtype=np.intp)
    weights = np.full(len(bits), 1 / np.sqrt(max(1, len(bits))), dtype=np.float32)
    return [
        history.tables["user"].weighted_rows(tokenize(exchange.user)),
        history.tables["system"].weighted_rows(tokenize(exchange.system)),
        (bits, weights),
    ]


def previous_action_bits(actions: ActionSpace, exchanges: Sequence[Exchange]) -> FloatArray:
    """Shape (n_exchanges, 1 + n_actions): a bit for "first turn", then one for each action of the turn before."""
    first = np.array([[exchange.is_first] for exchange in exchanges], dtype=np.float32).reshape(len(exchanges), 1)
    return np.concatenate([first, actions.transform([exchange.before for exchange in exchanges])], axis=1)
