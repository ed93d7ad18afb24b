"""Predictions of any policy: what they are, how they are read, written and matched to a corpus."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from dialog_policy.corpus import Corpus
from dialog_policy.errors import CorpusError, did_you_mean
from dialog_policy.files import atomic_write

__all__ = ["Prediction", "align", "read_predictions", "write_predictions"]


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
    """

    dialogue: str
    turn: int
    actions: frozenset[str]
    probabilities: dict[str, float] | None = None
    confidence: float | None = None


_decoder = msgspec.json.Decoder(Prediction)
_KEYS = Prediction.__struct_fields__


def read_predictions(path: str | os.PathLike[str]) -> Iterator[Prediction]:
    """Read predictions, JSON Lines.

    Raises
    ------
    CorpusError
        If the file is missing, or a line is no prediction: with its number.
    """
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _parse(line, path, number)
    except OSError as error:
        raise CorpusError(f"the predictions cannot be read ({error.strerror}).", path=path) from None


def _parse(line: bytes, path: object, number: int) -> Prediction:
    try:
        prediction = _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorpusError(
            f'expected {{"dialogue", "turn", "actions"}}; found: {error}.',
            path=path,
            line=number,
            remedy=_misspelt(line),
        ) from None
    shares = [*(prediction.probabilities or {}).values()]
    if prediction.confidence is not None:
        shares.append(prediction.confidence)
    for share in shares:
        if not 0.0 <= share <= 1.0:
            raise CorpusError(f"expected probabilities from 0 to 1, found {share}.", path=path, line=number)
    return prediction


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
            file.write(msgspec.json.encode(described) + b"\n")
            count += 1
    return count


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
        If a prediction belongs to no target turn of the corpus, or a turn has none or two: with dialogue and turn.
    """
    found: dict[str, dict[int, Prediction]] = {}
    for prediction in predictions:
        turns = found.setdefault(prediction.dialogue, {})
        if prediction.turn in turns:
            raise CorpusError("predicted twice.", dialogue=prediction.dialogue, turn=prediction.turn)
        turns[prediction.turn] = prediction
    aligned = []
    for dialogue in corpus:
        turns = found.pop(dialogue.id, {})
        targets = [number for number, turn in enumerate(dialogue.turns) if turn.is_target]
        if not turns and not (complete and targets):
            continue
        for number in turns:
            if not 0 <= number < len(dialogue):
                hint = " Turns are counted from 0." if number == len(dialogue) else ""
                raise CorpusError(
                    f"a prediction for a turn that does not exist; the dialogue has turns 0 to {len(dialogue) - 1}.{hint}",
                    dialogue=dialogue.id,
                    turn=number,
                )
            if not dialogue.turns[number].is_target:
                raise CorpusError(
                    "a prediction for a turn that is history only: it has no gold actions.",
                    dialogue=dialogue.id,
                    turn=number,
                )
        for number in targets:
            if number not in turns:
                raise CorpusError("expected a prediction for this turn, found none.", dialogue=dialogue.id, turn=number)
        aligned.append([turns[number] for number in targets])
    if found:
        unknown = next(iter(found))
        known = [dialogue.id for dialogue in corpus]
        raise CorpusError(
            f"{len(found)} predicted dialogues are not in {corpus.name}, {unknown!r} among them.{did_you_mean(unknown, known)}",
            remedy="Predictions and corpus must belong together.",
        )
    if not aligned:
        raise CorpusError(f"expected predictions for dialogues of {corpus.name}, found none.")
    return aligned
