"""Predictions matched to the target turns of a corpus: each turn one prediction, each prediction one turn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from dialog_policy.corpus import Corpus, Dialogue
from dialog_policy.errors import CorpusError, OptionError, did_you_mean
from dialog_policy.evaluation.prediction_files import PredictionFile, PredictionLines
from dialog_policy.prediction import Prediction

__all__ = ["ExpectedPredictions", "align"]


class ExpectedPredictions:
    """The predictions that a corpus asks for: takes them in any order, and refuses what does not fit.

    Parameters
    ----------
    corpus
        The corpus.
    by
        Whose predictions they are, for messages, such as ``"the baseline x"``.

    Attributes
    ----------
    first
        The number of each dialogue's first turn among all turns of the corpus.
    """

    _HISTORY, _AWAITED, _PREDICTED = 0, 1, 2

    def __init__(self, corpus: Corpus, by: str = "") -> None:
        self._corpus, self._by = corpus, f" by {by}" if by else ""
        self._lines: PredictionLines | None = None
        self.first: dict[str, int] = {}
        states = bytearray()
        for dialogue in corpus:
            self.first[dialogue.id] = len(states)
            states += bytes(self._HISTORY if t.actions is None else self._AWAITED for t in dialogue.turns)
        self._states = states

    def over(self, predictions: Iterable[Prediction]) -> Iterator[tuple[int, Prediction]]:
        """Yield each prediction with the number of its turn among all turns of the corpus.

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
        first, states, corpus = self.first, self._states, self._corpus
        awaited, predicted = self._AWAITED, self._PREDICTED
        for prediction in predictions:
            if self._lines is None and not isinstance(prediction, Prediction):
                raise OptionError(
                    f"expected `predict` to yield Prediction(dialogue=…, turn=…, actions=…), found{self._by} "
                    f"{type(prediction).__name__} {str(prediction)[:60]!r}. Prediction is in dialog_policy.prediction."
                )
            start = first.get(prediction.dialogue, -1)
            turn = prediction.turn
            row = start + turn
            if (
                start < 0
                or turn < 0
                or turn >= len(corpus.dialogue(prediction.dialogue).turns)
                or states[row] != awaited
            ):
                raise self._misfit(prediction, self.place())
            if self._lines is None and (problem := prediction.out_of_bounds()):
                raise CorpusError(problem, dialogue=prediction.dialogue, turn=turn)
            states[row] = predicted
            yield row, prediction

    def place(self) -> dict[str, Any]:
        """Return file and line of the prediction that came last, where there is a file."""
        return {} if self._lines is None else {"path": self._lines.path, "line": self._lines.line}

    @property
    def _path(self) -> object:
        return None if self._lines is None else self._lines.path

    def _misfit(self, prediction: Prediction, place: dict[str, Any]) -> CorpusError:
        name, number = prediction.dialogue, prediction.turn
        if name not in self.first:
            return CorpusError(
                f"a prediction{self._by} for a dialogue that is not in {self._corpus.name}."
                f"{did_you_mean(name, self.first)}",
                dialogue=name,
                turn=number,
                remedy="Predictions and corpus must belong together.",
                **place,
            )
        dialogue = self._corpus.dialogue(name)
        if not 0 <= number < len(dialogue):
            hint = " Turns are counted from 0." if number == len(dialogue) else ""
            problem = (
                f"a prediction{self._by} for a turn that does not exist; the dialogue has turns 0 to "
                f"{len(dialogue) - 1}.{hint}"
            )
        elif self._states[self.first[name] + number] == self._HISTORY:
            problem = f"a prediction{self._by} for a turn that is history only: it has no gold actions."
        else:
            problem = f"predicted twice{self._by}."
        return CorpusError(problem, dialogue=name, turn=number, **place)

    def complete(self, *, everything: bool = False) -> list[Dialogue]:
        """Return the dialogues that were predicted, in the order of the corpus.

        Parameters
        ----------
        everything
            Whether every dialogue of the corpus that has target turns must have been predicted.

        Raises
        ------
        CorpusError
            If a turn of one of them has no prediction, or there is none at all.
        """
        scored = []
        for dialogue in self._corpus:
            start = self.first[dialogue.id]
            states = self._states[start : start + len(dialogue)]
            if not (self._PREDICTED in states or (everything and self._AWAITED in states)):
                continue
            if self._AWAITED in states:
                raise CorpusError(
                    f"expected a prediction{self._by} for this turn, found none.",
                    path=self._path,
                    dialogue=dialogue.id,
                    turn=states.index(self._AWAITED),
                )
            scored.append(dialogue)
        if not scored:
            problem = f"expected predictions{self._by} for dialogues of {self._corpus.name}, found none."
            raise CorpusError(problem, path=self._path)
        return scored


def align(predictions: Iterable[Prediction], corpus: Corpus, *, complete: bool = False) -> list[list[Prediction]]:
    """Sort predictions by the corpus' own order.

    Parameters
    ----------
    predictions
        Exactly one for each target turn of every dialogue that they mention.
    corpus
        The corpus.
    complete
        Whether every dialogue of the corpus that has target turns must be mentioned.

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
    predicted = dict(expected.over(predictions))
    aligned = []
    for dialogue in expected.complete(everything=complete):
        start = expected.first[dialogue.id]
        aligned.append([predicted[start + n] for n, turn in enumerate(dialogue.turns) if turn.is_target])
    return aligned
