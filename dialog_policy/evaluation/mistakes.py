"""Where a policy goes wrong, in a form that a person can read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from dialog_policy.corpus import Dialogue, Turn
from dialog_policy.corpus.contradictions import Contradictions
from dialog_policy.corpus.summary import ContradictionSummary
from dialog_policy.evaluation.scored_turns import ScoredTurns
from dialog_policy.text.tokens import get_tokenizer

__all__ = ["Mistakes", "find_mistakes"]

_Actions = frozenset[str]
_SHOWN_PROBABILITIES = 5
_SHOWN_CONFUSIONS = 500


class ShownTurn(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A turn of a dialogue that is shown whole; what was not predicted (history only) has None."""

    turn: int
    user: str
    context: dict[str, Any]
    gold: list[str] | None
    predicted: list[str] | None
    confidence: float | None
    system: str
    right: bool | None
    probabilities: dict[str, float] | None = None


class WorstDialogue(msgspec.Struct, kw_only=True):
    """A dialogue with many wrong turns, and all its turns."""

    dialogue: str
    wrong_turns: int
    target_turns: int
    turns: list[ShownTurn]


class ActionSetRow(msgspec.Struct, kw_only=True):
    """An action set: turns that have it in gold, those of them that are right, turns for which it is predicted."""

    actions: list[str]
    turns: int
    right: int
    predicted: int


class Confusion(msgspec.Struct, kw_only=True):
    """A gold set and the wrong set predicted for it: how often, of how many turns with that gold set, and where first."""

    gold: list[str]
    predicted: list[str]
    turns: int
    gold_turns: int
    dialogue: str
    turn: int


class NeverPredicted(msgspec.Struct, kw_only=True):
    """An action that occurs in gold and is never predicted."""

    action: str
    support: int


class AccuracyAfter(msgspec.Struct, kw_only=True):
    """Turns of a kind, and their accuracy; None where there are none."""

    turns: int
    turn_accuracy: float | None


class AfterError(msgspec.Struct, kw_only=True):
    """Accuracy of all turns, of first target turns, and of turns after a right and after a wrong one.

    With the true history, errors that follow each other have a common cause; in free running the second may follow from
    the first.
    """

    turn_accuracy: float
    first: AccuracyAfter
    after_right: AccuracyAfter
    after_wrong: AccuracyAfter


class Mistakes(msgspec.Struct, kw_only=True):
    """The mistakes of a policy; docs/report.md describes them.

    Attributes
    ----------
    worst_dialogues
        Those with the greatest share of wrong turns.
    action_sets
        Every gold and every predicted set.
    confusions
        The most frequent ones.
    other_confusions
        Turns that `confusions` leaves out.
    never_predicted
        Actions that occur and are never predicted.
    after_error
        Mode (``"teacher-forced"``, ``"free-running"``) to the accuracy after errors.
    contradictions
        How often the same history is followed by different actions.
    """

    worst_dialogues: list[WorstDialogue]
    action_sets: list[ActionSetRow]
    confusions: list[Confusion]
    other_confusions: int
    never_predicted: list[NeverPredicted]
    after_error: dict[str, AfterError]
    contradictions: ContradictionSummary


class _Judged(NamedTuple):
    """A target turn: its number in the scored turns and in its dialogue, its gold actions, the predicted ones."""

    row: int
    number: int
    gold: _Actions
    predicted: _Actions


_Dialogues = list[tuple[Dialogue, list[_Judged]]]


def find_mistakes(modes: Mapping[str, ScoredTurns], *, dialogues: int = 5, tokenizer: str = "default") -> Mistakes:
    """Describe the mistakes of a policy.

    Parameters
    ----------
    modes
        Mode (``"teacher-forced"``, ``"free-running"``) to the policy's scored turns in it. All is said of the first mode; the
        others are beside it in ``after_error``.
    dialogues
        How many dialogues to show turn by turn.
    tokenizer
        Name of what splits utterances into words, where histories are compared.
    """
    judged = {mode: _by_dialogue(turns) for mode, turns in modes.items()}
    first = next(iter(modes))
    sets, confusions = _confusions(judged[first])
    return Mistakes(
        worst_dialogues=_worst(judged[first], modes[first], dialogues),
        action_sets=sets,
        confusions=confusions[:_SHOWN_CONFUSIONS],
        other_confusions=sum(row.turns for row in confusions[_SHOWN_CONFUSIONS:]),
        never_predicted=_never_predicted(sets),
        after_error={mode: _after_error(in_mode) for mode, in_mode in judged.items()},
        contradictions=_contradictions(judged[first], tokenizer),
    )


def _by_dialogue(turns: ScoredTurns) -> _Dialogues:
    judged: _Dialogues = [(dialogue, []) for dialogue in turns.dialogues]
    rows = zip(turns.dialogue.tolist(), turns.number.tolist(), turns.sets(turns.predicted), strict=True)
    for row, (position, number, predicted) in enumerate(rows):
        dialogue, own = judged[position]
        own.append(_Judged(row, number, dialogue.turns[number].actions or frozenset(), predicted))
    return judged


