"""The records that a dialogue has brought, of which the newest are remembered, and what training knew of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from dialog_policy.corpus.gazetteer import Gazetteer

__all__ = ["KnownRecords", "RecordMemory", "record_key"]

# A dialogue remembers so many values of the newest records.
MOST_VALUES = 4_000

KnownRecords = Mapping[str, Mapping[str, str]]
"""Key of a name (:func:`record_key`) to the record's attributes."""

_NONE: KnownRecords = MappingProxyType({})


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
            self.records.pop(key, None)
            self.records[key] = dict(record)
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
