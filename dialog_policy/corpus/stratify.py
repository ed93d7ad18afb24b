"""Stratified splits: seeded, by the actions of the dialogues; equal dialogues, or those of one group, stay together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.errors import CorpusError, OptionError, counted, did_you_mean

__all__ = ["assign", "check_shares", "field_of", "repeated_id"]

_encode = msgspec.json.Encoder(order="deterministic").encode


class _Unit(msgspec.Struct):
    """Dialogues that must stay together: how many, how many of them have each action, a random place in the order."""

    order: bytes
    dialogues: int
    actions: Counter[str]


def assign(
    dialogues: Iterable[Dialogue], shares: Mapping[str, float], *, seed: int = 0, group_by: str | None = None
) -> list[str]:
    """Assign dialogues to parts.

    Every part gets its share of the dialogues and of the dialogues with each action, as nearly as whole dialogues allow:
    from the rarest action to the commonest, the dialogues that have it are dealt, each to the part that lacks most of it, of
    all dialogues where that is equal (Sechidis, Tsoumakas, Vlahavas 2011, On the Stratification of Multi-Label Data, with the
    order of the actions fixed at the start). Dialogues with the same content stay together, and with `group_by` those
    with the same value of a field. The result depends on the seed and on the dialogues' ids, not on their order.

    Parameters
    ----------
    dialogues
        Read once, not kept.
    shares
        Part to its share; they add up to 1.
    seed
        Another seed, another split.
    group_by
        Name of a field of every dialogue.

    Returns
    -------
    list of str
        The part of each dialogue, in the order of `dialogues`.

    Raises
    ------
    CorpusError
        If an id occurs twice, a dialogue lacks the field, or a part would be empty.
    OptionError
        If the shares are not positive or do not add up to 1.
    """
    check_shares(shares)
    unit_of, units = _units(dialogues, seed, group_by)
    part_of = _deal(units, shares)
    assigned = [part_of[unit] for unit in unit_of]
    for part in shares:
        if part not in assigned:
            raise CorpusError(
                f"the part {part!r} would be empty: the {counted(len(assigned), 'dialogue')} are in "
                f"{counted(len(units), 'group')} that stay together.",
                remedy="Make fewer parts, give it a larger share, or group by another field.",
            )
    return assigned


def check_shares(shares: Mapping[str, float]) -> None:
    """Check the shares of parts.

    Raises
    ------
    OptionError
        If they are not positive or do not add up to 1.
    """
    if not shares or any(not share > 0 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:
        listed = ", ".join(f"{part}={share:g}" for part, share in shares.items())
        raise OptionError(f"expected shares above 0 that add up to 1, found {listed or 'none'}.")


def repeated_id(dialogue: Dialogue) -> CorpusError:
    """Return the error of a dialogue whose id an earlier one has."""
    return CorpusError("its id occurs twice.", dialogue=dialogue.id, remedy="Give every dialogue an id of its own.")


def field_of(dialogue: Dialogue, field: str, purpose: str) -> Any:
    """Return a field that every dialogue needs to be assigned to a part.

    Parameters
    ----------
    dialogue
        The dialogue.
    field
        Name of the field.
    purpose
        What is done by it, for the message: ``"group"`` or ``"order"``.

    Raises
    ------
    CorpusError
        If the dialogue lacks it.
    """
    if field not in dialogue.fields:
        known = sorted(dialogue.fields)
        raise CorpusError(
            f"it has no field {field!r}; it has: {', '.join(known) or 'none'}.{did_you_mean(field, known)}",
            dialogue=dialogue.id,
            remedy=f"Every dialogue needs the field to {purpose} by.",
        )
    return dialogue.fields[field]


def _units(dialogues: Iterable[Dialogue], seed: int, group_by: str | None) -> tuple[list[int], dict[int, _Unit]]:
    """Join dialogues that share their content or their group: the unit of each, and the units."""
    leaders: list[int] = []  # union-find: a dialogue's leader, at last itself
    first_with: dict[bytes, int] = {}
    singles: list[_Unit] = []
    seen: set[bytes] = set()
    for number, dialogue in enumerate(dialogues):
        leaders.append(number)
        keys = [bytes.fromhex(dialogue.fingerprint())]
        if group_by is not None:
            keys.append(blake2b(_encode(field_of(dialogue, group_by, "group")), digest_size=16).digest())
        for key in keys:
            leader, other_leader = _leader(leaders, number), _leader(leaders, first_with.setdefault(key, number))
            leaders[max(leader, other_leader)] = min(leader, other_leader)
        order = blake2b(f"{seed}:{dialogue.id}".encode(), digest_size=16).digest()
        if order in seen:
            raise repeated_id(dialogue)
        seen.add(order)
        names = {action for turn in dialogue.turns for action in turn.actions or ()}
        singles.append(_Unit(order, 1, Counter(names)))
    unit_of = [_leader(leaders, number) for number in range(len(leaders))]
    units: dict[int, _Unit] = {}
    for leader, single in zip(unit_of, singles, strict=True):
        if leader not in units:
            units[leader] = single
            continue
        unit = units[leader]
        unit.order = min(unit.order, single.order)
        unit.dialogues += 1
        unit.actions.update(single.actions)
    return unit_of, units


def _leader(leaders: list[int], number: int) -> int:
    while leaders[number] != number:
        leaders[number] = leaders[leaders[number]]
        number = leaders[number]
    return number


def _deal(units: Mapping[int, _Unit], shares: Mapping[str, float]) -> dict[int, str]:
    in_order = sorted(units, key=lambda unit: units[unit].order)
    totals: Counter[str] = Counter()
    for unit in units.values():
        totals.update(unit.actions)
    having: dict[str, list[int]] = {action: [] for action in totals}
    for number in in_order:
        for action in units[number].actions:
            having[action].append(number)
    missing = {part: {action: share * n for action, n in totals.items()} for part, share in shares.items()}
    room = {part: share * sum(unit.dialogues for unit in units.values()) for part, share in shares.items()}
    part_of: dict[int, str] = {}

    def deal(number: int, action: str | None) -> None:
        unit = units[number]
        best = max(shares, key=lambda part: (missing[part][action] if action is not None else 0.0, room[part]))
        part_of[number] = best
        room[best] -= unit.dialogues
        for name, count in unit.actions.items():
            missing[best][name] -= count

    for action in sorted(totals, key=lambda name: (totals[name], name)):
        for number in having[action]:
            if number not in part_of:
                deal(number, action)
    for number in in_order:  # what has no action at all
        if number not in part_of:
            deal(number, None)
    return part_of