def _worst(judged: _Dialogues, turns: ScoredTurns, n: int) -> list[WorstDialogue]:
    """Return the dialogues with the greatest share of wrong turns, the longer first, each with all its turns."""
    wrong = [sum(turn.gold != turn.predicted for turn in own) for _, own in judged]
    order = sorted(range(len(judged)), key=lambda i: (-wrong[i] / len(judged[i][1]), -len(judged[i][1])))
    return [
        WorstDialogue(
            dialogue=judged[i][0].id,
            wrong_turns=wrong[i],
            target_turns=len(judged[i][1]),
            turns=_turn_by_turn(*judged[i], turns),
        )
        for i in order[:n]
        if wrong[i]
    ]


def _turn_by_turn(dialogue: Dialogue, own: Iterable[_Judged], turns: ScoredTurns) -> list[ShownTurn]:
    of_number = {judged.number: judged for judged in own}
    shown = []
    for number, turn in enumerate(dialogue.turns):
        judged = of_number.get(number)
        stated = None if judged is None else _probabilities(turns, judged, turn)
        confidence = None if judged is None or turns.confidence is None else float(turns.confidence[judged.row])
        shown.append(
            ShownTurn(
                turn=number,
                user=turn.user,
                context=dict(turn.context),
                gold=None if turn.actions is None else sorted(turn.actions),
                predicted=None if judged is None else sorted(judged.predicted),
                confidence=confidence,
                system=turn.system,
                right=None if judged is None else judged.predicted == turn.actions,
                probabilities=stated,
            )
        )
    return shown


def _probabilities(turns: ScoredTurns, judged: _Judged, turn: Turn) -> dict[str, float] | None:
    """Return the most probable actions of a turn, and those that are gold or predicted."""
    if turns.probabilities is None:
        return None
    rows, bits, values = turns.probabilities
    places = slice(*np.searchsorted(rows, [judged.row, judged.row + 1]).tolist())
    names = turns.space.classes_
    stated = zip((names[bit] for bit in bits[places].tolist()), values[places].tolist(), strict=True)
    ranked = sorted(stated, key=lambda item: (-item[1], item[0]))
    kept = {name for name, _ in ranked[:_SHOWN_PROBABILITIES]} | judged.predicted | (turn.actions or frozenset())
    return {name: probability for name, probability in ranked if name in kept}


def _confusions(judged: _Dialogues) -> tuple[list[ActionSetRow], list[Confusion]]:
    """Count action sets (gold, right, predicted) and pairs of a gold set and the wrong set predicted for it."""
    pairs: Counter[tuple[_Actions, _Actions]] = Counter()
    first: dict[tuple[_Actions, _Actions], tuple[str, int]] = {}
    for dialogue, own in judged:
        for _, number, gold, predicted in own:
            pairs[gold, predicted] += 1
            if gold != predicted:
                first.setdefault((gold, predicted), (dialogue.id, number))
    gold_turns: Counter[_Actions] = Counter()
    predicted_turns: Counter[_Actions] = Counter()
    for (gold, predicted), count in pairs.items():
        gold_turns[gold] += count
        predicted_turns[predicted] += count
    sets = [
        (-gold_turns[actions], -predicted_turns[actions], sorted(actions), pairs[actions, actions])
        for actions in gold_turns | predicted_turns
    ]
    wrong = [
        (-pairs[pair], sorted(pair[0]), sorted(pair[1]), gold_turns[pair[0]], place) for pair, place in first.items()
    ]
    return (
        [
            ActionSetRow(actions=actions, turns=-turns, right=right, predicted=-predicted)
            for turns, predicted, actions, right in sorted(sets)
        ],
        [
            Confusion(gold=gold, predicted=predicted, turns=-turns, gold_turns=of_gold, dialogue=dialogue, turn=number)
            for turns, gold, predicted, of_gold, (dialogue, number) in sorted(wrong)
        ],
    )


def _never_predicted(sets: Iterable[ActionSetRow]) -> list[NeverPredicted]:
    support: Counter[str] = Counter()
    predicted: set[str] = set()
    for row in sets:
        for action in row.actions:
            support[action] += row.turns
        if row.predicted:
            predicted.update(row.actions)
    missed = sorted((-support[action], action) for action in support.keys() - predicted)
    return [NeverPredicted(action=action, support=-count) for count, action in missed]


def _after_error(judged: _Dialogues) -> AfterError:
    turns: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for _, own in judged:
        kind = "first"
        for _, _, gold, predicted in own:
            turns[kind] += 1
            right[kind] += gold == predicted
            kind = "after_right" if gold == predicted else "after_wrong"
    after = {
        kind: AccuracyAfter(turns=turns[kind], turn_accuracy=right[kind] / turns[kind] if turns[kind] else None)
        for kind in ("first", "after_right", "after_wrong")
    }
    return AfterError(turn_accuracy=right.total() / turns.total(), **after)


def _contradictions(judged: _Dialogues, tokenizer: str) -> ContradictionSummary:
    """Count the scored dialogues' histories that are followed by different actions: no policy gets all of them right."""
    words = get_tokenizer(tokenizer)
    contradictions = Contradictions()
    for dialogue, _ in judged:
        users, systems = (
            [words(text) for text in side] for side in zip(*((t.user, t.system) for t in dialogue.turns), strict=True)
        )
        contradictions.add(dialogue, users, systems)
    return contradictions.summary()
