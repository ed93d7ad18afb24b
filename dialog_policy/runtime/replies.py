"""Reply templates: for each action set the delexicalised utterances that the training part has most often."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from dialog_policy.corpus import Corpus
from dialog_policy.corpus.entity_tracker import EntityTracker
from dialog_policy.corpus.gazetteer import Entries
from dialog_policy.corpus.placeholders import AT_HAND, NAME
from dialog_policy.corpus.record_memory import KnownRecords
from dialog_policy.runtime.reply_templates import Templates, learn_replies
from dialog_policy.runtime.stored import stored_replies

__all__ = ["Replies"]


class Replies:
    """What the system says when it takes a set of actions.

    Parameters
    ----------
    templates
        Action set to templates, the most frequent first.
    gazetteer
        Entity type to values, for finding entities in what is said.
    with_new_records
        The templates of action sets that have others, or another order, in a turn whose context has records.
    records
        What the training part knew of records, for attributes that a dialogue has not brought itself.
    next_after, at_hand_after
        Utterances, with ``_type_`` in the place of values, after which a reply names the next record, and after which it
        names the one at hand, where the templates have both and the context has no records ("anything else?").
    """

    def __init__(
        self,
        templates: Mapping[frozenset[str], tuple[str, ...]],
        gazetteer: Entries,
        *,
        with_new_records: Mapping[frozenset[str], tuple[str, ...]] | None = None,
        records: KnownRecords | None = None,
        next_after: Collection[str] = (),
        at_hand_after: Collection[str] = (),
    ) -> None:
        self.templates = dict(templates)
        self.with_new_records = dict(with_new_records or {})
        self.gazetteer = {kind: tuple(values) for kind, values in gazetteer.items()}
        # Sorted: a record has the same bytes in a run, in whatever order a corpus names its attributes.
        self.records = {name: dict(sorted(record.items())) for name, record in (records or {}).items()}
        self._named_after = {**dict.fromkeys(next_after, f"<{NAME}>"), **dict.fromkeys(at_hand_after, f"<{AT_HAND}>")}

    @classmethod
    def fit(cls, corpus: Corpus, *, most: int = 3) -> Replies:
        """Collect of each action set the most frequent templates, `most` of them: see the module ``reply_templates``."""
        learnt = learn_replies(corpus, most)
        return cls(gazetteer=corpus.gazetteer, **learnt._asdict())

    def text(self, actions: frozenset[str], tracker: EntityTracker) -> str:
        """Return the reply for an action set: the first template in order that the dialogue so far can fill.

        The order is that of frequency in turns with, or without, new records. After an utterance that calls for the next
        record, or for the one at hand, templates that name it come first.

        A set that training never showed is answered by the templates of its actions one after the other; empty if nothing
        is known to say.
        """
        templates = self.templates.get(actions, ())
        if tracker.has_new_records:
            templates = self.with_new_records.get(actions, templates)
        elif (place := self._named_after.get(tracker.heard)) is not None:
            templates = tuple(sorted(templates, key=lambda template: place not in template))
        for template in templates:
            filled = tracker.fill(template)
            if filled is not None:
                return filled
        if len(actions) < 2:
            return ""
        parts = (self.text(frozenset([action]), tracker) for action in sorted(actions))
        return " ".join(part for part in parts if part)

    def to_json(self) -> dict[str, Any]:
        """Return what a run folder stores."""
        after = {
            place: sorted(u for u, p in self._named_after.items() if p == f"<{place}>") for place in (NAME, AT_HAND)
        }
        return {
            "templates": _listed(self.templates),
            "gazetteer": self.gazetteer,
            "with_new_records": _listed(self.with_new_records),
            "records": self.records,
            "next_after": after[NAME],
            "at_hand_after": after[AT_HAND],
        }

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> Replies:
        """Undo :meth:`to_json`.

        Raises
        ------
        ValueError
            If it is no such object.
        """
        stored = stored_replies(described)
        return cls(
            {frozenset(actions): said for actions, said in stored.templates},
            stored.gazetteer,
            with_new_records={frozenset(actions): said for actions, said in stored.with_new_records},
            records=stored.records,
            next_after=stored.next_after,
            at_hand_after=stored.at_hand_after,
        )


def _listed(templates: Templates) -> list[Any]:
    ordered = sorted(templates.items(), key=lambda item: sorted(item[0]))
    return [[sorted(actions), list(said)] for actions, said in ordered]
