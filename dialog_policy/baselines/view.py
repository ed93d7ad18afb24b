"""What a baseline may look at in a turn: the same that a policy sees, and nothing later."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dialog_policy.corpus import Dialogue

__all__ = ["ActionSet", "TurnView", "turn_views"]

ActionSet = frozenset[str]


class TurnView(NamedTuple):
    """What the system knows before it acts.

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


def turn_views(dialogue: Dialogue) -> Iterator[tuple[int, TurnView, ActionSet]]:
    """Yield the number of each target turn, what may be looked at, and the gold actions."""
    before: ActionSet | None = None
    system = ""
    for number, turn in enumerate(dialogue.turns):
        if turn.actions is not None:
            yield number, TurnView(turn.user, system, before, number == 0), turn.actions
        before, system = turn.actions, turn.system
