"""What a policy keeps of one dialogue between two turns."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np

from dialog_policy.corpus.entity_tracker import EntityTracker
from dialog_policy.features.turn_values import START
from dialog_policy.text.table import FloatArray

__all__ = ["DialogueState"]


class DialogueState:
    """All that the next turn depends on.

    Attributes
    ----------
    recurrent
        Hidden and cell state of each LSTM layer after the turns so far, shape (state_size,). Replaced at every turn, never
        changed in place.
    tracker
        What the dialogue has said of entities: the user's side up to the last turn, the system's up to the turn before it.
    actions
        What the system did in the last turn; None if nobody knows; ``START`` before the first turn.
    system
        What it said in the last turn.
    """

    __slots__ = ("actions", "recurrent", "system", "tracker")

    def __init__(self, recurrent: FloatArray, tracker: EntityTracker) -> None:
        self.recurrent, self.tracker = recurrent, tracker
        self.actions: frozenset[str] | str | None = START
        self.system = ""

    def to_parts(self) -> tuple[dict[str, Any], str]:
        """Return the tracker's state as a JSON object, and the recurrent state in base 64 (float32, little-endian).

        `actions` and `system` are those of the last turn, which a session saves anyway.
        """
        return self.tracker.state(), base64.b64encode(self.recurrent.astype("<f4").tobytes()).decode()

    def restore(self, tracker: Mapping[str, Any], recurrent: str) -> None:
        """Undo :meth:`to_parts`.

        Raises
        ------
        ValueError
            If these are no such parts, or those of another network.
        """
        numbers = np.frombuffer(base64.b64decode(recurrent, validate=True), dtype="<f4").astype(np.float32)
        if numbers.shape != self.recurrent.shape:
            raise ValueError(f"a state of {len(numbers)} numbers instead of {len(self.recurrent)}")
        if not np.isfinite(numbers).all():
            raise ValueError("a state with a number that is not finite")
        self.tracker.restore(tracker)
        self.recurrent = numbers
