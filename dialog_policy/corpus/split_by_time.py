"""Splits by time: the dialogues of the test part are later than those of the training part."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from dialog_policy.corpus.cells import kind_of_order, order_of_cell
from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.stratify import field_of, repeated_id
from dialog_policy.errors import CorpusError, counted

__all__ = ["assign_in_order"]


def assign_in_order(dialogues: Iterable[Dialogue], shares: Mapping[str, float], order_by: str) -> list[str]:
    """Assign dialogues to parts that follow each other in time: the first has the earliest dialogues.

    Dialogues of the same time stay together. The result does not depend on the order of the dialogues.

    Parameters
    ----------
    dialogues
        Read once, not kept.
    shares
        Part to its share, in their order; they add up to 1.
    order_by
        Name of a field of every dialogue, with a number or a time such as ``2026-03-01 09:30:00``.

    Returns
    -------
    list of str
        The part of each dialogue, in the order of `dialogues`.

    Raises
    ------
    CorpusError
        If an id occurs twice, a dialogue lacks the field, its values cannot be compared, or a part would be empty.
    """
    values: list[Any] = []
    ids: set[str] = set()
    first = ""
    for dialogue in dialogues:
        if dialogue.id in ids:
            raise repeated_id(dialogue)
        ids.add(dialogue.id)
        values.append(_value(dialogue, order_by))
        first = first or kind_of_order(values[0])
        if (kind := kind_of_order(values[-1])) != first:
            raise CorpusError(
                f"its field {order_by!r} has {kind}, and that of the first dialogue has {first}.",
                dialogue=dialogue.id,
                remedy="Write all of them in one way.",
            )
    ranked = sorted(range(len(values)), key=values.__getitem__)
    # A dialogue is in the part in which the first one of its time would be.
    rank_of: dict[float | datetime, int] = {}
    for rank, number in enumerate(ranked):
        rank_of.setdefault(values[number], rank)
    ends = dict(zip(shares, itertools.accumulate(share * len(values) for share in shares.values()), strict=True))
    last = list(shares)[-1]
    assigned = [next((part for part, end in ends.items() if rank_of[value] < round(end, 6)), last) for value in values]
    for part in shares:
        if part not in assigned:
            raise CorpusError(
                f"the part {part!r} would be empty: the {counted(len(values), 'dialogue')} are of "
                f"{counted(len(rank_of), 'time')}.",
                remedy="Make fewer parts, or give it a larger share.",
            )
    return assigned


def _value(dialogue: Dialogue, field: str) -> float | datetime:
    own = field_of(dialogue, field, "order")
    try:
        value = order_of_cell(own)
        if value is None:
            raise ValueError("it is empty")
    except (ValueError, TypeError) as error:
        raise CorpusError(f"its field {field!r} cannot be read: {error}.", dialogue=dialogue.id) from None
    return value
