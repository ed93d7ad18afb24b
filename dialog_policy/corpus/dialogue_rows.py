"""A dialogue from the rows of a table, each of them a turn."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from operator import itemgetter
from typing import Any

from dialog_policy.corpus.cells import kind_of_order
from dialog_policy.corpus.dialogue import Dialogue, Turn

__all__ = ["DialogueRows"]


class DialogueRows:
    """The rows of one dialogue, as :class:`~dialog_policy.corpus.cells.Cells` converts them.

    Attributes
    ----------
    varying
        Names of fields that differ between rows, and so cannot be fields of the dialogue.
    """

    def __init__(self) -> None:
        self.varying: set[str] = set()
        self._numbers: dict[float | datetime | None, str] = {}
        self._kind = ""
        self._turns: list[tuple[Any, Turn]] = []
        self._fields: dict[str, Any] = {}
        self._split: str | None = None

    def __len__(self) -> int:
        return len(self._turns)

    def add(self, cells: dict[str, Any], others: Mapping[str, Any], row: str) -> None:
        """Take a row.

        Parameters
        ----------
        cells
            What its cells say.
        others
            Cells of other columns, which are fields of the dialogue.
        row
            What messages call it, such as ``line 3``.

        Raises
        ------
        ValueError
            If an earlier row has another split, the same turn number or time, or another kind of it, or none.
        """
        order, split, fields = cells.pop("turn"), cells.pop("split"), cells.pop("fields")
        kind = kind_of_order(order)
        if self._numbers and kind != self._kind:
            raise ValueError(
                f"one of its rows has {self._kind} as its turn, and this one has {kind}, so their order is not known"
            )
        self._kind = kind
        if order is not None and order in self._numbers:
            shown = f"time {order}" if isinstance(order, datetime) else f"number {order:g}"
            raise ValueError(
                f"it has two turns with the {shown}, in {self._numbers[order]} and {row}. If two dialogues have this id, "
                "give each an id of its own; if it is one turn, write all its actions into one row"
            )
        self._numbers[order] = row
        self._turns.append((len(self._turns) if order is None else order, Turn(**cells)))
        if split and self._split not in (None, split):
            raise ValueError(f"it is in the split {self._split!r} and, from here on, in {split!r}")
        self._split = self._split or split or None
        for name, value in (*others.items(), *fields.items()):
            if self._fields.setdefault(name, value) != value:
                self.varying.add(name)

    def dialogue(self, dialogue_id: str) -> Dialogue:
        """Return the dialogue; its turns are in the order of their numbers, or as they came."""
        turns = tuple(turn for _, turn in sorted(self._turns, key=itemgetter(0)))
        fields = {name: value for name, value in self._fields.items() if name not in self.varying}
        return Dialogue(id=dialogue_id, turns=turns, split=self._split, fields=fields)
