"""What a session says of its turns."""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

import msgspec

__all__ = ["PREDICTED", "Predicted", "SessionTurn", "Step"]


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
        Of each action, whatever the set.
    confidence
        Probability of the decided set among the sets that competed.
    fallback
        Whether the confidence is below the policy's ``fallback_below``: better ask the user to say it otherwise, or hand over.
    text
        The template reply of these actions, refilled from the dialogue; empty where training showed none.
    """

    actions: frozenset[str]
    probabilities: dict[str, float]
    confidence: float
    fallback: bool
    text: str


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
        What the bot did and said; as long as nothing else was observed, what the policy decided and its reply. Actions None:
        nobody knows what it did.
    """

    user: str | None
    context: dict[str, Any]
    predicted: frozenset[str]
    actions: frozenset[str] | None
    system: str
