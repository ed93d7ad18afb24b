"""What a dialogue has said so far about entities: values to templates, and templates to values again.

An :class:`EntityTracker` follows one dialogue. It knows the values of a gazetteer and those of the records in the context
(``context["results"]``, a list of objects, the best first), remembers what the user asked for, which records were offered
and which one is at hand.

In a template ``<name>`` is the next record that was not offered yet, ``<name_at_hand>`` the one last offered or named,
``<number_of_results>`` and ``<number_of_results_in_words>`` say how many records the last results have. Any other ``<type>``
is an attribute of the record that the template names, or else the value that the user gave last, or else an attribute of the
record at hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec

from dialog_policy.corpus.gazetteer import Gazetteer, Mention, find_mentions, mark, static_gazetteer
from dialog_policy.corpus.placeholders import (
    AT_HAND,
    NAME,
    NUMBER,
    NUMBER_IN_WORDS,
    number_in_words,
    placeholders_of,
    with_values,
)

__all__ = ["EntityTracker", "MarkedTurn"]

# A dialogue remembers so many values of the newest records; of one context so many records, the first, are looked at.
_MOST_VALUES, _MOST_RECORDS = 4_000, 1_000


class MarkedTurn(NamedTuple):
    """What a policy may know of a turn before it acts, without any value of an entity.

    Attributes
    ----------
    user, system
        The user's utterance and the system's of the turn before, with ``_type_`` in the place of every value.
    facts
        As :meth:`EntityTracker.facts` says them.
    """

    user: str
    system: str
    facts: frozenset[str]


def _key(name: str) -> str:
    """One key for the ways to write a name: ``the_oak`` is "The oak"."""
    return name.casefold().replace("_", " ")


def _marked(text: str, mentions: Sequence[Mention]) -> str:
    return mark(text, mentions, [f"_{mention.kind}_" for mention in mentions]) if mentions else text


class _State(msgspec.Struct):
    """What :meth:`EntityTracker.state` returns."""

    asked: dict[str, str]
    records: dict[str, dict[str, str]]
    order: list[str]
    offered: list[str]
    at_hand: str | None
    values: list[tuple[str, str]]
    n_results: Annotated[int, msgspec.Meta(ge=0)] | msgspec.UnsetType | None = msgspec.UNSET


class EntityTracker:
    """Follows the entities of one dialogue.

    Call :meth:`observe_turn` with what is known of a turn before the system acts, then :meth:`delexicalise` or :meth:`fill` for
    the system's side. A tracker remembers at most 4,000 values of records, those of the newest ones, and looks at the first
    1,000 records of a context.

    Parameters
    ----------
    gazetteer
        Entity type to values.
    """

    def __init__(self, gazetteer: Mapping[str, tuple[str, ...]] | Gazetteer | None = None) -> None:
        self._static = gazetteer if isinstance(gazetteer, Gazetteer) else static_gazetteer(gazetteer or {})
        self._local = Gazetteer()
        self._requested: dict[str, str] = {}
        self._records: dict[str, dict[str, str]] = {}
        self._order: list[str] = []
        self._offered: dict[str, None] = {}
        self._at_hand: str | None = None
        self._n_results: int | None = None

    @property
    def n_results(self) -> int | None:
        """How many records the last results have; None before there are any results."""
        return self._n_results

    def observe_turn(self, system_before: str, user: str, context: Mapping[str, Any]) -> MarkedTurn:
        """Take in what is known of a turn before the system acts: what it said in the turn before, the user, the context."""
        system = self.observe_system(system_before)
        return MarkedTurn(self.observe_user(user, context), system, self.facts())

    def observe_user(self, user: str, context: Mapping[str, Any]) -> str:
        """Take in the user's utterance and what the system learnt; return it with ``_type_`` in the place of every value."""
        mentions = self._mentions(user)
        for mention in mentions:
            if mention.kind == NAME:
                self._at_hand = mention.value
            else:
                self._requested[mention.kind] = mention.value
        results = context.get("results")
        if isinstance(results, list) and all(isinstance(record, Mapping) for record in results):
            self._n_results = len(results)
            self._take(
                [{str(k): v for k, v in record.items() if isinstance(v, str)} for record in results[:_MOST_RECORDS]]
            )
        return _marked(user, mentions)

    def observe_system(self, system: str) -> str:
        """Take in what the system said; return it with ``_type_`` in the place of every value."""
        mentions = self._mentions(system)
        for mention in mentions:
            if mention.kind == NAME:
                self._offered[_key(mention.value)] = None
                self._at_hand = mention.value
        return _marked(system, mentions)

    def facts(self) -> frozenset[str]:
        """Say what is known now, without any value.

        Returns
        -------
        frozenset of str
            The types that the user gave a value of; ``"@hand"`` if a record is at hand; ``"@next"`` if there are results that
            were not offered yet, ``"@none"`` if there are results and all of them were offered.
        """
        facts = {*self._requested}
        if self._at_hand is not None:
            facts.add("@hand")
        if self._order:
            facts.add("@next" if self._next(self._offered) is not None else "@none")
        return frozenset(facts)

    def _mentions(self, text: str) -> list[Mention]:
        return find_mentions(text, self._local, self._static)

    def _take(self, results: Sequence[Mapping[str, str]]) -> None:
        self._order, self._offered = [], {}
        named = [record for record in results if NAME in record]
        # Records without names: the best one is at hand.
        fresh = [(_key(record[NAME]), record) for record in named] or [("", record) for record in results[:1]]
        n_fresh = sum(len(record) for _, record in fresh)
        if max(len(self._local), sum(map(len, self._records.values()))) + n_fresh > _MOST_VALUES:
            self._forget(_MOST_VALUES // 2 - n_fresh)
        for key, record in fresh:
            self._records.pop(key, None)
            self._records[key] = dict(record)
            self._add_values(record)
        self._order = [record[NAME] for record in named]
        if results and not named:
            self._at_hand = ""

    def _add_values(self, record: Mapping[str, str]) -> None:
        for kind, value in record.items():
            if len(self._local) < _MOST_VALUES:
                self._local.add(kind, value)

    def _forget(self, n_kept: int) -> None:
        """Keep the newest records that have so many values together; half of the limit at most, so that it happens seldom."""
        kept: list[tuple[str, dict[str, str]]] = []
        for key, record in reversed(self._records.items()):
            n_kept -= len(record)
            if n_kept < 0:
                break
            kept.append((key, record))
        self._records, self._local = dict(reversed(kept)), Gazetteer()
        for record in self._records.values():
            self._add_values(record)

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
        mentions = self._mentions(text)
        kinds = self._refillable(mentions) if refillable else self._all(mentions)
        return mark(text, mentions, [None if kind is None else f"<{kind}>" for kind in kinds])

    def _refillable(self, mentions: Sequence[Mention]) -> list[str | None]:
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

    def _all(self, mentions: Sequence[Mention]) -> list[str | None]:
        values: dict[str, set[str]] = {}
        for mention in mentions:
            values.setdefault(mention.kind, set()).add(mention.value)
        listed = {kind for kind, own in values.items() if len(own) > 2 and own == self._static.values.get(kind)}
        return [None if mention.kind in listed else mention.kind for mention in mentions]

    def fill(self, template: str) -> str | None:
        """Put values in the place of ``<type>``; None where the dialogue so far has no value for one of them."""
        places = placeholders_of(template)
        if not places:
            return template
        values = [value for value in self._values(places) if value is not None]
        return with_values(template, values) if len(values) == len(places) else None

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
            if place in (NUMBER, NUMBER_IN_WORDS) and self._n_results is not None:
                values.append(str(self._n_results) if place == NUMBER else number_in_words(self._n_results))
                continue
            name = self._at_hand if first is None else names[max(i, first)]
            attribute = self._records.get(_key(name or ""), {}).get(place)
            requested = self._requested.get(place)
            values.append((requested or attribute) if first is None else (attribute or requested))
        return values

    def state(self) -> dict[str, Any]:
        """Return the tracker's state as a JSON object."""
        return {
            "asked": dict(self._requested),
            "records": {name: dict(record) for name, record in self._records.items()},
            "order": list(self._order),
            "offered": list(self._offered),
            "at_hand": self._at_hand,
            "values": self._local.added,
            "n_results": self._n_results,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Undo :meth:`state`.

        Raises
        ------
        ValueError
            If this is not the state of a tracker.
        """
        saved = msgspec.convert(state, _State)
        self._requested, self._records = saved.asked, saved.records
        # Values of records that are not known any more are found in what is said, too: in the same order as before.
        self._local = Gazetteer()
        for kind, value in saved.values[-_MOST_VALUES:]:
            self._local.add(kind, value)
        self._order, self._offered = saved.order, dict.fromkeys(saved.offered)
        self._at_hand = saved.at_hand
        # Sessions that earlier versions saved do not say it.
        self._n_results = (len(self._order) or None) if saved.n_results is msgspec.UNSET else saved.n_results
