"""What a policy keeps of one dialogue between two turns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dialog_policy.corpus.entity_tracker import EntityTracker
from dialog_policy.features.turn_values import START

__all__ = ["DialogueState"]


class DialogueState:
    """All that the next turn depends on.

    Attributes
    ----------
    recurrent
        Hidden and cell state of each LSTM layer after the turns so far, as little-endian float32.
    tracker
        What the dialogue has said of entities: the user's side up to the last turn, the system's up to the turn before it.
    actions
        What the system did in the last turn; None if nobody knows; ``START`` before the first turn.
    system
        What it said in the last turn.
    """

    __slots__ = ("actions", "recurrent", "system", "tracker")

    def __init__(self, recurrent: bytes, tracker: EntityTracker) -> None:
        self.recurrent, self.tracker = recurrent, tracker
        self.actions: frozenset[str] | str | None = START
        self.system = ""

    def to_parts(self) -> tuple[dict[str, Any], bytes]:
        """Return the tracker's state as a JSON object, and the recurrent state.

        `actions` and `system` are those of the last turn, which a session saves anyway.
        """
        return self.tracker.state(), self.recurrent

    def restore(self, tracker: Mapping[str, Any], recurrent: bytes) -> None:
        """Undo :meth:`to_parts`.

        Raises
        ------
        ValueError
            If these are no such parts, or those of another network.
        """
        if len(recurrent) != len(self.recurrent):
            raise ValueError(f"a state of {len(recurrent)} bytes instead of {len(self.recurrent)}")
        if not np.isfinite(np.frombuffer(recurrent, dtype="<f4")).all():
            raise ValueError("a state with a number that is not finite")
        self.tracker.restore(tracker)
        self.recurrent = recurrent
