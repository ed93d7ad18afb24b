"""Contradictions: the same history, followed by different actions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from dialog_policy.corpus.dialogue import Dialogue, Turn
from dialog_policy.corpus.summary import Contradiction, ContradictionSummary, HistoryBound, Outcome

__all__ = ["RECENT", "WHOLE", "Contradictions"]

RECENT = "the words of the user's turn, its context, and the actions of the turn before"
WHOLE = "everything up to the user's turn: words, contexts, actions and replies"

_EXAMPLES = 10
# Half a million take about 200 MB.
_MOST_HISTORIES = 500_000
_LONGEST_CONTEXT = 300
_encode = msgspec.json.Encoder(order="deterministic").encode
_Actions = frozenset[str]
Find = Callable[[str], Dialogue]


class _Outcome(msgspec.Struct, gc=False):
    """What the system did after a history, how often, and where first."""

    actions: _Actions
    turns: int
    dialogue: str
    turn: int


class _Shown(NamedTuple):
    """A turn with a history that is shown."""

    user: str
    context: str
    previous: list[str] | None


class _Conflict(msgspec.Struct):
    """A history with several outcomes, and a turn that shows it; None: the second outcome's, which was counted elsewhere."""

    shown: _Shown | None
    outcomes: list[_Outcome]


class _Histories:
    """Outcomes by the hash of the history before them.

    When there are too many histories, those with an odd hash are dropped, then those that four does not divide, and so on: what
    is left has all its turns, wherever they are, and is a random sample of the histories (Gibbons 2001, distinct sampling).
    """

    def __init__(self, description: str, most: int) -> None:
        self._description, self._most = description, most
        self._mask = 0
        self._first: dict[bytes, _Outcome] = {}
        self._conflicts: dict[bytes, _Conflict] = {}

    def add(self, history: bytes, dialogue: Dialogue, number: int, actions: _Actions) -> None:
        if self._is_dropped(history):
            return
        first = self._first.setdefault(history, _Outcome(actions, 0, dialogue.id, number))
        if first.actions == actions:
            first.turns += 1
            if len(self._first) > self._most:
                self._thin_out(2 * self._mask + 1)
            return
        if history not in self._conflicts:
            self._conflicts[history] = _Conflict(_shown(dialogue, number), [first])
        _count(self._conflicts[history].outcomes, _Outcome(actions, 1, dialogue.id, number))

    def _is_dropped(self, history: bytes) -> bool:
        return bool(int.from_bytes(history[:8], "big") & self._mask)

    def _thin_out(self, mask: int) -> None:
        """Drop more histories, until few enough are left."""
        self._mask = mask
        self._first = {key: first for key, first in self._first.items() if not self._is_dropped(key)}
        self._conflicts = {key: own for key, own in self._conflicts.items() if not self._is_dropped(key)}
        if len(self._first) > self._most:
            self._thin_out(2 * mask + 1)

    def merge(self, other: _Histories) -> None:
        """Add what was counted in later dialogues."""
        if other._mask > self._mask:
            self._thin_out(other._mask)
        for key, theirs in other._first.items():
            if self._is_dropped(key):
                continue
            conflict = other._conflicts.get(key)
            outcomes = [theirs] if conflict is None else conflict.outcomes
            first = self._first.setdefault(key, theirs)
            if first is theirs:
                if conflict is not None:
                    self._conflicts[key] = conflict
                continue
            own = self._conflicts.get(key)
            if own is None:
                known = [first]
                for outcome in outcomes:
                    _count(known, outcome)
                if len(known) > 1:
                    begins_alike = conflict is not None and first.actions == theirs.actions
                    self._conflicts[key] = _Conflict(conflict.shown if conflict and begins_alike else None, known)
            else:
                for outcome in outcomes:
                    _count(own.outcomes, outcome)
        if len(self._first) > self._most:
            self._thin_out(2 * self._mask + 1)

    def summary(self, find: Find | None) -> HistoryBound:
        lost = conflicting = alone = turns = 0
        for key, first in self._first.items():
            conflict = self._conflicts.get(key)
            own = [first.turns] if conflict is None else [outcome.turns for outcome in conflict.outcomes]
            turns += sum(own)
            alone += own == [1]
            if conflict is not None:
                conflicting += sum(own)
                lost += sum(own) - max(own)
        repeated = turns - alone
        one_in = self._mask + 1
        # Of equals the history that came first, in whatever parts they were counted.
        conflicts = [self._conflicts[key] for key in self._first if key in self._conflicts]
        worst = sorted(conflicts, key=lambda conflict: _cost(conflict.outcomes))[:_EXAMPLES]
        return HistoryBound(
            history=self._description,
            histories=len(self._first) * one_in,
            contradictory_histories=len(self._conflicts) * one_in,
            contradictory_turns=conflicting * one_in,
            max_accuracy=(turns - lost) / turns if turns else None,
            repeated_turns=repeated * one_in,
            max_accuracy_repeated=(repeated - lost) / repeated if repeated else None,
            examples=[_summarised(conflict, find) for conflict in worst],
            one_in=one_in,
        )


