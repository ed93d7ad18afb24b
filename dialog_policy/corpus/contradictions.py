"""Contradictions: the same history, followed by different actions."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from dialog_policy.corpus.dialogue import Dialogue, Turn
from dialog_policy.corpus.summary import Contradiction, ContradictionSummary, HistoryBound, Outcome

__all__ = ["RECENT", "WHOLE", "Contradictions"]

RECENT = "the words of the user's turn, its context, and the actions of the turn before"
WHOLE = "everything up to the user's turn: words, contexts, actions and replies"

_EXAMPLES = 10
_LONGEST_CONTEXT = 300
_encode = msgspec.json.Encoder(order="deterministic").encode
_Actions = frozenset[str]


class _Outcome(msgspec.Struct, gc=False):
    """What the system did after a history, how often, and where first."""

    actions: _Actions
    turns: int
    dialogue: str
    turn: int


class _Conflict(msgspec.Struct):
    """A history with several outcomes. Its text is kept only now that there is something to show."""

    user: str
    context: str
    previous: list[str] | None
    outcomes: list[_Outcome]


class _Histories:
    """Outcomes by the hash of the history before them."""

    def __init__(self, description: str) -> None:
        self._description = description
        self._first: dict[bytes, _Outcome] = {}
        self._conflicts: dict[bytes, _Conflict] = {}

    def add(self, history: bytes, dialogue: Dialogue, number: int, actions: _Actions) -> None:
        first = self._first.setdefault(history, _Outcome(actions, 0, dialogue.id, number))
        if first.actions == actions:
            first.turns += 1
            return
        if history not in self._conflicts:
            self._conflicts[history] = _described(dialogue, number, first)
        outcomes = self._conflicts[history].outcomes
        for outcome in outcomes:
            if outcome.actions == actions:
                outcome.turns += 1
                return
        outcomes.append(_Outcome(actions, 1, dialogue.id, number))

    def summary(self) -> HistoryBound:
        conflicts = sorted(map(_summarised, self._conflicts.values()), key=lambda c: (-c.lost_turns, -c.turns))
        conflicting, lost = sum(c.turns for c in conflicts), sum(c.lost_turns for c in conflicts)
        alone = sum(o.turns == 1 and key not in self._conflicts for key, o in self._first.items())
        turns = conflicting + sum(o.turns for key, o in self._first.items() if key not in self._conflicts)
        repeated = turns - alone
        return HistoryBound(
            history=self._description,
            histories=len(self._first),
            contradictory_histories=len(conflicts),
            contradictory_turns=conflicting,
            max_accuracy=(turns - lost) / turns if turns else None,
            repeated_turns=repeated,
            max_accuracy_repeated=(repeated - lost) / repeated if repeated else None,
            examples=conflicts[:_EXAMPLES],
        )


def _described(dialogue: Dialogue, number: int, first: _Outcome) -> _Conflict:
    turn = dialogue.turns[number]
    context = _encode(turn.context).decode() if turn.context else ""
    if len(context) > _LONGEST_CONTEXT:
        context = context[: _LONGEST_CONTEXT - 1] + "…"
    before = dialogue.turns[number - 1].actions if number else None
    return _Conflict(turn.user, context, None if before is None else sorted(before), [first])


def _summarised(conflict: _Conflict) -> Contradiction:
    outcomes = sorted(conflict.outcomes, key=lambda outcome: -outcome.turns)
    turns = sum(outcome.turns for outcome in outcomes)
    return Contradiction(
        user=conflict.user,
        context=conflict.context,
        previous_actions=conflict.previous,
        turns=turns,
        lost_turns=turns - outcomes[0].turns,
        outcomes=[
            Outcome(actions=sorted(o.actions), turns=o.turns, dialogue=o.dialogue, turn=o.turn) for o in outcomes
        ],
    )


class Contradictions:
    """Counts, dialogue by dialogue, how often the same history was followed by different actions.

    Two histories are compared: :data:`RECENT` and :data:`WHOLE`. Where the turn before is not annotated, its words stand for
    its actions. Only hashes of histories are kept, and the text of those that contradict.
    """

    def __init__(self) -> None:
        self._recent, self._whole = _Histories(RECENT), _Histories(WHOLE)

    def add(self, dialogue: Dialogue, user: Sequence[list[str]], system: Sequence[list[str]]) -> None:
        """Count a dialogue whose utterances have these words, turn by turn."""
        whole = blake2b(digest_size=16)
        before: bytes = b"null"
        for number, turn in enumerate(dialogue.turns):
            own_turn = _encode([user[number], turn.context])
            whole.update(own_turn)
            if turn.actions is not None:
                recent = blake2b(own_turn + before, digest_size=16).digest()
                self._recent.add(recent, dialogue, number, turn.actions)
                self._whole.add(whole.digest(), dialogue, number, turn.actions)
            done = _done(turn, system[number])
            whole.update(_encode([turn.actions is None, done, system[number]]))
            before = _encode(done)

    def summary(self) -> ContradictionSummary:
        """Return what was counted."""
        return ContradictionSummary(recent=self._recent.summary(), whole=self._whole.summary())


def _done(turn: Turn, words: list[str]) -> list[str] | dict[str, list[str]]:
    return {"words": words} if turn.actions is None else sorted(turn.actions)
