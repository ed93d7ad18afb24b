"""What the name of an action says: an act, and the slot that it is about.

``OFFER-balance`` offers the value of the slot ``balance``. Where training shows that the acts ``OFFER`` only have slots that a
context has named as a key, that holds for services, too, that training never saw.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

__all__ = ["act_and_slot", "seen_fact", "slot_of_fact", "slots_in", "slots_of"]

_SEEN = "@seen "
# Keys this deep in a context, and in this many objects of a list, are looked at.
_DEEPEST, _MOST_OBJECTS = 8, 20


def act_and_slot(action: str) -> tuple[str, str] | None:
    """Split the name of an action at its last hyphen; None where there is no slot."""
    act, _, slot = action.rpartition("-")
    return (act, slot.casefold()) if act and slot else None


def slots_of(actions: Iterable[str]) -> frozenset[str]:
    """Return the slots in the names of actions."""
    return frozenset(parts[1] for action in actions if (parts := act_and_slot(action)) is not None)


def seen_fact(slot: str) -> str:
    """Return the fact that a context so far has a key of this name."""
    return _SEEN + slot


def slot_of_fact(fact: str) -> str | None:
    """Undo :func:`seen_fact`; None for other facts."""
    return fact.removeprefix(_SEEN) if fact.startswith(_SEEN) else None


def slots_in(context: Mapping[str, Any], slots: Set[str]) -> set[str]:
    """Return which of the slots are keys of a context, at any depth; of a key ``inform-food``, ``food`` counts."""
    return {slot for key in _keys(context, 0) if (slot := key.rpartition("-")[2].casefold()) in slots}


def _keys(value: Any, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        return
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _keys(inner, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value[:_MOST_OBJECTS]:
            yield from _keys(item, depth + 1)
