"""What a session says of its turns."""

from __future__ import annotations

import html
from enum import Enum
from typing import Any, Final

import msgspec

from dialog_policy.errors import counted

__all__ = ["PREDICTED", "Predicted", "SessionTurn", "Step"]


# Actions that a notebook shows of a step.
_SHOWN = 10


class Predicted(Enum):
    """The type of :data:`PREDICTED`."""

    PREDICTED = "predicted"


PREDICTED: Final = Predicted.PREDICTED
"""In :meth:`dialog_policy.runtime.Session.observe`: the bot did what the policy said."""


class Step(msgspec.Struct, frozen=True):
    """What the policy would do in a turn.

    Attributes
    ----------
    actions
        The decided set of actions.
    probabilities
        The probability of each action, in any set.
    confidence
        The probability of the decided set among all candidate sets.
    fallback
        Whether the confidence is below the policy's ``fallback_below``; then ask the user to rephrase, or hand over to a
        person.
    text
        The template reply of these actions, filled from the dialogue; empty if training has none.
    """

    actions: frozenset[str]
    probabilities: dict[str, float]
    confidence: float
    fallback: bool
    text: str

    def _repr_html_(self) -> str:
        """Show decision, reply and the most probable actions in a notebook."""
        decided = ", ".join(sorted(self.actions)) or "no action"
        caption = f"{decided} (confidence {self.confidence:.3f}{', below the threshold' if self.fallback else ''}): {self.text!r}"
        ranked = sorted(self.probabilities.items(), key=lambda item: (-item[1], item[0]))
        rows = "".join(
            f"<tr><td>{html.escape(action)}</td><td>{probability:.3f}</td><td>{'yes' if action in self.actions else ''}</td></tr>"
            for action, probability in ranked[:_SHOWN]
        )
        left_out = (
            f"<tr><td colspan=3>and {counted(len(ranked) - _SHOWN, 'further action')}</td></tr>"
            if len(ranked) > _SHOWN
            else ""
        )
        head = "<tr><th>action</th><th>probability</th><th>decided</th></tr>"
        return f"<table><caption>{html.escape(caption)}</caption>{head}{rows}{left_out}</table>"


class SessionTurn(msgspec.Struct, frozen=True):
    """A turn of a session.

    Attributes
    ----------
    user
        What the user said; None in a turn without a user.
    context
        What the system learnt before it acted.
    predicted
        What the policy decided.
    actions, system
        What the bot did and said: the policy's decision and reply, unless something else was observed. Actions None: unknown.
    """

    user: str | None
    context: dict[str, Any]
    predicted: frozenset[str]
    actions: frozenset[str] | None
    system: str
