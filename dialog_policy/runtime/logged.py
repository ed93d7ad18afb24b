"""What a policy would do, and how probable for it is what was done: what off-policy value asks for."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from dialog_policy.corpus import Dialogue
from dialog_policy.prediction import Prediction
from dialog_policy.runtime.policy import Policy
from dialog_policy.runtime.predicting import teacher_forced_logits

__all__ = ["predict_logged"]

_CHUNK = 512


def predict_logged(policy: Policy, dialogues: Iterable[Dialogue]) -> Iterator[Prediction]:
    """Predict every target turn in order, the past being the logged one.

    Each prediction has the probability of every action, of the chosen set, and, as ``logged``, of the set that the dialogue has:
    exactly as the policy's decoder has them.
    """
    stream = iter(dialogues)
    names = policy.actions.classes_
    while chunk := list(itertools.islice(stream, _CHUNK)):
        logits = teacher_forced_logits(chunk, policy._encoder, policy._graph)
        turns = [
            (dialogue.id, number, turn.actions) for dialogue in chunk for number, turn in enumerate(dialogue.turns)
        ]
        targets = [row for row, (_, _, actions) in enumerate(turns) if actions is not None]
        if not targets:
            continue
        gold = [turns[row][2] or frozenset() for row in targets]
        decided = policy._decoder.decide(logits[targets])
        logged = np.exp(policy._decoder.log_probabilities(logits[targets], gold))
        shares = np.clip(decided.probabilities, 0.0, 1.0)
        for i, row in enumerate(targets):
            yield Prediction(
                dialogue=turns[row][0],
                turn=turns[row][1],
                actions=decided.actions[i],
                probabilities=dict(zip(names, shares[i].tolist(), strict=True)),
                confidence=min(1.0, float(decided.confidence[i])),
                logged=min(1.0, float(logged[i])),
            )
