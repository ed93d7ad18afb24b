"""Whole dialogues: what a policy would do at each turn, the past being the logged one or its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.corpus import Dialogue
from dialog_policy.features.encoded import PADDING, encode_dialogues
from dialog_policy.runtime.decoder import Decoder
from dialog_policy.runtime.graph import Graph

if TYPE_CHECKING:
    from dialog_policy.features.encoder import TurnEncoder
    from dialog_policy.runtime.policy import Policy

__all__ = ["Foreseen", "run_free", "teacher_force", "teacher_forced_logits"]

# Dialogues in one call of the graph; they are sorted by length, so little of it is padding.
_BATCH = 64


class Foreseen(NamedTuple):
    """What a policy would do in turn `turn` of the dialogue with number `dialogue`; probabilities of shape (n_actions,)."""

    dialogue: int
    turn: int
    actions: frozenset[str]
    probabilities: npt.NDArray[np.float64]
    confidence: float


def teacher_forced_logits(dialogues: Sequence[Dialogue], encoder: TurnEncoder, graph: Graph) -> npt.NDArray[np.float32]:
    """Logits of every turn in order, shape (n_turns, n_actions); the system side of earlier turns is the gold one."""
    encoded = encode_dialogues(dialogues, encoder)
    logits = np.empty((int(encoded.offsets[-1]), encoded.n_actions), dtype=np.float32)
    order = np.argsort(encoded.lengths, kind="stable")
    for start in range(0, len(order), _BATCH):
        turns = encoded.padded_turns(order[start : start + _BATCH])
        real = turns != PADDING
        if real.any():
            found = graph.run(encoded.features(turns), graph.start(len(turns)))
            logits[turns[real]] = found.logits[real]
    return logits


def teacher_force(
    dialogues: Sequence[Dialogue], encoder: TurnEncoder, graph: Graph, decoder: Decoder
) -> Iterator[Foreseen]:
    """Yield every target turn in order; the system side of earlier turns is the gold one."""
    decided = decoder.decide(teacher_forced_logits(dialogues, encoder, graph))
    rows = zip(decided.actions, decided.probabilities, decided.confidence.tolist(), strict=True)
    for number, dialogue in enumerate(dialogues):
        for position, turn in enumerate(dialogue.turns):
            actions, probabilities, confidence = next(rows)
            if turn.is_target:
                yield Foreseen(number, position, actions, probabilities, confidence)


def run_free(dialogues: Sequence[Dialogue], policy: Policy) -> Iterator[Foreseen]:
    """Yield every target turn in order; every dialogue is a session that is told the user side only.

    What is history only was not the policy's to decide: there the session observes what was logged.
    """
    sessions = [policy.start() for _ in dialogues]
    found: list[list[Foreseen]] = [[] for _ in dialogues]
    for position in range(max(map(len, dialogues), default=0)):
        active = [number for number, dialogue in enumerate(dialogues) if len(dialogue) > position]
        turns = [dialogues[number].turns[position] for number in active]
        requests = [(sessions[n], turn.user, turn.context) for n, turn in zip(active, turns, strict=True)]
        for number, turn, step in zip(active, turns, policy.respond_many(requests), strict=True):
            if turn.is_target:
                shares = np.fromiter(step.probabilities.values(), dtype=np.float64)
                found[number].append(Foreseen(number, position, step.actions, shares, step.confidence))
            else:
                sessions[number].observe(actions=None, system=turn.system)
    for foreseen in found:
        yield from foreseen
