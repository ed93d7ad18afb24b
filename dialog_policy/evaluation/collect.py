"""Predictions matched to a corpus and collected as arrays, one by one, without keeping them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from dialog_policy.corpus import ActionSpace, Corpus
from dialog_policy.errors import CorpusError, did_you_mean
from dialog_policy.evaluation.alignment import ExpectedPredictions
from dialog_policy.evaluation.scored_turns import Integers, Pairs, ScoredTurns, SparseProbabilities
from dialog_policy.prediction import Prediction

__all__ = ["collect_turns"]

# Turns after which lists become arrays.
_BLOCK = 20_000


def collect_turns(
    predictions: Iterable[Prediction],
    corpus: Corpus,
    *,
    known_actions: Iterable[str] | None = None,
    everything: bool = False,
    by: str = "",
) -> ScoredTurns:
    """Match predictions to a corpus, one by one, without keeping them.

    Parameters
    ----------
    predictions
        Exactly one for each target turn of every dialogue that they mention, in any order.
    corpus
        The gold dialogues.
    known_actions
        The actions of the training part. None: the gold and the predicted actions.
    everything
        Whether every dialogue of the corpus must be mentioned.
    by
        Whose predictions they are, for messages.

    Raises
    ------
    CorpusError
        If a turn has no prediction or two, a prediction belongs to no target turn, a probability to an action that neither
        training nor the corpus has, or some predictions have probabilities or confidences and others none: with the place.
    """
    # Action name to a number, given in the order of arrival.
    bits: defaultdict[str, int] = defaultdict()
    bits.default_factory = bits.__len__
    for name in known_actions or ():
        bits[name]
    n_training = len(bits)
    gold = _Gold(corpus, bits)
    predicted = _Predicted(bits, bits if known_actions is None else dict(bits))
    n_listed = len(bits)
    expected = ExpectedPredictions(corpus, by)
    for row, prediction in expected.over(predictions):
        problem = predicted.add(row, prediction)
        if problem:
            raise CorpusError(problem, dialogue=prediction.dialogue, turn=prediction.turn, **expected.place())
    if known_actions is None:
        n_training = n_listed = len(bits)
    scored = expected.complete(everything=everything)
    # Actions by name; those that only predictions have come last.
    names = sorted(bits, key=lambda name: (bits[name] >= n_listed, name))
    rank = np.empty(len(bits), dtype=np.int32)
    rank[[bits[name] for name in names]] = np.arange(len(bits), dtype=np.int32)
    in_training = np.empty(len(bits), dtype=np.bool_)
    in_training[rank] = np.arange(len(bits)) < n_training
    rows = predicted.rows.array()
    order = np.argsort(rows)
    rows = rows[order]
    starts = np.array([expected.first[dialogue.id] for dialogue in scored], dtype=np.int32)
    dialogue_of = (np.searchsorted(starts, rows, side="right") - 1).astype(np.int32)
    has_probabilities, has_confidence = predicted.has or (False, False)
    return ScoredTurns(
        ActionSpace(names),
        n_listed,
        in_training,
        scored,
        dialogue_of,
        rows - starts[dialogue_of],
        gold.pairs(np.searchsorted(gold.turns.array(), rows), rank),
        predicted.actions.pairs(order, rank),
        predicted.probabilities.with_values(order, rank) if has_probabilities else None,
        predicted.confidence.array()[order] if has_confidence else None,
        predicted.logged.array()[order] if predicted.all_logged else None,
    )


class _Numbers:
    """Numbers that become arrays block by block: lists grow faster than arrays, and take more room."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._dtype = dtype
        self._blocks: list[npt.NDArray[Any]] = []
        self.open: list[Any] = []

    def close(self) -> None:
        """Turn what is open into an array."""
        self._blocks.append(np.array(self.open, dtype=self._dtype))
        self.open.clear()

    def array(self) -> npt.NDArray[Any]:
        """Return all numbers."""
        self.close()
        self._blocks = [np.concatenate(self._blocks)]
        return self._blocks[0]


