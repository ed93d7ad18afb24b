"""Dialogues to look at: those that a policy gets most wrong, turn by turn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dialog_policy.corpus import Corpus
from dialog_policy.evaluation.predictions import Prediction, align

__all__ = ["worst_dialogues"]


def worst_dialogues(predictions: Iterable[Prediction], corpus: Corpus, n: int = 5) -> list[dict[str, Any]]:
    """Return the `n` dialogues with the greatest share of wrong turns (the longer first), each with all its turns."""
    ranked = []
    for order, turns in enumerate(align(predictions, corpus)):
        dialogue = corpus[turns[0].dialogue]
        wrong = sum(p.actions != dialogue.turns[p.turn].actions for p in turns)
        ranked.append((-wrong / len(turns), -len(turns), order, turns))
    ranked.sort(key=lambda item: item[:3])
    return [_described(turns, corpus) for share, _, _, turns in ranked[:n] if share < 0]


def _described(turns: list[Prediction], corpus: Corpus) -> dict[str, Any]:
    dialogue = corpus[turns[0].dialogue]
    predicted = {p.turn: p for p in turns}
    rows = []
    for number, turn in enumerate(dialogue.turns):
        p = predicted.get(number)
        rows.append(
            {
                "turn": number,
                "user": turn.user,
                "context": dict(turn.context),
                "gold": None if turn.actions is None else sorted(turn.actions),
                "predicted": None if p is None else sorted(p.actions),
                "confidence": None if p is None else p.confidence,
                "system": turn.system,
                "right": None if p is None else p.actions == turn.actions,
            }
        )
    return {"dialogue": dialogue.id, "turns": rows}
