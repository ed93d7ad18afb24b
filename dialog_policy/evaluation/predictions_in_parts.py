"""Predictions of many dialogues by several processes, in the order of the dialogues."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from dialog_policy.corpus import Corpus
from dialog_policy.executor import Executor
from dialog_policy.prediction import Prediction

__all__ = ["DIALOGUES_TOGETHER", "predicted_in_parts"]

# Dialogues of a part, unless it is the only one. A multiple of those that a run predicts together: the batches are then the same,
# and so is the last digit of every probability.
DIALOGUES_TOGETHER = 4_096


class _Predicting(Protocol):
    def predict(
        self, dialogues: Corpus, *, free_running: bool = ..., logged: bool = ..., every_turn: bool = ...
    ) -> Iterator[Prediction]: ...


class _Part(NamedTuple):
    policy: _Predicting
    dialogues: Corpus
    free_running: bool
    logged: bool
    every_turn: bool


def predicted_in_parts(
    policy: _Predicting,
    corpus: Corpus,
    executor: Executor,
    *,
    free_running: bool = False,
    logged: bool = False,
    every_turn: bool = False,
) -> Iterator[Prediction]:
    """Predict the target turns of a corpus as the policy's own `predict` does, to the last digit, some dialogues at a time.

    Parameters
    ----------
    policy
        A run, which every process loads for itself; one that is not saved is sent whole with every task.
    corpus
        The dialogues.
    executor
        What the parts are given to.
    free_running, logged, every_turn
        As for :meth:`dialog_policy.Policy.predict`.
    """
    parts = [
        _Part(policy, corpus[start : start + DIALOGUES_TOGETHER], free_running, logged, every_turn)
        for start in range(0, len(corpus), DIALOGUES_TOGETHER)
    ]
    if len(parts) < 2:
        yield from policy.predict(corpus, free_running=free_running, logged=logged, every_turn=every_turn)
        return
    for predictions in executor.map(_predicted, parts):
        yield from predictions


def _predicted(part: _Part) -> list[Prediction]:
    predicted = part.policy.predict(
        part.dialogues, free_running=part.free_running, logged=part.logged, every_turn=part.every_turn
    )
    return list(predicted)
