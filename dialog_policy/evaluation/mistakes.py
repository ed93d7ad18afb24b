"""Where a policy goes wrong, in a form that a person can read.

More than 300 lines: the structs of the report stand beside what fills them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from dialog_policy.corpus import Dialogue, Turn
from dialog_policy.corpus.contradictions import Contradictions
from dialog_policy.corpus.summary import ContradictionSummary
from dialog_policy.evaluation.scored_turns import ScoredTurns
from dialog_policy.text.tokens import get_tokenizer

__all__ = ["MistakeSums", "Mistakes"]

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


class _Place(NamedTuple):
    """Where something is: the dialogue's number in the corpus, the turn, the dialogue's id."""

    position: int
    turn: int
    dialogue: str


class MistakeSums:
    """The mistakes of a policy, collected some dialogues at a time.

    Parameters
    ----------
    dialogues
        How many dialogues to show turn by turn.
    tokenizer
        Name of what splits utterances into words, where histories are compared.
    """

    def __init__(self, dialogues: int = 5, tokenizer: str = "default") -> None:
        self._n_shown, self._tokenizer = dialogues, tokenizer
        # By share of wrong turns, length and place.
        self._worst: list[tuple[tuple[float, int, int], WorstDialogue]] = []
        self._pairs: Counter[tuple[_Actions, _Actions]] = Counter()
        self._first: dict[tuple[_Actions, _Actions], _Place] = {}
        self._after: Counter[str] = Counter()
        self._right_after: Counter[str] = Counter()
        self._contradictions = Contradictions()

    def add(self, turns: ScoredTurns, numbers: Iterable[int]) -> None:
        """Look at scored turns of dialogues with these numbers in the corpus."""
        words = get_tokenizer(self._tokenizer)
        for position, (dialogue, own) in zip(numbers, _by_dialogue(turns), strict=True):
            kind = "first"
            for _, number, gold, predicted in own:
                is_right = gold == predicted
                self._pairs[gold, predicted] += 1
                if not is_right:
                    place = _Place(position, number, dialogue.id)
                    known = self._first.setdefault((gold, predicted), place)
                    self._first[gold, predicted] = min(known, place)
                self._after[kind] += 1
                self._right_after[kind] += is_right
                kind = "after_right" if is_right else "after_wrong"
            self._keep_worst(position, dialogue, own, turns)
            users, systems = (
                [words(text) for text in side]
                for side in zip(*((t.user, t.system) for t in dialogue.turns), strict=True)
            )
            self._contradictions.add(dialogue, users, systems)

    def _keep_worst(self, position: int, dialogue: Dialogue, own: list[_Judged], turns: ScoredTurns) -> None:
        wrong = sum(turn.gold != turn.predicted for turn in own)
        rank = -wrong / len(own), -len(own), position
        if not wrong or (len(self._worst) == self._n_shown and (not self._worst or rank > self._worst[-1][0])):
            return
        shown = _turn_by_turn(dialogue, own, turns)
        row = WorstDialogue(dialogue=dialogue.id, wrong_turns=wrong, target_turns=len(own), turns=shown)
        self._worst = sorted([*self._worst, (rank, row)], key=lambda ranked: ranked[0])[: self._n_shown]

    def merge(self, other: MistakeSums) -> None:
        """Add the mistakes in other dialogues, which come after these."""
        self._worst = sorted([*self._worst, *other._worst], key=lambda ranked: ranked[0])[: self._n_shown]
        self._pairs.update(other._pairs)
        for pair, place in other._first.items():
            self._first[pair] = min(self._first.get(pair, place), place)
        self._after.update(other._after)
        self._right_after.update(other._right_after)
        self._contradictions.merge(other._contradictions)

    def after_error(self) -> AfterError:
        """Return the accuracy after right and after wrong turns."""
        turns, right = self._after, self._right_after
        after = {
            kind: AccuracyAfter(turns=turns[kind], turn_accuracy=right[kind] / turns[kind] if turns[kind] else None)
            for kind in ("first", "after_right", "after_wrong")
        }
        return AfterError(turn_accuracy=right.total() / turns.total(), **after)

    def mistakes(
        self,
        mode: str,
        others: Mapping[str, MistakeSums] | None = None,
        find: Callable[[str], Dialogue] | None = None,
    ) -> Mistakes:
        """Return the mistakes.

        Parameters
        ----------
        mode
            What the policy's history was, such as ``"teacher-forced"``.
        others
            Mode to the sums of the same policy in it; they are beside it in ``after_error``.
        find
            Returns the dialogue with an id; needed of sums that were merged.
        """
        sets, confusions = _confusions(self._pairs, self._first)
        return Mistakes(
            worst_dialogues=[row for _, row in self._worst],
            action_sets=sets,
            confusions=confusions[:_SHOWN_CONFUSIONS],
            other_confusions=sum(row.turns for row in confusions[_SHOWN_CONFUSIONS:]),
            never_predicted=_never_predicted(sets),
            after_error={name: sums.after_error() for name, sums in {mode: self, **(others or {})}.items()},
            contradictions=self._contradictions.summary(find),
        )


def _by_dialogue(turns: ScoredTurns) -> list[tuple[Dialogue, list[_Judged]]]:
    judged: list[tuple[Dialogue, list[_Judged]]] = [(dialogue, []) for dialogue in turns.dialogues]
    rows = zip(turns.dialogue.tolist(), turns.number.tolist(), turns.sets(turns.predicted), strict=True)
    for row, (position, number, predicted) in enumerate(rows):
        dialogue, own = judged[position]
        own.append(_Judged(row, number, dialogue.turns[number].actions or frozenset(), predicted))
    return judged


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


def _confusions(
    pairs: Mapping[tuple[_Actions, _Actions], int], first: Mapping[tuple[_Actions, _Actions], _Place]
) -> tuple[list[ActionSetRow], list[Confusion]]:
    """Count action sets (gold, right, predicted) and pairs of a gold set and the wrong set predicted for it."""
    gold_turns: Counter[_Actions] = Counter()
    predicted_turns: Counter[_Actions] = Counter()
    for (gold, predicted), count in pairs.items():
        gold_turns[gold] += count
        predicted_turns[predicted] += count
    sets = [
        (-gold_turns[actions], -predicted_turns[actions], sorted(actions), pairs.get((actions, actions), 0))
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
            for turns, gold, predicted, of_gold, (_, number, dialogue) in sorted(wrong)
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
