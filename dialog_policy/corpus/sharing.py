"""Equal parts of dialogues kept once: texts, action sets, records."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

import msgspec

from dialog_policy.corpus.dialogue import Dialogue, Turn

__all__ = ["Sharing"]

_T = TypeVar("_T")
_MOST = 300_000
_encode = msgspec.msgpack.Encoder().encode


class Sharing:
    """Gives dialogues back with what they have in common with earlier ones in common: equal, and a fraction of the memory.

    A desk says the same few thousand sentences, and finds the same records, a million times.

    Parameters
    ----------
    most
        Different texts and sets, and different values, that are remembered; later ones are kept as they come.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._known: dict[Hashable, Any] = {}
        self._values: dict[bytes, Any] = {}

    def dialogue(self, dialogue: Dialogue) -> Dialogue:
        """Return an equal dialogue."""
        known, same, mapping = self._known, self._same, self._mapping
        turns = tuple(
            Turn(
                user=known.get(turn.user) or same(turn.user),
                context=mapping(turn.context),
                actions=turn.actions and (known.get(turn.actions) or same(turn.actions)),
                system=known.get(turn.system) or same(turn.system),
                reward=turn.reward,
                propensity=turn.propensity,
            )
            for turn in dialogue.turns
        )
        return Dialogue(
            id=dialogue.id,
            turns=turns,
            split=dialogue.split and self._same(dialogue.split),
            fields=self._mapping(dialogue.fields),
        )

    def _same(self, item: Any) -> Any:
        """Return the first that was equal to it."""
        return self._known.setdefault(item, item) if len(self._known) < self._most else self._known.get(item, item)

    def _mapping(self, mapping: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return self._value(mapping, lambda: {self._same(key): self._part(value) for key, value in mapping.items()})
        except (TypeError, ValueError, OverflowError, RecursionError):  # not what JSON has
            return mapping

    def _part(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._same(value)
        if isinstance(value, list | tuple):  # a reader of somebody else's may give tuples; JSON has lists
            return [self._part(part) for part in value]
        return self._mapping(value) if isinstance(value, dict) else value

    def _value(self, value: _T, build: Callable[[], _T]) -> _T:
        key = hashlib.blake2b(_encode(value), digest_size=16).digest()
        found: _T | None = self._values.get(key)
        if found is None:
            found = build()
            if len(self._values) < self._most:
                self._values[key] = found
        return found
