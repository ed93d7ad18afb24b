"""Predictions matched to the target turns of a corpus: each turn one prediction, each prediction one turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from dialog_policy.corpus import Corpus, Dialogue
from dialog_policy.errors import CorpusError, OptionError, did_you_mean
from dialog_policy.evaluation.prediction_files import PredictionFile, PredictionLines
from dialog_policy.prediction import Prediction

__all__ = ["ExpectedPredictions", "PredictedDialogue", "align"]

# Ids among which one that is meant is looked for.
_MOST_SUGGESTED = 100_000


class PredictedDialogue(NamedTuple):
    """A dialogue, its number in the corpus, and the predictions of its target turns in their order."""

    number: int
    dialogue: Dialogue
    predictions: list[Prediction]


class _Open:
    """A dialogue of which predictions are still awaited."""

    def __init__(self, number: int, dialogue: Dialogue) -> None:
        self.number, self.dialogue = number, dialogue
        self.awaited = {n for n, turn in enumerate(dialogue.turns) if turn.actions is not None}
        self.predictions: dict[int, Prediction] = {}

    def complete(self) -> PredictedDialogue:
        ordered = [self.predictions[turn] for turn in sorted(self.predictions)]
        return PredictedDialogue(self.number, self.dialogue, ordered)


class ExpectedPredictions:
    """The predictions that a corpus asks for: takes them in any order, and refuses what does not fit.

    Memory is taken by dialogues that are predicted in part: none but one, if predictions come dialogue by dialogue.

    Parameters
    ----------
    corpus
        The corpus.
    by
        Whose predictions they are, for messages, such as ``"the baseline x"``.
    """

    def __init__(self, corpus: Corpus, by: str = "") -> None:
        self._corpus, self._by = corpus, f" by {by}" if by else ""
        self._lines: PredictionLines | None = None
        self._is_done = np.zeros(len(corpus), dtype=np.bool_)
        self._open: dict[str, _Open] = {}

    def over(
        self, predictions: Iterable[Prediction], check: Callable[[Prediction], str] = lambda prediction: ""
    ) -> Iterator[PredictedDialogue]:
        """Yield each dialogue as soon as all its target turns are predicted.

        Parameters
        ----------
        predictions
            The predictions.
        check
            Says what else is wrong with a prediction, or returns an empty string.

        Raises
        ------
        CorpusError
            If a prediction belongs to no target turn of the corpus, comes a second time, or has a probability that is not
            from 0 to 1: with the place.
        OptionError
            If something else than predictions comes.
        """
        if isinstance(predictions, PredictionFile):
            predictions = predictions.predict(self._corpus)
        self._lines = predictions if isinstance(predictions, PredictionLines) else None
        is_made_here = self._lines is None
        if not isinstance(predictions, Iterable):
            raise OptionError(
                f"expected `predict` to yield predictions, found{self._by} {type(predictions).__name__}. Does it end without "
                "`yield` or `return`?"
            )
        for prediction in predictions:
            if is_made_here and not isinstance(prediction, Prediction):
                raise OptionError(
                    f"expected `predict` to yield Prediction(dialogue=…, turn=…, actions=…), found{self._by} "
                    f"{type(prediction).__name__} {str(prediction)[:60]!r}. Prediction is in dialog_policy.prediction."
                )
            current = self._open.get(prediction.dialogue) or self._begin(prediction)
            turn = prediction.turn
            if current is None or turn not in current.awaited:
                raise self._misfit(prediction, current)
            if is_made_here and (problem := prediction.out_of_bounds()):
                raise CorpusError(problem, dialogue=prediction.dialogue, turn=turn)
            if problem := check(prediction):
                raise CorpusError(problem, dialogue=prediction.dialogue, turn=turn, **self.place())
            current.predictions[turn] = prediction
            current.awaited.remove(turn)
            if not current.awaited:
                del self._open[prediction.dialogue]
                self._is_done[current.number] = True
                yield current.complete()

    def _begin(self, prediction: Prediction) -> _Open | None:
        number = self._corpus.position(prediction.dialogue)
        if number < 0 or self._is_done[number]:
            return None
        begun = _Open(number, self._corpus[number])
        if begun.awaited:
            self._open[prediction.dialogue] = begun
        return begun

    def place(self) -> dict[str, Any]:
        """Return file and line of the prediction that came last, where there is a file."""
        return {} if self._lines is None else {"path": self._lines.path, "line": self._lines.line}

    @property
    def _path(self) -> object:
        return None if self._lines is None else self._lines.path

    def _misfit(self, prediction: Prediction, current: _Open | None) -> CorpusError:
        name, number, place = prediction.dialogue, prediction.turn, self.place()
        if self._corpus.position(name) < 0:
            hint = did_you_mean(name, self._corpus.ids) if len(self._corpus) <= _MOST_SUGGESTED else ""
            return CorpusError(
                f"a prediction{self._by} for a dialogue that is not in {self._corpus.name}.{hint}",
                dialogue=name,
                turn=number,
                remedy="Use the corpus and the part that the predictions were made for.",
                **place,
            )
        dialogue = self._corpus.dialogue(name) if current is None else current.dialogue
        if not 0 <= number < len(dialogue):
            hint = " Turns are counted from 0." if number == len(dialogue) else ""
            problem = (
                f"a prediction{self._by} for a turn that does not exist; the dialogue has turns 0 to "
                f"{len(dialogue) - 1}.{hint}"
            )
        elif dialogue.turns[number].actions is None:
            problem = f"a prediction{self._by} for a turn that is history only: it has no gold actions."
        else:
            problem = f"predicted twice{self._by}."
        return CorpusError(problem, dialogue=name, turn=number, **place)

    def check_complete(self, *, everything: bool = False) -> None:
        """Check, after the last prediction, that none is missing.

        Parameters
        ----------
        everything
            Whether every dialogue of the corpus that has target turns must have been predicted.

        Raises
        ------
        CorpusError
            If a turn of a dialogue has no prediction, there is none at all, or the corpus has nothing to predict.
        """
        missing = {begun.number: min(begun.awaited) for begun in self._open.values()}
        if everything:
            left = np.flatnonzero((np.asarray(self._corpus.targets) > 0) & ~self._is_done)
            for number in left[:1].tolist():
                turns = self._corpus[number].turns
                missing.setdefault(number, next(n for n, turn in enumerate(turns) if turn.actions is not None))
        if missing:
            number = min(missing)
            raise CorpusError(
                f"expected a prediction{self._by} for this turn, found none.",
                path=self._path,
                dialogue=self._corpus[number].id,
                turn=missing[number],
            )
        if not self._corpus.n_targets:
            raise CorpusError(f"{self._corpus.name} has no dialogue with system actions: there is nothing to predict.")
        if not self._is_done.any():
            problem = f"expected predictions{self._by} for dialogues of {self._corpus.name}, found none."
            raise CorpusError(problem, path=self._path)


def align(predictions: Iterable[Prediction], corpus: Corpus) -> list[list[Prediction]]:
    """Sort predictions by the corpus' own order.

    Parameters
    ----------
    predictions
        Exactly one for each target turn of every dialogue that they mention.
    corpus
        The corpus.

    Returns
    -------
    list of lists
        For each dialogue that is scored, in the order of the corpus, the predictions of its target turns in their order.

    Raises
    ------
    CorpusError
        If a prediction belongs to no target turn of the corpus, or a turn has none or two: with the place.
    """
    expected = ExpectedPredictions(corpus)
    predicted = sorted(expected.over(predictions), key=lambda one: one.number)
    expected.check_complete()
    return [one.predictions for one in predicted]
