"""What the name of an action says, an act and the slot that it is about, and which slots contexts have named.

``OFFER-balance`` offers the value of the slot ``balance``. Where the training part shows that the act ``OFFER`` only ever has
slots that a context has named as a key, that holds for services, too, that it never showed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

from dialog_policy.corpus.dialogue import Dialogue

__all__ = ["act_and_slot", "acts_with_named_slots", "named_slots", "slots_in", "slots_of"]

# An act only has named slots if it was observed so often, with so many slots, and without its slot in no more than this share.
_FEWEST, _FEWEST_SLOTS, _MISSED = 50, 2, 0.005
# Keys this deep in a context, and in so many items of a list, are looked at.
_DEEPEST, _MOST_ITEMS = 8, 20


def act_and_slot(action: str) -> tuple[str, str] | None:
    """Split the name of an action at its last hyphen; None where there is no slot."""
    act, _, slot = action.rpartition("-")
    return (act, slot.casefold()) if act and slot else None


def slots_of(actions: Iterable[str], acts: Set[str] | None = None) -> frozenset[str]:
    """Return the slots in the names of actions, of some acts or of all."""
    pairs = filter(None, map(act_and_slot, actions))
    return frozenset(slot for act, slot in pairs if acts is None or act in acts)


def slots_in(context: Mapping[str, Any], slots: Set[str]) -> set[str]:
    """Return which of the slots are keys of a context, at any depth; of a key ``inform-food``, ``food`` counts."""
    return {slot for key in _keys(context, 0) if (slot := key.rpartition("-")[2].casefold()) in slots}


def named_slots(dialogue: Dialogue, slots: Set[str]) -> Iterator[Set[str]]:
    """Yield for each turn of a dialogue which of the slots its context, or one before, has as a key."""
    named: frozenset[str] = frozenset()
    for turn in dialogue.turns:
        if slots:
            named |= slots_in(turn.context, slots)
        yield named


def acts_with_named_slots(dialogues: Sequence[Dialogue]) -> frozenset[str]:
    """Return the acts of a training part that (but for a half percent) only have slots which contexts so far have named.

    The dialogues are read twice, so that those of a store need not be in memory.
    """
    slots = slots_of({name for dialogue in dialogues for turn in dialogue.turns for name in turn.actions or ()})
    named: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    slots_with: dict[str, set[str]] = {}
    for dialogue in dialogues if slots else ():
        for turn, known in zip(dialogue.turns, named_slots(dialogue, slots), strict=True):
            for act, slot in filter(None, map(act_and_slot, turn.actions or ())):
                (named if slot in known else missed)[act] += 1
                slots_with.setdefault(act, set()).add(slot)
    return frozenset(
        act
        for act, count in named.items()
        if count + missed[act] >= _FEWEST
        and len(slots_with[act]) >= _FEWEST_SLOTS
        and missed[act] <= _MISSED * (count + missed[act])
    )


def _keys(value: Any, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        return
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _keys(inner, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value[:_MOST_ITEMS]:
            yield from _keys(item, depth + 1)
