"""Entities of a dialogue: delexicalise an utterance to a template, and fill a template from the dialogue again.

A :class:`DialogueMemory` follows one dialogue. It knows the values of a gazetteer and those of the records in the context
(``context["results"]``, a list of objects, the best first), remembers what the user asked for, which records were offered
and which one is at hand.

In a template ``<name>`` is the next record that was not offered yet, ``<name_at_hand>`` the one last offered or named. Any
other ``<type>`` is an attribute of the record that the template names, or else the value that the user gave last, or else an
attribute of the record at hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import regex

__all__ = ["DialogueMemory"]

_ASCII_TOKEN = re.compile(r"\w+(?:['\-:.&]\w+)*|\S")
# In scripts without spaces a value may begin and end anywhere.
_NO_SPACES = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー]\p{M}*"
_WORD = rf"(?:(?!{_NO_SPACES})\w)+"
_TOKEN = regex.compile(rf"{_NO_SPACES}|{_WORD}(?:['’\-:.&]{_WORD})*|\S")
_PLACEHOLDER = re.compile(r"<(\w+)>")
# The attribute that names a record, and the placeholder of the record at hand.
NAME, AT_HAND = "name", "name_at_hand"


def _tokens(text: str) -> list[re.Match[str]]:
    return list((_ASCII_TOKEN if text.isascii() else _TOKEN).finditer(text))


@lru_cache(maxsize=4_096)
def _folded(text: str) -> frozenset[str]:
    if text.isascii():
        return frozenset(_ASCII_TOKEN.findall(text.lower()))
    return frozenset(token.casefold() for token in _TOKEN.findall(text))


@lru_cache(maxsize=4_096)
def _places(template: str) -> tuple[str, ...]:
    return tuple(_PLACEHOLDER.findall(template))


@lru_cache(maxsize=50_000)
def _value_tokens(value: str) -> tuple[str, ...]:
    return tuple(match.group().casefold() for match in _tokens(value))


def _key(name: str) -> str:
    """One key for the ways to write a name: ``the_oak`` is "The oak"."""
    return name.casefold().replace("_", " ")


class _Gazetteer:
    """Values by their tokens: first token to the token sequences that start with it, the longest first."""

    def __init__(self) -> None:
        self.starting: dict[str, list[tuple[tuple[str, ...], str, str]]] = {}
        self._known: set[tuple[tuple[str, ...], str]] = set()
        self.added: list[tuple[str, str]] = []
        self.values: dict[str, set[str]] = {}

    def add(self, kind: str, value: str) -> None:
        # A single letter or digit is found everywhere and says nothing.
        if len(value) < 2 and value.isascii():
            return
        tokens = _value_tokens(value)
        if tokens and (tokens, kind) not in self._known:
            self._known.add((tokens, kind))
            self.added.append((kind, value))
            self.values.setdefault(kind, set()).add(value)
            entries = self.starting.setdefault(tokens[0], [])
            entries.append((tokens, kind, value))
            entries.sort(key=lambda entry: -len(entry[0]))

    def at(self, tokens: Sequence[str], start: int) -> tuple[int, str, str] | None:
        """Length in tokens, kind and value of the longest value that starts here."""
        for value_tokens, kind, value in self.starting.get(tokens[start], ()):
            if tuple(tokens[start : start + len(value_tokens)]) == value_tokens:
                return len(value_tokens), kind, value
        return None


@lru_cache(maxsize=16)
def _gazetteer(values: tuple[tuple[str, tuple[str, ...]], ...]) -> _Gazetteer:
    gazetteer = _Gazetteer()
    for kind, entries in values:
        for value in entries:
            gazetteer.add(kind, value)
    return gazetteer


class _Mention(NamedTuple):
    """A value found in a text: where (characters), its kind, as the gazetteer has it, as written."""

    start: int
    end: int
    kind: str
    value: str
    written: str


def _marked(text: str, mentions: Sequence[_Mention]) -> str:
    """Put the types of values in their place."""
    parts: list[str] = []
    last = 0
    for mention in mentions:
        parts += [text[last : mention.start], f"_{mention.kind}_"]
        last = mention.end
    return "".join([*parts, text[last:]]) if parts else text


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
        self._offered: dict[str, None] = {}
        self._at_hand: str | None = None

    def hear(self, user: str, context: Mapping[str, Any]) -> str:
        """Take in the user's utterance and what the system learnt before acting.

        Returns
        -------
        str
            The utterance with ``_type_`` in the place of every value.
        """
        mentions = list(self._mentions(user))
        for mention in mentions:
            if mention.kind == NAME:
                self._at_hand = mention.value
            else:
                self._asked[mention.kind] = mention.value
        results = context.get("results")
        if isinstance(results, list) and all(isinstance(record, Mapping) for record in results):
            self._take([{str(k): v for k, v in record.items() if isinstance(v, str)} for record in results])
        return _marked(user, mentions)

    def known(self) -> frozenset[str]:
        """Say what is known now, without any value.

        Returns
        -------
        frozenset of str
            The types that the user gave a value of; ``"@hand"`` if a record is at hand; ``"@next"`` if records were found that
            were not offered yet, ``"@none"`` if records were found and all of them were offered.
        """
        facts = {*self._asked}
        if self._at_hand is not None:
            facts.add("@hand")
        if self._order:
            facts.add("@next" if self._next(self._offered) is not None else "@none")
        return frozenset(facts)

    def _take(self, results: Sequence[Mapping[str, str]]) -> None:
        self._order, self._offered = [], {}
        named = [record for record in results if NAME in record]
        for record in named:
            self._remember(_key(record[NAME]), record)
            self._order.append(record[NAME])
        if results and not named:
            # Records without names: the best one is at hand.
            self._remember("", results[0])
            self._at_hand = ""

    def _remember(self, key: str, record: Mapping[str, str]) -> None:
        self._records[key] = dict(record)
        for kind, value in record.items():
            self._local.add(kind, value)

    def say(self, system: str) -> str:
        """Take in what the system said; return it with ``_type_`` in the place of every value."""
        mentions = list(self._mentions(system))
        for mention in mentions:
            if mention.kind == NAME:
                self._offered[_key(mention.value)] = None
                self._at_hand = mention.value
        return _marked(system, mentions)

    def _mentions(self, text: str) -> Iterator[_Mention]:
        """Values in a text, from left to right, the longest of each place."""
        local, static = self._local, self._static
        folded = _folded(text)
        if folded.isdisjoint(local.starting) and folded.isdisjoint(static.starting):
            return
        found = _tokens(text)
        tokens = [match.group().casefold() for match in found]
        free = 0
        for position, token in enumerate(tokens):
            if position < free or not (token in local.starting or token in static.starting):
                continue
            hits = [hit for gazetteer in (local, static) if (hit := gazetteer.at(tokens, position)) is not None]
            if hits:
                length, kind, value = max(hits, key=lambda hit: hit[0])
                free = position + length
                start, end = found[position].start(), found[free - 1].end()
                yield _Mention(start, end, kind, value, text[start:end])

    def delexicalise(self, text: str, *, refillable: bool = True) -> str:
        """Replace the values in a text by ``<type>``.

        Parameters
        ----------
        text
            What the system said.
        refillable
            True: only values that :meth:`fill` would put back. False, for labels: all values, every name as ``<name>``, but
            for a list of all the values of a type ("cheap, moderate, or expensive").
        """
        mentions = list(self._mentions(text))
        places = self._refillable(mentions) if refillable else self._all(mentions)
        parts: list[str] = []
        last = 0
        for mention, place in zip(mentions, places, strict=True):
            if place is not None:
                parts += [text[last : mention.start], f"<{place}>"]
                last = mention.end
        return "".join([*parts, text[last:]])

    def _refillable(self, mentions: Sequence[_Mention]) -> list[str | None]:
        """Return the placeholder of each mention; None where no placeholder gives back what was written."""
        offered, at_hand = dict(self._offered), self._at_hand
        places: list[str | None] = []
        for mention in mentions:
            if mention.kind != NAME:
                places.append(mention.kind)
            elif mention.written == at_hand:
                places.append(AT_HAND)
            elif mention.written == (fresh := self._next(offered)):
                places.append(NAME)
                offered[_key(mention.written)], at_hand = None, fresh
            else:
                places.append(None)
        # The names are settled; values of other kinds do not depend on one another.
        values = iter(self._values([place for place in places if place is not None]))
        return [
            place if place is not None and next(values) == mention.written else None
            for mention, place in zip(mentions, places, strict=True)
        ]

    def _all(self, mentions: Sequence[_Mention]) -> list[str | None]:
        values: dict[str, set[str]] = {}
        for mention in mentions:
            values.setdefault(mention.kind, set()).add(mention.value)
        listed = {kind for kind, found in values.items() if len(found) > 2 and found == self._static.values.get(kind)}
        return [None if mention.kind in listed else mention.kind for mention in mentions]

    def fill(self, template: str) -> str | None:
        """Put values in the place of ``<type>``; None where the dialogue so far has no value for one of them."""
        places = _places(template)
        if not places:
            return template
        values = self._values(places)
        if any(value is None for value in values):
            return None
        remaining = iter(values)
        return _PLACEHOLDER.sub(lambda _: next(remaining) or "", template)

    def _next(self, offered: Mapping[str, None]) -> str | None:
        """Name of the first record that was not offered."""
        return next((name for name in self._order if _key(name) not in offered), None)

    def _values(self, places: Sequence[str]) -> list[str | None]:
        """Say what the placeholders of one template stand for, in their order."""
        offered, at_hand = dict(self._offered), self._at_hand
        names: list[str | None] = []
        for place in places:
            if place == NAME and (fresh := self._next(offered)) is not None:
                offered[_key(fresh)], at_hand = None, fresh
            names.append(at_hand or None)
        # An attribute before the template's first name belongs to that name, like those after it.
        first = next((i for i, place in enumerate(places) if place in (NAME, AT_HAND)), None)
        values: list[str | None] = []
        for i, place in enumerate(places):
            if place in (NAME, AT_HAND):
                values.append(names[i])
                continue
            name = self._at_hand if first is None else names[max(i, first)]
            attribute = self._records.get(_key(name or ""), {}).get(place)
            asked = self._asked.get(place)
            values.append((asked or attribute) if first is None else (attribute or asked))
        return values

    def state(self) -> dict[str, Any]:
        """Return the memory as a JSON object."""
        return {
            "asked": dict(self._asked),
            "records": {name: dict(record) for name, record in self._records.items()},
            "order": list(self._order),
            "offered": list(self._offered),
            "at_hand": self._at_hand,
            "values": self._local.added,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Undo :meth:`state`."""
        self._asked = dict(state["asked"])
        self._records = {key: dict(record) for key, record in state["records"].items()}
        # Values of records that gave way are found in what is said, too: in the same order as before.
        self._local = _Gazetteer()
        for kind, value in state["values"]:
            self._local.add(kind, value)
        self._order, self._offered = list(state["order"]), dict.fromkeys(state["offered"])
        self._at_hand = state["at_hand"]
