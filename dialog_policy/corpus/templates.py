"""Entities of a dialogue: delexicalise an utterance to a template, and fill a template from the dialogue again.

A :class:`DialogueMemory` follows one dialogue. It knows the values of a gazetteer and those of the records in the context
(``context["results"]``, a list of objects, the best first), remembers what the user asked for, which records were offered
and which one is at hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

__all__ = ["DialogueMemory"]

_TOKEN = re.compile(r"\w+(?:['’\-:.&]\w+)*|\S")
_PLACEHOLDER = re.compile(r"<(\w+)>")
# The attribute that names a record.
NAME = "name"


class _Gazetteer:
    """Values by their tokens: first token to the token sequences that start with it, the longest first."""

    def __init__(self) -> None:
        self._starting: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        self._known: set[tuple[tuple[str, ...], str]] = set()

    def add(self, kind: str, value: str) -> None:
        tokens = tuple(_TOKEN.findall(value.casefold()))
        if tokens and (tokens, kind) not in self._known:
            self._known.add((tokens, kind))
            entries = self._starting.setdefault(tokens[0], [])
            entries.append((tokens, kind))
            entries.sort(key=lambda entry: -len(entry[0]))

    def at(self, tokens: Sequence[str], start: int) -> tuple[int, str] | None:
        """Length in tokens and kind of the longest value that starts here."""
        for value, kind in self._starting.get(tokens[start], ()):
            if tuple(tokens[start : start + len(value)]) == value:
                return len(value), kind
        return None


@lru_cache(maxsize=16)
def _gazetteer(values: tuple[tuple[str, tuple[str, ...]], ...]) -> _Gazetteer:
    gazetteer = _Gazetteer()
    for kind, entries in values:
        for value in entries:
            gazetteer.add(kind, value)
    return gazetteer


class _Mention:
    """A value found in a text: where (characters), of which kind, as written."""

    def __init__(self, start: int, end: int, kind: str, value: str) -> None:
        self.start, self.end, self.kind, self.value = start, end, kind, value


class DialogueMemory:
    """What a dialogue has said so far about entities.

    Call :meth:`hear` with the user's side of a turn, then :meth:`delexicalise` or :meth:`fill` for the system's side, then
    :meth:`say` with what the system said.

    Parameters
    ----------
    gazetteer
        Entity type to values.
    """

    def __init__(self, gazetteer: Mapping[str, tuple[str, ...]] | None = None) -> None:
        items = tuple((kind, tuple(values)) for kind, values in (gazetteer or {}).items())
        self._static = _gazetteer(items)
        self._local = _Gazetteer()
        self._asked: dict[str, str] = {}
        self._records: dict[str, dict[str, str]] = {}
        self._order: list[str] = []
        self._offered: list[str] = []
        self._at_hand: str | None = None

    def hear(self, user: str, context: Mapping[str, Any]) -> None:
        """Take in the user's utterance and what the system learnt before acting."""
        for mention in self._mentions(user):
            if mention.kind == NAME:
                self._at_hand = mention.value
            else:
                self._asked[mention.kind] = mention.value
        results = context.get("results")
        if isinstance(results, list) and all(isinstance(record, Mapping) for record in results):
            self._take(results)

    def _take(self, results: Sequence[Mapping[str, Any]]) -> None:
        self._order, self._offered = [], []
        for record in results:
            values = {str(kind): value for kind, value in record.items() if isinstance(value, str)}
            for kind, value in values.items():
                self._local.add(kind, value)
            if NAME in values:
                self._records[values[NAME].casefold()] = values
                self._order.append(values[NAME])
        if not self._order and results:
            # Records without names: the best one is at hand.
            self._records[""] = {str(k): v for k, v in results[0].items() if isinstance(v, str)}
            self._at_hand = ""

    def say(self, system: str) -> None:
        """Take in what the system said."""
        for mention in self._mentions(system):
            if mention.kind == NAME:
                self._offered.append(mention.value)
                self._at_hand = mention.value

    def _mentions(self, text: str) -> Iterator[_Mention]:
        """Values in a text, from left to right, the longest of each place."""
        found = list(_TOKEN.finditer(text))
        tokens = [match.group().casefold() for match in found]
        position = 0
        while position < len(tokens):
            candidates = [hit for g in (self._local, self._static) if (hit := g.at(tokens, position)) is not None]
            if not candidates:
                position += 1
                continue
            length, kind = max(candidates, key=lambda hit: hit[0])
            start, end = found[position].start(), found[position + length - 1].end()
            yield _Mention(start, end, kind, text[start:end])
            position += length

    def delexicalise(self, text: str, *, refillable: bool = True) -> str:
        """Replace the values in a text by ``<type>``.

        Parameters
        ----------
        text
            What the system said.
        refillable
            True: only values that :meth:`fill` would put back. False: all values, but for names that no record of the
            dialogue has (a restaurant may be called "Ask").
        """
        parts: list[str] = []
        last = 0
        for mention in self._mentions(text):
            puts_back = self._value(mention.kind) == mention.value
            foreign = mention.kind == NAME and mention.value.casefold() not in self._records
            if not puts_back and (refillable or foreign):
                continue
            parts += [text[last : mention.start], f"<{mention.kind}>"]
            last = mention.end
        return "".join([*parts, text[last:]])

    def fill(self, template: str) -> str | None:
        """Put values in the place of ``<type>``; None where the dialogue so far has no value for one of them."""
        missing = False

        def value(match: re.Match[str]) -> str:
            nonlocal missing
            found = self._value(match.group(1))
            missing = missing or found is None
            return found or ""

        filled = _PLACEHOLDER.sub(value, template)
        return None if missing else filled

    def _value(self, kind: str) -> str | None:
        if kind == NAME:
            offered = {name.casefold() for name in self._offered}
            fresh = next((name for name in self._order if name.casefold() not in offered), None)
            return fresh or self._at_hand or None
        if kind in self._asked:
            return self._asked[kind]
        return self._records.get((self._at_hand or "").casefold(), {}).get(kind)

    def state(self) -> dict[str, Any]:
        """Return the memory as a JSON object."""
        return {
            "asked": dict(self._asked),
            "records": {name: dict(record) for name, record in self._records.items()},
            "order": list(self._order),
            "offered": list(self._offered),
            "at_hand": self._at_hand,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Undo :meth:`state`."""
        self._asked, self._records = dict(state["asked"]), {n: dict(r) for n, r in state["records"].items()}
        self._order, self._offered, self._at_hand = list(state["order"]), list(state["offered"]), state["at_hand"]
        for record in self._records.values():
            for kind, value in record.items():
                self._local.add(kind, value)
