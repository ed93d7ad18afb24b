"""Predictions matched to a corpus and turned into arrays, some dialogues at a time, without keeping them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.corpus import ActionSpace, Corpus, Dialogue
from dialog_policy.errors import did_you_mean
from dialog_policy.evaluation.alignment import ExpectedPredictions, PredictedDialogue
from dialog_policy.evaluation.scored_turns import Integers, Pairs, ScoredTurns, SparseProbabilities
from dialog_policy.prediction import Prediction

__all__ = ["Actions", "Chunk", "Collector", "collect_turns", "gold_counts"]

# Turns that are arrays together.
_TOGETHER = 20_000


class Actions:
    """The actions that figures are about.

    Parameters
    ----------
    known
        The actions of the training part. None: the gold and the predicted actions.
    gold
        The actions of the corpus.

    Attributes
    ----------
    names
        Those of training and gold by name, then those that only predictions have, in the order in which they came.
    n_listed
        How many of them are training's or gold's.
    """

    def __init__(self, known: Iterable[str] | None, gold: Iterable[str]) -> None:
        self._training = None if known is None else frozenset(known)
        self.names = sorted({*gold, *(self._training or ())})
        self._n_listed = len(self.names)
        self._bit = {name: bit for bit, name in enumerate(self.names)}

    @property
    def n_listed(self) -> int:
        """How many actions are training's or gold's."""
        return len(self.names) if self._training is None else self._n_listed

    def bit(self, name: str) -> int:
        """Return the number of an action, which may be new."""
        if name not in self._bit:
            self._bit[name] = len(self.names)
            self.names.append(name)
        return self._bit[name]

    def check_stated(self, name: str) -> str:
        """Say what is wrong with a probability for an action, or return an empty string."""
        if self._training is None or self._bit.get(name, self._n_listed) < self._n_listed:
            return ""
        hint = did_you_mean(name, self.names[: self._n_listed])
        return f"a probability for the action {name!r}, which neither the training part nor the corpus has.{hint}"

    def turns(self, dialogues: Sequence[Dialogue], **arrays: Any) -> ScoredTurns:
        """Return scored turns over these actions."""
        if self._training is None:
            training = np.ones(len(self.names), dtype=np.bool_)
        else:
            training = np.array([name in self._training for name in self.names], dtype=np.bool_)
        return ScoredTurns(ActionSpace(self.names), self.n_listed, training, dialogues, **arrays)


def gold_counts(dialogues: Iterable[Dialogue]) -> Counter[str]:
    """Return how many turns have each action."""
    return Counter(
        itertools.chain.from_iterable(turn.actions or () for dialogue in dialogues for turn in dialogue.turns)
    )


class Chunk(NamedTuple):
    """Scored turns of some dialogues, and the numbers of these in the corpus."""

    turns: ScoredTurns
    numbers: Integers


class Collector:
    """Turns the predictions of one policy into scored turns.

    Parameters
    ----------
    corpus
        The gold dialogues.
    actions
        The actions; those that only predictions have are added to them.
    by
        Whose predictions they are, for messages.
    first
        The number of the corpus' first dialogue, where it is a part of what is judged.

    Attributes
    ----------
    is_scored
        Shape (n_dialogues,): whether a dialogue has been predicted.
    """

    def __init__(self, corpus: Corpus, actions: Actions, by: str = "", *, first: int = 0) -> None:
        self._corpus, self._actions, self._by, self._first = corpus, actions, by, first
        self.is_scored: npt.NDArray[np.bool_] = np.zeros(len(corpus), dtype=np.bool_)
        # Whether predictions have probabilities and confidences, once one has come.
        self.has: tuple[bool, bool] | None = None

    def chunks(
        self, predictions: Iterable[Prediction], *, everything: bool = False, together: int | None = _TOGETHER
    ) -> Iterator[Chunk]:
        """Yield scored turns, whole dialogues of about so many turns together (None: all).

        Parameters
        ----------
        predictions
            Exactly one for each target turn of every dialogue that they mention, in any order.
        everything
            Whether every dialogue of the corpus must be mentioned.
        together
            Turns of a chunk.

        Raises
        ------
        CorpusError
            If a turn has no prediction or two, a prediction belongs to no target turn, a probability to an action that neither
            training nor the corpus has, or some predictions have probabilities or confidences and others none: with the place.
        """
        expected = ExpectedPredictions(self._corpus, self._by)
        collected: list[PredictedDialogue] = []
        n_turns = 0
        for predicted in expected.over(predictions, self._problem):
            self.is_scored[predicted.number] = True
            collected.append(predicted)
            n_turns += len(predicted.predictions)
            if together is not None and n_turns >= together:
                yield self.chunk(collected)
                collected, n_turns = [], 0
        expected.check_complete(everything=everything)
        if collected:
            yield self.chunk(collected)

    def _problem(self, prediction: Prediction) -> str:
        """Say what is wrong with a prediction next to those before it, or return an empty string."""
        has = prediction.probabilities is not None, prediction.confidence is not None
        if has != self.has:
            if self.has is not None:
                key = "probabilities" if has[0] != self.has[0] else "confidence"
                return f"expected `{key}` in every prediction or in none; this one and those before it differ."
            self.has = has
        for name in prediction.probabilities or ():
            if problem := self._actions.check_stated(name):
                return problem
        return ""

    def chunk(self, collected: Sequence[PredictedDialogue]) -> Chunk:
        """Return dialogues as arrays, in the order of the corpus."""
        collected = sorted(collected, key=lambda one: one.number)
        predictions = [prediction for one in collected for prediction in one.predictions]
        sizes = [len(one.predictions) for one in collected]
        bit = self._actions.bit
        gold = [
            sorted(map(bit, turn.actions))
            for one in collected
            for turn in one.dialogue.turns
            if turn.actions is not None
        ]
        predicted = [sorted(map(bit, prediction.actions)) for prediction in predictions]
        has_probabilities, has_confidence = self.has or (False, False)
        logged = [prediction.logged for prediction in predictions]
        stated = None
        if has_probabilities:
            shares = [sorted((bit(n), p) for n, p in (each.probabilities or {}).items()) for each in predictions]
            values = np.array([p for own in shares for _, p in own], dtype=np.float64)
            stated = SparseProbabilities(*_pairs([[b for b, _ in own] for own in shares]), values)
        turns = self._actions.turns(
            [one.dialogue for one in collected],
            dialogue=np.repeat(np.arange(len(collected), dtype=np.int32), sizes),
            number=np.array([prediction.turn for prediction in predictions], dtype=np.int32),
            gold=_pairs(gold),
            predicted=_pairs(predicted),
            probabilities=stated,
            confidence=np.array([each.confidence for each in predictions], dtype=np.float64)
            if has_confidence
            else None,
            gold_set=None if None in logged or not logged else np.array(logged, dtype=np.float64),
            set_rank=_ranks(collected),
        )
        return Chunk(turns, self._first + np.array([one.number for one in collected], dtype=np.int64))


def _ranks(collected: Sequence[PredictedDialogue]) -> npt.NDArray[np.float64] | None:
    """Return the place of the gold set among the most probable sets of each turn; None where not every prediction lists them."""
    ranks: list[float] = []
    for one in collected:
        gold = (turn.actions for turn in one.dialogue.turns if turn.actions is not None)
        for actions, prediction in zip(gold, one.predictions, strict=True):
            if prediction.sets is None:
                return None
            ranks.append(prediction.sets.index(actions) if actions in prediction.sets else np.inf)
    return np.array(ranks, dtype=np.float64) if ranks else None


def _pairs(bits: Sequence[Sequence[int]]) -> Pairs:
    sizes = np.fromiter(map(len, bits), dtype=np.int64, count=len(bits))
    flat = np.fromiter(itertools.chain.from_iterable(bits), dtype=np.int32, count=int(sizes.sum()))
    return Pairs(np.repeat(np.arange(len(bits), dtype=np.int32), sizes), flat)


def collect_turns(
    predictions: Iterable[Prediction],
    corpus: Corpus,
    *,
    known_actions: Iterable[str] | None = None,
    by: str = "",
) -> ScoredTurns:
    """Match predictions to a corpus and return all its scored turns; parameters and errors as those of :class:`Collector`.

    Actions are in the order of their names; those that only predictions have come last.
    """
    collector = Collector(corpus, Actions(known_actions, gold_counts(corpus)), by)
    chunks = list(collector.chunks(predictions, together=None))
    return _sorted(chunks[0].turns)


def _sorted(turns: ScoredTurns) -> ScoredTurns:
    """Return scored turns with actions in the order of their names."""
    names = turns.space.classes_
    order = sorted(range(len(names)), key=lambda bit: (bit >= turns.n_listed, names[bit]))
    rank = np.empty(len(names), dtype=np.int32)
    rank[order] = np.arange(len(names), dtype=np.int32)

    def moved(pairs: Pairs | SparseProbabilities) -> tuple[Any, ...]:
        bits = rank[pairs.bits]
        by_key = np.argsort(pairs.rows * np.int64(max(1, len(names))) + bits)
        return pairs.rows, bits[by_key], *(column[by_key] for column in pairs[2:])

    return ScoredTurns(
        ActionSpace([names[bit] for bit in order]),
        turns.n_listed,
        turns.training[order],
        turns.dialogues,
        turns.dialogue,
        turns.number,
        Pairs(*moved(turns.gold)),
        Pairs(*moved(turns.predicted)),
        None if turns.probabilities is None else SparseProbabilities(*moved(turns.probabilities)),
        turns.confidence,
        turns.gold_set,
        turns.set_rank,
    )
