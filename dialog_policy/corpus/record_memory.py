"""The records that a dialogue has brought, of which the newest are remembered, and what training knew of others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from dialog_policy.corpus.corpus import Corpus
from dialog_policy.corpus.gazetteer import Gazetteer, find_mentions, static_gazetteer
from dialog_policy.corpus.placeholders import NAME

__all__ = ["KnownRecords", "RecordMemory", "UnlistedValues", "record_key", "unlisted_values"]

# A dialogue remembers so many values of the newest records.
MOST_VALUES = 4_000

KnownRecords = Mapping[str, Mapping[str, str]]
"""Key of a name (:func:`record_key`) to the record's attributes."""

_NONE: KnownRecords = MappingProxyType({})


UnlistedValues = Mapping[str, frozenset[str]]
"""Entity type to values that users of the training part asked for, and none of its records has."""

# A value is unlisted if users of so many dialogues asked for it.
_FEWEST = 2


def unlisted_values(corpus: Corpus) -> dict[str, frozenset[str]]:
    """Return what users of the training part asked for, twice at least, and no record in a context has, by type.

    Types of which no record has a value at all are left out, and so are names.
    """
    asked: Counter[tuple[str, str]] = Counter()
    listed: set[tuple[str, str]] = set()
    static, no_records = static_gazetteer(corpus.gazetteer), Gazetteer()
    for dialogue in corpus if corpus.gazetteer else ():
        asked_here: set[tuple[str, str]] = set()
        for turn in dialogue.turns:
            asked_here.update((mention.kind, mention.value) for mention in find_mentions(turn.user, no_records, static))
            results = turn.context.get("results")
            for record in results if isinstance(results, list) else ():
                if isinstance(record, Mapping):
                    listed.update((kind, value) for kind, value in record.items() if isinstance(value, str))
        asked.update(asked_here)
    kinds = {kind for kind, _ in listed} - {NAME}
    unlisted: dict[str, set[str]] = {}
    for (kind, value), count in asked.items():
        if count >= _FEWEST and kind in kinds and (kind, value) not in listed:
            unlisted.setdefault(kind, set()).add(value)
    return {kind: frozenset(values) for kind, values in unlisted.items()}


def record_key(name: str) -> str:
    """One key for the ways to write a name: ``the_oak`` is "The oak"."""
    return name.casefold().replace("_", " ")


class RecordMemory:
    """Records by the key of their name, and where texts mention their values.

    Parameters
    ----------
    known
        Records of the training part: asked where the dialogue has not brought an attribute of a record itself.

    Attributes
    ----------
    records
        What the dialogue has brought; the record without a name has the key ``""``.
    values
        A gazetteer of their values.
    """

    def __init__(self, known: KnownRecords = _NONE) -> None:
        self._known = known
        self.records: dict[str, dict[str, str]] = {}
        self.values = Gazetteer()

    def attribute(self, name: str, kind: str) -> str | None:
        """Return an attribute of the record with a name."""
        key = record_key(name)
        own = self.records.get(key, {}).get(kind)
        return own if own is not None else self._known.get(key, {}).get(kind)

    def take(self, fresh: Sequence[tuple[str, Mapping[str, str]]]) -> None:
        """Remember records by their keys; where there are too many values, the oldest are forgotten."""
        n_fresh = sum(len(record) for _, record in fresh)
        if max(len(self.values), sum(map(len, self.records.values()))) + n_fresh > MOST_VALUES:
            self._forget(MOST_VALUES // 2 - n_fresh)
        for key, record in fresh:
            before = self.records.pop(key, None)
            self.records[key] = dict(record)
            if before != record:
                self._add_values(record)

    def restore(self, records: dict[str, dict[str, str]], values: Sequence[tuple[str, str]]) -> None:
        """Take what a saved session had: values of records that are not known any more are found, too, in the same order."""
        self.records, self.values = records, Gazetteer()
        for kind, value in values[-MOST_VALUES:]:
            self.values.add(kind, value)

    def _add_values(self, record: Mapping[str, str]) -> None:
        for kind, value in record.items():
            if len(self.values) < MOST_VALUES:
                self.values.add(kind, value)

    def _forget(self, n_kept: int) -> None:
        """Keep the newest records that have so many values together; half of the limit at most, so that it happens seldom."""
        kept: list[tuple[str, dict[str, str]]] = []
        for key, record in reversed(self.records.items()):
            n_kept -= len(record)
            if n_kept < 0:
                break
            kept.append((key, record))
        self.records, self.values = dict(reversed(kept)), Gazetteer()
        for record in self.records.values():
            self._add_values(record)
