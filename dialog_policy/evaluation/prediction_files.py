"""Predictions of any policy in a file, JSON Lines: read and written line by line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from dialog_policy.corpus import ActionSpace, Dialogue
from dialog_policy.corpus.surrogates import json_problem
from dialog_policy.errors import CorpusError, did_you_mean
from dialog_policy.files import atomic_write
from dialog_policy.prediction import Prediction

__all__ = ["PredictionFile", "PredictionLines", "write_predictions"]


_decoder = msgspec.json.Decoder(Prediction)
_KEYS = Prediction.__struct_fields__
# Bytes; the prediction of a turn has as many probabilities as there are actions.
_LONGEST_LINE = 16 << 20


class PredictionFile:
    """Predictions in a file, JSON Lines: a Predictor that is read line by line, as often as it is asked, and never kept.

    Parameters
    ----------
    path
        The file.
    name
        Its name in reports. None: the file's name without its suffix.
    actions
        The actions that the policy was trained on, where they are known.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, name: str | None = None, actions: ActionSpace | None = None
    ) -> None:
        self.path, self.actions = path, actions
        self.name = Path(path).name.removesuffix(".jsonl") if name is None else name

    def __iter__(self) -> Iterator[Prediction]:
        return iter(PredictionLines(self.path))

    def predict(self, dialogues: Iterable[Dialogue]) -> PredictionLines:
        """Return what the file has, in its own order: what judges finds out whether it belongs to these dialogues.

        Raises
        ------
        CorpusError
            When iterated over: if the file is missing, or a line is not a prediction: with its number.
        """
        return PredictionLines(self.path)


class PredictionLines(Iterator[Prediction]):
    """One pass over a file of predictions.

    Attributes
    ----------
    path
        The file.
    line
        The line (from 1) of the prediction that came last.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path, self.line = path, 0
        self._predictions = self._read()

    def __iter__(self) -> Iterator[Prediction]:
        return self._predictions  # a generator: quicker than __next__, for millions of lines

    def __next__(self) -> Prediction:
        return next(self._predictions)

    def _read(self) -> Iterator[Prediction]:
        try:
            with open(self.path, "rb") as file:
                for self.line, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), 1):
                    if len(line) == _LONGEST_LINE:
                        raise CorpusError(
                            f"the line has more than {_LONGEST_LINE:,} bytes; refused.", path=self.path, line=self.line
                        )
                    if line.strip():
                        yield self._parse(line)
        except OSError as error:
            raise CorpusError(f"the predictions cannot be read ({error.strerror}).", path=self.path) from None

    def _parse(self, line: bytes) -> Prediction:
        try:
            return _decoder.decode(line)
        except RecursionError:
            raise CorpusError(
                "expected a prediction, found JSON nested too deeply.", path=self.path, line=self.line
            ) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            place: dict[str, Any] = {"path": self.path, "line": self.line}
            loose = _without_bounds(line)
            if loose is not None and (problem := loose.out_of_bounds()):
                raise CorpusError(problem, dialogue=loose.dialogue, turn=loose.turn, **place) from None
            raise CorpusError(
                f'expected {{"dialogue", "turn", "actions"}}; found: {json_problem(error, line)}.',
                remedy=_misspelt(line),
                **place,
            ) from None


class _Loose(msgspec.Struct, kw_only=True):
    dialogue: str
    turn: int
    actions: frozenset[str]
    probabilities: dict[str, float] | None = None
    confidence: float | None = None
    logged: float | None = None
    sets: list[frozenset[str]] | None = None


def _without_bounds(line: bytes) -> Prediction | None:
    """Decode a line whose only fault may be a number out of bounds."""
    try:
        return Prediction(**msgspec.structs.asdict(msgspec.json.decode(line, type=_Loose)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _misspelt(line: bytes) -> str:
    try:
        raw: Any = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
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
            if prediction.sets is not None:
                described["sets"] = [sorted(actions) for actions in prediction.sets]
            file.write(msgspec.json.encode(described) + b"\n")
            count += 1
    return count
