"""Whole dialogues: what a policy would do and say at each turn, the past being the logged one or its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from dialog_policy.corpus import Dialogue
from dialog_policy.corpus.action_slots import named_slots
from dialog_policy.features.encode import encode_dialogues
from dialog_policy.features.encoded import PADDING
from dialog_policy.prediction import SETS_LISTED, Prediction
from dialog_policy.runtime.engine import Engine
from dialog_policy.runtime.likeliest_sets import likeliest_sets
from dialog_policy.runtime.session import Request, Session, respond_together

__all__ = ["NEGLIGIBLE", "free_running", "teacher_forced", "teacher_forced_replies"]

# Dialogues that are encoded together: bounds memory, changes no result.
_CHUNK = 512
# Dialogues in one call of the network; they are sorted by length, so little of it is padding.
_BATCH = 64
# Probabilities below this are left out of predictions, unless all are asked for.
NEGLIGIBLE = 1e-3


def _chunks(dialogues: Iterable[Dialogue]) -> Iterator[list[Dialogue]]:
    stream = iter(dialogues)
    while chunk := list(itertools.islice(stream, _CHUNK)):
        yield chunk


def teacher_forced(
    engine: Engine,
    dialogues: Iterable[Dialogue],
    *,
    least: float | None = NEGLIGIBLE,
    logged: bool = False,
    listed: bool = False,
    every_turn: bool = False,
) -> Iterator[Prediction]:
    """Predict every target turn in order; the system side of earlier turns is the gold one.

    Parameters
    ----------
    engine, dialogues
        Which policy, which dialogues.
    least
        Predictions say the probability of each action that has at least so much; None: of none.
    logged
        Whether to say the probability of the set of actions that the dialogue has.
    listed
        Whether to list the most probable sets.
    every_turn
        Whether turns without known actions are predicted, too.
    """
    for chunk in _chunks(dialogues):
        logits = _logits(engine, chunk)
        named = (own for dialogue in chunk for own in named_slots(dialogue, engine.decoder.slots))
        impossible = engine.decoder.impossible(named)
        decided = engine.decoder.decide(logits, impossible=impossible)
        ranked: Iterable[list[frozenset[str]] | None] = itertools.repeat(None, len(logits))
        if listed:
            ranked = likeliest_sets(engine.decoder, logits, SETS_LISTED, impossible)
        likelihoods: Sequence[float | None] = [None] * len(logits)
        if logged:
            sets = [turn.actions or frozenset() for dialogue in chunk for turn in dialogue.turns]
            likelihoods = np.minimum(1.0, np.exp(engine.decoder.log_probabilities(logits, sets))).tolist()
        rows = zip(
            decided.actions, decided.probabilities, decided.confidence.tolist(), likelihoods, ranked, strict=True
        )
        for dialogue in chunk:
            tracker, system = engine.new_tracker() if engine.decoder.only_fillable else None, ""
            for number, turn in enumerate(dialogue.turns):
                actions, shares, confidence, likelihood, likeliest = next(rows)
                if tracker is not None:
                    tracker.observe_turn(system, turn.user, turn.context)
                    system = turn.system
                if turn.is_target or every_turn:
                    if tracker is not None:
                        actions, confidence = engine.fillable(actions, confidence, shares, tracker)
                        if likeliest is not None:
                            best = itertools.islice(engine.all_fillable(shares, tracker), SETS_LISTED)
                            likeliest = [one for one, _ in best] or likeliest
                    yield Prediction(
                        dialogue=dialogue.id,
                        turn=number,
                        actions=actions,
                        probabilities=_probabilities(engine, shares, least),
                        confidence=confidence,
                        logged=likelihood if turn.is_target else None,
                        sets=likeliest,
                    )


def _logits(engine: Engine, dialogues: Sequence[Dialogue]) -> npt.NDArray[np.float32]:
    """Logits of every turn, history included, shape (n_turns, n_actions)."""
    encoded = encode_dialogues(dialogues, engine.encoder)
    network = engine.onnx_network
    logits = np.zeros((int(encoded.offsets[-1]), encoded.n_actions), dtype=np.float32)
    order = np.argsort(encoded.lengths, kind="stable")
    for start in range(0, len(order), _BATCH):
        turns = encoded.padded_turns(order[start : start + _BATCH])
        real = turns != PADDING
        if real.any():
            stepped = network.run(encoded.features(turns), network.start(len(turns)))
            logits[turns[real]] = stepped.logits[real]
    return logits


def _probabilities(engine: Engine, shares: npt.NDArray[np.floating], least: float | None) -> dict[str, float] | None:
    if least is None:
        return None
    names = engine.actions.classes_
    return {names[bit]: float(shares[bit]) for bit in np.flatnonzero(shares >= least)}


def free_running(
    engine: Engine, dialogues: Iterable[Dialogue], *, least: float | None = NEGLIGIBLE, every_turn: bool = False
) -> Iterator[Prediction]:
    """Predict every target turn in order; every dialogue is a session that is told the user side only.

    What is history only was not the policy's to decide: there the session observes what was logged. Parameters as those of
    :func:`teacher_forced`.
    """
    for chunk in _chunks(dialogues):
        sessions = [Session(engine) for _ in chunk]
        predictions: list[list[Prediction]] = [[] for _ in chunk]
        for position in range(max(map(len, chunk), default=0)):
            active = [number for number, dialogue in enumerate(chunk) if len(dialogue) > position]
            turns = [chunk[number].turns[position] for number in active]
            requests = [Request(sessions[n], turn.user, turn.context) for n, turn in zip(active, turns, strict=True)]
            for number, turn, step in zip(active, turns, respond_together(engine, requests), strict=True):
                if not (turn.is_target or every_turn):
                    sessions[number].observe(actions=None, system=turn.system)
                    continue
                shares = np.fromiter(step.probabilities.values(), dtype=np.float64)
                predictions[number].append(
                    Prediction(
                        dialogue=chunk[number].id,
                        turn=position,
                        actions=step.actions,
                        probabilities=_probabilities(engine, shares, least),
                        confidence=step.confidence,
                    )
                )
        yield from itertools.chain.from_iterable(predictions)


def teacher_forced_replies(engine: Engine, dialogue: Dialogue, actions: Mapping[int, frozenset[str]]) -> dict[int, str]:
    """Return the reply at some turns of a dialogue, by number, had the policy taken these actions and the past been the gold one."""
    texts: dict[int, str] = {}
    tracker, system = engine.new_tracker(), ""
    for number, turn in enumerate(dialogue.turns):
        tracker.observe_turn(system, turn.user, turn.context)
        system = turn.system
        if number in actions:
            texts[number] = engine.reply(actions[number], tracker)
    return texts
