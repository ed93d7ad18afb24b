"""Predictions of any policy: what they are, how they are read, written and matched to a corpus."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import msgspec

from dialog_policy.corpus import Corpus, Dialogue
from dialog_policy.errors import CorpusError, did_you_mean
from dialog_policy.files import atomic_write

__all__ = ["Expected", "Prediction", "PredictionFile", "align", "read_predictions", "write_predictions"]


# Checked by the decoder; of predictions that were not read, by :class:`Expected`.
_Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy would do in one turn.

    Attributes
    ----------
    dialogue
        The dialogue's id.
    turn
        The turn's number in the dialogue, from 0.
    actions
        The predicted set of actions.
    probabilities
        Action to probability; actions that are left out are improbable.
    confidence
        Probability of the predicted set.
    logged
        Probability of the set that the corpus has for this turn, for off-policy value: docs/value.md.
    """

    dialogue: str
    turn: int
    actions: frozenset[str]
    probabilities: dict[str, _Share] | None = None
    confidence: _Share | None = None
    logged: _Share | None = None


_decoder = msgspec.json.Decoder(Prediction)
_KEYS = Prediction.__struct_fields__


class PredictionFile:
    """Predictions in a file, JSON Lines: read line by line, as often as they are iterated over, and never kept.

    Attributes
    ----------
    path
        The file.
    line
        The line (from 1) of the prediction that came last.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path, self.line = path, 0

    def __iter__(self) -> Iterator[Prediction]:
        try:
            with open(self.path, "rb") as file:
                for self.line, line in enumerate(file, 1):
                    if line.strip():
                        yield self._parse(line)
        except OSError as error:
            raise CorpusError(f"the predictions cannot be read ({error.strerror}).", path=self.path) from None

    def _parse(self, line: bytes) -> Prediction:
        try:
            return _decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            place: dict[str, Any] = {"path": self.path, "line": self.line}
            loose = _without_bounds(line)
            if loose is not None and (problem := _out_of_bounds(loose)):
                raise CorpusError(problem, dialogue=loose.dialogue, turn=loose.turn, **place) from None
            raise CorpusError(
                f'expected {{"dialogue", "turn", "actions"}}; found: {error}.', remedy=_misspelt(line), **place
            ) from None


class _Loose(msgspec.Struct, kw_only=True):
    dialogue: str
    turn: int
    actions: frozenset[str]
    probabilities: dict[str, float] | None = None
    confidence: float | None = None
    logged: float | None = None


def _without_bounds(line: bytes) -> Prediction | None:
    """Decode a line whose only fault may be a number out of bounds."""
    try:
        return Prediction(**msgspec.structs.asdict(msgspec.json.decode(line, type=_Loose)))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _out_of_bounds(prediction: Prediction) -> str:
    """Say which probability is not in 0 to 1 (NaN is not), or return an empty string."""
    shares = [(f"the probability of {name!r}", share) for name, share in (prediction.probabilities or {}).items()]
    shares += [
        (f"`{key}`", share) for key in ("confidence", "logged") if (share := getattr(prediction, key)) is not None
    ]
    wrong = next((item for item in shares if not 0.0 <= item[1] <= 1.0), None)
    return f"expected {wrong[0]} from 0 to 1, found {wrong[1]}." if wrong else ""


def read_predictions(path: str | os.PathLike[str]) -> PredictionFile:
    """Open predictions, JSON Lines.

    Raises
    ------
    CorpusError
        When iterated over: if the file is missing, or a line is no prediction: with its number.
    """
    return PredictionFile(path)


def _misspelt(line: bytes) -> str:
    try:
        raw: Any = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    missing = [key for key in ("dialogue", "turn", "actions") if isinstance(raw, dict) and key not in raw]
    hints = (
        (hint.strip() for key in raw if key not in _KEYS and (hint := did_you_mean(key, missing))) if missing else ()
    )
    return " ".join(hints)


def write_predictions(path: str | os.PathLike[str], predictions: Iterable[Prediction]) -> int:
    """Write predictions as JSON Lines, aside and then in place, and return how many.

    Probabilities have six significant digits, the greatest first.
    """
    count = 0
    with atomic_write(path) as file:
        for prediction in predictions:
            described: dict[str, Any] = {
                "dialogue": prediction.dialogue,
                "turn": prediction.turn,
                "actions": sorted(prediction.actions),
            }
            if prediction.probabilities is not None:
                ranked = sorted(prediction.probabilities.items(), key=lambda item: (-item[1], item[0]))
                described["probabilities"] = {name: float(f"{share:.6g}") for name, share in ranked}
            if prediction.confidence is not None:
                described["confidence"] = float(f"{prediction.confidence:.6g}")
            if prediction.logged is not None:
                described["logged"] = float(f"{prediction.logged:.6g}")
            file.write(msgspec.json.encode(described) + b"\n")
            count += 1
    return count


class Expected:
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

    _HISTORY, _AWAITED, _FOUND = 0, 1, 2

    def __init__(self, corpus: Corpus, by: str = "") -> None:
        self._corpus, self._by = corpus, f" by {by}" if by else ""
        self._path: object = None
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
        """
        is_checked = isinstance(predictions, PredictionFile)
        self._path = getattr(predictions, "path", None)
        first, states, corpus = self.first, self._states, self._corpus
        awaited, found = self._AWAITED, self._FOUND
        for prediction in predictions:
            start = first.get(prediction.dialogue, -1)
            turn = prediction.turn
            row = start + turn
            if start < 0 or turn < 0 or turn >= len(corpus[prediction.dialogue].turns) or states[row] != awaited:
                raise self._misfit(prediction, self.place(predictions))
            if not is_checked and (problem := _out_of_bounds(prediction)):
                raise CorpusError(problem, dialogue=prediction.dialogue, turn=turn)
            states[row] = found
            yield row, prediction

    @staticmethod
    def place(predictions: Iterable[Prediction]) -> dict[str, Any]:
        """Return file and line of the prediction that came last, where there is a file."""
        if isinstance(predictions, PredictionFile):
            return {"path": predictions.path, "line": predictions.line}
        return {}

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
        dialogue = self._corpus[name]
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
        found = []
        for dialogue in self._corpus:
            start = self.first[dialogue.id]
            states = self._states[start : start + len(dialogue)]
            if not (self._FOUND in states or (everything and self._AWAITED in states)):
                continue
            if self._AWAITED in states:
                raise CorpusError(
                    f"expected a prediction{self._by} for this turn, found none.",
                    path=self._path,
                    dialogue=dialogue.id,
                    turn=states.index(self._AWAITED),
                )
            found.append(dialogue)
        if not found:
            problem = f"expected predictions{self._by} for dialogues of {self._corpus.name}, found none."
            raise CorpusError(problem, path=self._path)
        return found


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
    expected = Expected(corpus)
    found = dict(expected.over(predictions))
    aligned = []
    for dialogue in expected.complete(everything=complete):
        start = expected.first[dialogue.id]
        aligned.append([found[start + n] for n, turn in enumerate(dialogue.turns) if turn.is_target])
    return aligned
