"""Dealing dialogues into parts by time: a policy is tested on what came after its training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from dialog_policy.corpus.cells import kind_of_order, order_of_cell
from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.errors import CorpusError, counted, did_you_mean

__all__ = ["assign_in_order"]


def assign_in_order(dialogues: Iterable[Dialogue], shares: Mapping[str, float], order_by: str) -> list[str]:
    """Deal dialogues into parts that follow each other in time: the first has the earliest dialogues.

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
            raise CorpusError(
                "its id occurs twice.", dialogue=dialogue.id, remedy="Give every dialogue an id of its own."
            )
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
    ends: dict[str, float] = {}
    for part, share in shares.items():
        ends[part] = share * len(values) + max(ends.values(), default=0.0)
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
    if field not in dialogue.fields:
        known = sorted(dialogue.fields)
        raise CorpusError(
            f"it has no field {field!r}; it has: {', '.join(known) or 'none'}.{did_you_mean(field, known)}",
            dialogue=dialogue.id,
            remedy="Every dialogue needs the field to order by.",
        )
    try:
        value = order_of_cell(dialogue.fields[field])
        if value is None:
            raise ValueError("it is empty")
    except (ValueError, TypeError) as error:
        raise CorpusError(f"its field {field!r} cannot be read: {error}.", dialogue=dialogue.id) from None
    return value