def _count(outcomes: list[_Outcome], another: _Outcome) -> None:
    """Add turns to the outcome with the same actions, or another outcome."""
    for outcome in outcomes:
        if outcome.actions == another.actions:
            outcome.turns += another.turns
            return
    outcomes.append(another)


def _cost(outcomes: Sequence[_Outcome]) -> tuple[int, int]:
    """Sort conflicts by the turns in which a policy must be wrong, then by all their turns, the most first."""
    turns = [outcome.turns for outcome in outcomes]
    return max(turns) - sum(turns), -sum(turns)


def _shown(dialogue: Dialogue, number: int) -> _Shown:
    turn = dialogue.turns[number]
    context = _encode(turn.context).decode() if turn.context else ""
    if len(context) > _LONGEST_CONTEXT:
        context = context[: _LONGEST_CONTEXT - 1] + "…"
    before = dialogue.turns[number - 1].actions if number else None
    return _Shown(turn.user, context, None if before is None else sorted(before))


def _summarised(conflict: _Conflict, find: Find | None) -> Contradiction:
    shown, second = conflict.shown, conflict.outcomes[1]
    if shown is None:
        assert find is not None, "what was merged needs the dialogues that it shows"
        shown = _shown(find(second.dialogue), second.turn)
    outcomes = sorted(conflict.outcomes, key=lambda outcome: -outcome.turns)
    turns = sum(outcome.turns for outcome in outcomes)
    return Contradiction(
        user=shown.user,
        context=shown.context,
        previous_actions=shown.previous,
        turns=turns,
        lost_turns=turns - outcomes[0].turns,
        outcomes=[
            Outcome(actions=sorted(o.actions), turns=o.turns, dialogue=o.dialogue, turn=o.turn) for o in outcomes
        ],
    )


class Contradictions:
    """Counts, dialogue by dialogue, how often the same history was followed by different actions.

    Two histories are compared: :data:`RECENT` and :data:`WHOLE`. Where the turn before is not annotated, its words stand for
    its actions. Only hashes of histories are kept, and the text of those that contradict: of so many histories at most. Of more,
    one in two, four, eight, … is looked at, chosen by its hash; counts are multiplied then.

    Parameters
    ----------
    most
        Histories that are kept of each kind.
    """

    def __init__(self, most: int = _MOST_HISTORIES) -> None:
        self._recent, self._whole = _Histories(RECENT, most), _Histories(WHOLE, most)

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

    def merge(self, other: Contradictions) -> None:
        """Add what was counted in other dialogues, which come after these."""
        self._recent.merge(other._recent)
        self._whole.merge(other._whole)

    def summary(self, find: Find | None = None) -> ContradictionSummary:
        """Return what was counted.

        Parameters
        ----------
        find
            Returns the dialogue with an id: of counts that were merged, some examples are looked up.
        """
        return ContradictionSummary(recent=self._recent.summary(find), whole=self._whole.summary(find))


def _done(turn: Turn, words: list[str]) -> list[str] | dict[str, list[str]]:
    return {"words": words} if turn.actions is None else sorted(turn.actions)
