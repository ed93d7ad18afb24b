"""What a dialogue has said so far about entities: values to templates, and templates to values again.

An :class:`EntityTracker` follows one dialogue. It knows the values of a gazetteer and those of the records in the context
(``context["results"]``, a list of objects, the best first), remembers what the user asked for, which records were offered
and which one is at hand.

In a template ``<name>`` is the next record that was not offered yet, ``<name_at_hand>`` the one last offered or named,
``<number_of_results>`` and ``<number_of_results_in_words>`` say how many records the last results have. Any other ``<type>``
is an attribute of the record that the template names, or else the value that the user gave last, or else an attribute of the
record at hand. Attributes of a record that the dialogue has not brought are those that the training part knew.

One module of more than 300 lines: taking values out of texts and putting them in again must agree about every one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec

from dialog_policy.corpus.action_slots import slots_in
from dialog_policy.corpus.gazetteer import Entries, Gazetteer, Mention, find_mentions, mark, static_gazetteer
from dialog_policy.corpus.placeholders import (
    AT_HAND,
    NAME,
    NUMBER,
    NUMBER_IN_WORDS,
    number_in_words,
    placeholders_of,
    with_values,
)
from dialog_policy.corpus.record_memory import KnownRecords, RecordMemory, UnlistedValues, record_key

__all__ = ["EntityTracker", "MarkedTurn", "Refilled"]

# Of one context so many records, the first, are looked at.
_MOST_RECORDS = 1_000


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


class Refilled(NamedTuple):
    """A text with a placeholder in the place of every value that :meth:`EntityTracker.delexicalise` replaces in a label.

    Attributes
    ----------
    template
        The text; a name that is neither the next nor at hand is ``<name>``.
    written
        The values in its placeholders' places.
    refillable
        Whether :meth:`EntityTracker.fill` puts them there.
    """

    template: str
    written: tuple[str, ...]
    refillable: tuple[bool, ...]


def _marked(text: str, mentions: Sequence[Mention]) -> str:
    return mark(text, mentions, [f"_{mention.kind}_" for mention in mentions])


class _State(msgspec.Struct):
    """What :meth:`EntityTracker.state` returns."""

    asked: dict[str, str]
    records: dict[str, dict[str, str]]
    order: list[str]
    offered: list[str]
    at_hand: str | None
    values: list[tuple[str, str]]
    n_results: Annotated[int, msgspec.Meta(ge=0)] | msgspec.UnsetType | None = msgspec.UNSET
    heard: str = ""
    has_new_records: bool = False
    named_slots: list[str] = []


class EntityTracker:
    """Follows the entities of one dialogue.

    Call :meth:`observe_turn` with what is known of a turn before the system acts, then :meth:`refilled` or :meth:`fill` for
    the system's side. A tracker remembers at most 4,000 values of records, those of the newest ones, and looks at the first
    1,000 records of a context.

    Parameters
    ----------
    gazetteer
        Entity type to values.
    known
        The records of the training part.
    slots
        Slots in the names of actions that a context may name.
    unlisted
        Values that users of the training part asked for and none of its records has: asking for one is a fact.

    Attributes
    ----------
    heard
        The user's last utterance with ``_type_`` in the place of every value.
    has_new_records
        Whether the context of the last turn has records.
    named_slots
        Which of the slots a context so far has as a key.
    """

    def __init__(
        self,
        gazetteer: Entries | Gazetteer | None = None,
        known: KnownRecords | None = None,
        slots: frozenset[str] = frozenset(),
        unlisted: UnlistedValues | None = None,
    ) -> None:
        self._static = gazetteer if isinstance(gazetteer, Gazetteer) else static_gazetteer(gazetteer or {})
        self._memory = RecordMemory(known or {})
        self.heard, self.has_new_records = "", False
        self._unlisted = unlisted or {}
        self._slots, self.named_slots = slots, set[str]()
        self._requested: dict[str, str] = {}
        # Names of the last results and their keys.
        self._order: list[tuple[str, str]] = []
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
        mentions = find_mentions(user, self._memory.values, self._static)
        for mention in mentions:
            if mention.kind == NAME:
                self._at_hand = mention.value
            else:
                self._requested[mention.kind] = mention.value
        results = context.get("results")
        self.has_new_records = False
        if isinstance(results, list) and all(isinstance(record, Mapping) for record in results):
            self._n_results = len(results)
            self.has_new_records = bool(results)
            self._take(
                [{str(k): v for k, v in record.items() if isinstance(v, str)} for record in results[:_MOST_RECORDS]]
            )
        if self._slots:
            self.named_slots |= slots_in(context, self._slots)
        self.heard = _marked(user, mentions) if mentions else user
        return self.heard

    def observe_system(self, system: str) -> str:
        """Take in what the system said; return it with ``_type_`` in the place of every value."""
        mentions = find_mentions(system, self._memory.values, self._static)
        if not mentions:
            return system
        for mention in mentions:
            if mention.kind == NAME:
                self._offered[record_key(mention.value)] = None
                self._at_hand = mention.value
        return _marked(system, mentions)

    def facts(self) -> frozenset[str]:
        """Say what is known now, without any value.

        Returns
        -------
        frozenset of str
            The types that the user gave a value of; ``"@unlisted <type>"`` where users of the training part asked
            for that value, too, and none of its records has it; ``"@hand"`` if a record is at hand; ``"@next"`` if there are results that
            were not offered yet, ``"@none"`` if there are results and all of them were offered.
        """
        facts = {*self._requested}
        if self._unlisted:
            for kind, value in self._requested.items():
                if value in self._unlisted.get(kind, ()):
                    facts.add(f"@unlisted {kind}")
        if self._at_hand is not None:
            facts.add("@hand")
        if self._order:
            facts.add("@next" if self._next(self._offered) is not None else "@none")
        return frozenset(facts)

    def mentions(self, text: str) -> list[Mention]:
        """Return the values of the gazetteer and of the dialogue's records in a text, from left to right."""
        return find_mentions(text, self._memory.values, self._static)

    def _take(self, results: Sequence[Mapping[str, str]]) -> None:
        self._order, self._offered = [], {}
        named = [record for record in results if NAME in record]
        # Records without names: the best one is at hand.
        order = [(record[NAME], record_key(record[NAME])) for record in named]
        self._memory.take(
            [(key, record) for (_, key), record in zip(order, named, strict=True)]
            or [("", record) for record in results[:1]]
        )
        self._order = order
        if results and not named:
            self._at_hand = ""

    def delexicalise(self, text: str) -> str:
        """Replace the values in a text by ``<type>``, for labels: every name by ``<name>``.

        A list of all the values of a type ("cheap, moderate, or expensive") stays as it is.
        """
        mentions = self.mentions(text)
        return mark(text, mentions, [None if kind is None else f"<{kind}>" for kind in self._kinds(mentions)])

    def refilled(self, text: str) -> Refilled:
        """Replace all values in a text, and say which of them :meth:`fill` would put back."""
        mentions = self.mentions(text)
        offered, at_hand = dict(self._offered), self._at_hand
        places = self._kinds(mentions)
        for number, mention in enumerate(mentions):
            if mention.kind != NAME:
                continue
            if mention.written == at_hand:
                places[number] = AT_HAND
            elif mention.written == (fresh := self._next(offered)):
                offered[record_key(mention.written)], at_hand = None, fresh
        kept = [(place, mention.written) for place, mention in zip(places, mentions, strict=True) if place is not None]
        values = self._values([place for place, _ in kept])
        return Refilled(
            mark(text, mentions, [None if place is None else f"<{place}>" for place in places]),
            tuple(written for _, written in kept),
            tuple(value == written for value, (_, written) in zip(values, kept, strict=True)),
        )

    def knows_two_records(self) -> bool:
        """Whether a record is at hand and another one was not offered yet: a reply may name either."""
        return bool(self._at_hand) and self._next(self._offered) not in (None, self._at_hand)

    def _kinds(self, mentions: Sequence[Mention]) -> list[str | None]:
        values: dict[str, set[str]] = {}
        for mention in mentions:
            values.setdefault(mention.kind, set()).add(mention.value)
        unlisted = {kind for kind, own in values.items() if len(own) > 2 and own == self._static.values_of(kind)}
        return [None if mention.kind in unlisted else mention.kind for mention in mentions]

    def fill(self, template: str) -> str | None:
        """Put values in the place of ``<type>``; None where the dialogue so far has no value for one of them."""
        places = placeholders_of(template)
        if not places:
            return template
        values = [value for value in self._values(places) if value is not None]
        return with_values(template, values) if len(values) == len(places) else None

    def _next(self, offered: Mapping[str, None]) -> str | None:
        """Name of the first record that was not offered."""
        for name, key in self._order:
            if key not in offered:
                return name
        return None

    def _values(self, places: Sequence[str]) -> list[str | None]:
        """Say what the placeholders of one template stand for, in their order."""
        offered, at_hand = dict(self._offered), self._at_hand
        names: list[str | None] = []
        for place in places:
            if place == NAME and (fresh := self._next(offered)) is not None:
                offered[record_key(fresh)], at_hand = None, fresh
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
            attribute = self._memory.attribute(name or "", place)
            requested = self._requested.get(place)
            values.append((requested or attribute) if first is None else (attribute or requested))
        return values

    def state(self) -> dict[str, Any]:
        """Return the tracker's state as a JSON object."""
        return {
            "asked": dict(self._requested),
            "records": {name: dict(record) for name, record in self._memory.records.items()},
            "order": [name for name, _ in self._order],
            "offered": list(self._offered),
            "at_hand": self._at_hand,
            "values": self._memory.values.added,
            "n_results": self._n_results,
            "heard": self.heard,
            "has_new_records": self.has_new_records,
            "named_slots": sorted(self.named_slots),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Undo :meth:`state`.

        Raises
        ------
        ValueError
            If this is not the state of a tracker.
        """
        saved = msgspec.convert(state, _State)
        self._requested = saved.asked
        self._memory.restore(saved.records, saved.values)
        self.heard, self.has_new_records = saved.heard, saved.has_new_records
        self.named_slots = set(saved.named_slots)
        self._order = [(name, record_key(name)) for name in saved.order]
        self._offered = dict.fromkeys(saved.offered)
        self._at_hand = saved.at_hand
        # Sessions that earlier versions saved do not say it.
        self._n_results = (len(self._order) or None) if saved.n_results is msgspec.UNSET else saved.n_results