class _Lists:
    """Lists of bits, and of their values if they have any, one after the other."""

    def __init__(self) -> None:
        self.sizes, self.bits, self.values = _Numbers(np.int32), _Numbers(np.int32), _Numbers(np.float64)

    def close(self) -> None:
        for numbers in (self.sizes, self.bits, self.values):
            numbers.close()

    def _sorted(self, order: Integers, rank: Integers) -> tuple[Integers, Integers, Integers]:
        """Rows, renumbered bits and places of what the lists at `order` hold, by row and then bit."""
        sizes = self.sizes.array()
        starts = np.cumsum(sizes) - sizes
        chosen = sizes[order]
        rows = np.repeat(np.arange(len(order), dtype=np.int32), chosen)
        places = np.arange(len(rows)) + np.repeat(starts[order] - (np.cumsum(chosen) - chosen), chosen)
        bits = rank[self.bits.array()[places]]
        by_key = np.argsort(rows * np.int64(len(rank)) + bits)
        return rows, bits[by_key], places[by_key]

    def pairs(self, order: Integers, rank: Integers) -> Pairs:
        rows, bits, _ = self._sorted(order, rank)
        return Pairs(rows, bits)

    def with_values(self, order: Integers, rank: Integers) -> SparseProbabilities:
        rows, bits, places = self._sorted(order, rank)
        return SparseProbabilities(rows, bits, self.values.array()[places])


class _Gold(_Lists):
    """The actions of every target turn of a corpus, and the turn's number among all its turns."""

    def __init__(self, corpus: Corpus, bits: dict[str, int]) -> None:
        super().__init__()
        self.turns = _Numbers(np.int32)
        turns, sizes, actions, number_of = self.turns.open, self.sizes.open, self.bits.open, bits.__getitem__
        start = 0
        for dialogue in corpus:
            for row, turn in enumerate(dialogue.turns, start):
                if turn.actions is not None:
                    turns.append(row)
                    sizes.append(len(turn.actions))
                    actions.extend(map(number_of, turn.actions))
            start += len(dialogue)
            if len(turns) > _BLOCK:
                self.turns.close()
                self.close()


class _Predicted:
    """What predictions say, in their order.

    Parameters
    ----------
    bits
        Numbers of actions, to be continued.
    nameable
        Numbers of the actions that may have a probability.
    """

    def __init__(self, bits: dict[str, int], nameable: dict[str, int]) -> None:
        self.rows, self.actions, self.probabilities = _Numbers(np.int32), _Lists(), _Lists()
        self.confidence, self.logged, self.all_logged = _Numbers(np.float64), _Numbers(np.float64), True
        self.has: tuple[bool, bool] | None = None
        self._nameable, self._number_of, self._nameable_bit = nameable, bits.__getitem__, nameable.__getitem__
        # Looked up once, not for each of a million turns.
        self._add_row, self._add_size = self.rows.open.append, self.actions.sizes.open.append
        self._add_actions, self._add_confidence = self.actions.bits.open.extend, self.confidence.open.append
        stated = self.probabilities
        self._add_stated_size, self._add_stated_bits = stated.sizes.open.append, stated.bits.open.extend
        self._add_stated = stated.values.open.extend

    def add(self, row: int, prediction: Prediction) -> str:
        """Take a prediction for the turn with number `row`; return what is wrong with it, or an empty string."""
        actions, probabilities, confidence = prediction.actions, prediction.probabilities, prediction.confidence
        self._add_row(row)
        self._add_size(len(actions))
        self._add_actions(map(self._number_of, actions))
        if (probabilities is not None, confidence is not None) != self.has and (problem := self._differs(prediction)):
            return problem
        if probabilities is not None:
            self._add_stated_size(len(probabilities))
            try:
                self._add_stated_bits(map(self._nameable_bit, probabilities))
            except KeyError as error:
                name = error.args[0]
                hint = did_you_mean(name, self._nameable)
                return (
                    f"a probability for the action {name!r}, which neither the training part nor the corpus has.{hint}"
                )
            self._add_stated(probabilities.values())
        if confidence is not None:
            self._add_confidence(confidence)
        if prediction.logged is None:
            self.all_logged = False
        elif self.all_logged:
            self.logged.open.append(prediction.logged)
        if len(self.rows.open) > _BLOCK:
            for numbers in (self.rows, self.actions, self.probabilities, self.confidence, self.logged):
                numbers.close()
        return ""

    def _differs(self, prediction: Prediction) -> str:
        """Note what the first prediction has; say what another has that this one lacks, or the other way round."""
        has = prediction.probabilities is not None, prediction.confidence is not None
        if self.has is None:
            self.has = has
            return ""
        key = "probabilities" if has[0] != self.has[0] else "confidence"
        return f"expected `{key}` in every prediction or in none; this one and those before it differ."
