"""What a baseline may look at in a turn: the same that a policy sees, and nothing later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from dialog_policy.corpus import Dialogue, Turn
from dialog_policy.text.tokens import Tokenizer, context_terms

__all__ = ["ActionSet", "Exchange", "Part", "TurnView", "turn_views"]

ActionSet = frozenset[str]
Part = Literal["user", "system", "context", "past"]

# Earlier user turns that are looked at: bounds the work that a dialogue of thousands of turns takes.
_PAST_TURNS = 200


class Exchange(NamedTuple):
    """The user's turn and the system's turn before it.

    Attributes
    ----------
    user
        What the user says in this turn.
    system
        What the system said in the turn before.
    before
        What the system did in the turn before; None where that is not annotated, and in the first turn.
    is_first
        Whether it is the dialogue's first turn.
    """

    user: str
    system: str
    before: ActionSet | None
    is_first: bool


class TurnView:
    """What the system knows before it acts in turn `number` of a dialogue.

    Parameters
    ----------
    turns
        The dialogue's turns. Of this turn only the user's side is looked at, of later ones nothing.
    number
        The turn's number, from 0.
    """

    __slots__ = ("_turns", "exchange", "number")

    def __init__(self, turns: Sequence[Turn], number: int) -> None:
        self._turns, self.number = turns, number
        if number:
            last = turns[number - 1]
            self.exchange = Exchange(turns[number].user, last.system, last.actions, False)
        else:
            self.exchange = Exchange(turns[0].user, "", None, True)

    def terms(self, part: Part, tokenize: Tokenizer) -> list[str]:
        """Return the terms of a part: of an utterance, of this turn's context, or of all that the user said before."""
        if part == "context":
            return context_terms(self._turns[self.number].context)
        if part == "past":
            earlier = self._turns[max(0, self.number - _PAST_TURNS) : self.number]
            return [word for turn in earlier for word in tokenize(turn.user)]
        return tokenize(self.exchange.user if part == "user" else self.exchange.system)


def turn_views(dialogue: Dialogue) -> Iterator[tuple[TurnView, ActionSet]]:
    """Yield what may be looked at in each target turn, and its gold actions."""
    for number, turn in enumerate(dialogue.turns):
        if turn.actions is not None:
            yield TurnView(dialogue.turns, number), turn.actions
