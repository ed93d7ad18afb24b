"""A corpus column by column: the distinct values of each part of a turn, and which of them each turn has."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.corpus import Dialogue
from dialog_policy.corpus.entity_tracker import EntityTracker, MarkedTurn
from dialog_policy.corpus.gazetteer import Entries, static_gazetteer
from dialog_policy.corpus.record_memory import UnlistedValues
from dialog_policy.features.turn_values import START, TurnValues, turn_values

__all__ = ["Column", "Columns", "read_columns"]


class Column(NamedTuple):
    """Distinct values, in the order in which they came, and each turn's position among them."""

    values: list[Any]
    rows: npt.NDArray[np.int32]


class Columns(NamedTuple):
    """What is encoded of some dialogues, turn after turn.

    Attributes
    ----------
    parts
        By the name of the part (:class:`~dialog_policy.features.turn_values.TurnValues`).
    said
        What the system said in each turn, as positions in the values of the part ``"system"``, which is what it said in
        the turn before.
    actions
        The actions of each turn.
    terms
        Terms of the values of some parts, by whoever has found them.
    ids, offsets
        The dialogues' ids; dialogue d has the turns offsets[d] to offsets[d + 1] - 1.
    unlisted
        What they were read with.
    """

    parts: dict[str, Column]
    said: npt.NDArray[np.int32]
    actions: Column
    ids: list[str]
    offsets: npt.NDArray[np.int64]
    terms: dict[str, list[list[str]]]
    unlisted: UnlistedValues | None = None


class _Growing:
    """A column while it is read."""

    def __init__(self) -> None:
        # A new value gets the next number.
        self.position: defaultdict[Hashable, int] = defaultdict()
        self.position.default_factory = self.position.__len__
        self.rows = array("i")

    def extend(self, values: Iterable[Hashable]) -> None:
        self.rows.extend(map(self.position.__getitem__, values))

    def column(self) -> Column:
        return Column(list(self.position), np.array(self.rows, dtype=np.int32))


def read_columns(
    dialogues: Iterable[Dialogue], gazetteer: Entries, *, entities: bool, unlisted: UnlistedValues | None = None
) -> Columns:
    """Read dialogues with the true system side of earlier turns as history (teacher forcing)."""
    parts = {name: _Growing() for name in TurnValues._fields}
    goals, ids, ends, said_rows = _Growing(), [], array("q", [0]), array("i")
    system = parts["system"]
    static = static_gazetteer(gazetteer)
    for dialogue in dialogues:
        before: frozenset[str] | str | None = START
        said = ""
        tracker = EntityTracker(static, unlisted=unlisted) if entities else None
        turns: list[TurnValues] = []
        for turn in dialogue.turns:
            if tracker is None:
                marked = MarkedTurn(turn.user, said, frozenset())
            else:
                marked = tracker.observe_turn(said, turn.user, turn.context)
            turns.append(turn_values(marked, turn.context, before))
            before, said = turn.actions, turn.system
        if turns:
            for column, values in zip(parts.values(), zip(*turns, strict=True), strict=True):
                column.extend(values)
            said_rows += system.rows[ends[-1] + 1 :]
            said_rows.append(system.position[said if tracker is None else tracker.observe_system(said)])
        goals.extend(turn.actions for turn in dialogue.turns)
        ids.append(dialogue.id)
        ends.append(len(goals.rows))
    return Columns(
        {name: growing.column() for name, growing in parts.items()},
        np.array(said_rows, dtype=np.int32),
        goals.column(),
        ids,
        np.array(ends, dtype=np.int64),
        {},
        unlisted,
    )
