"""One turn to one feature vector: what the user said, what the system learnt, what the system did before.

The same object encodes a corpus for training and evaluation and a single turn for serving.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from dialog_policy.corpus import ActionSpace
from dialog_policy.corpus.entity_tracker import EntityTracker, MarkedTurn
from dialog_policy.corpus.gazetteer import Entries
from dialog_policy.corpus.record_memory import UnlistedValues
from dialog_policy.errors import OptionError
from dialog_policy.features.turn_values import START, TurnValues, turn_values
from dialog_policy.text.counts import BIT
from dialog_policy.text.embedding import TrainableTable
from dialog_policy.text.sentence_table import SentenceTable, Table, read_table
from dialog_policy.text.table import FloatArray
from dialog_policy.text.tokens import context_terms, get_tokenizer

__all__ = ["TurnEncoder"]

_NOTHING: frozenset[str] = frozenset()
# Before the names of the arrays of a sentence model.
_SENTENCE = "sentence."


class _Tables(msgspec.Struct):
    user: list[dict[str, Any]]
    system: list[dict[str, Any]]
    context: list[dict[str, Any]]


class _Stored(msgspec.Struct):
    """The JSON object of an encoder."""

    tokenizer: str
    words: list[str]
    tables: _Tables
    facts: list[str] | None
    unlisted: dict[str, frozenset[str]] = {}


class TurnEncoder:
    """Encodes turns as vectors of `dim` features.

    The features are, in this order: the user's utterance, the system's previous utterance, the context, what is known of
    entities, the system's previous actions. An utterance has two features of its own (it is empty; share of its words that the
    training part does not have at least twice) before those of its tables; a context has one (it is empty). What is known of
    entities are bits (:meth:`~dialog_policy.corpus.entity_tracker.EntityTracker.facts`): then utterances are encoded with each
    value replaced by its type, so that a value never seen before is no obstacle. The previous actions are bits, after one bit
    for "this is the first turn" and one for "the turn before has no annotated actions".

    Parameters
    ----------
    actions
        The actions, for the bits of the previous ones.
    user, system, context
        Fitted tables; their vectors are concatenated.
    words
        The words of the training part that occur at least twice.
    tokenizer
        Name of the tokeniser.
    facts
        What may be known of entities; None: entities are left alone.
    gazetteer
        Entity type to values, to find entities in what is said.
    unlisted
        Values that users of the training part asked for and none of its records has.

    Raises
    ------
    OptionError
        If the tokeniser is not known, or the tables have several sentence models.
    """

    def __init__(
        self,
        actions: ActionSpace,
        *,
        user: Sequence[Table],
        system: Sequence[Table],
        context: Sequence[Table],
        words: Iterable[str],
        tokenizer: str = "default",
        facts: Iterable[str] | None = None,
        gazetteer: Entries | None = None,
        unlisted: UnlistedValues | None = None,
    ) -> None:
        self.actions = actions
        self.facts = None if facts is None else {fact: bit for bit, fact in enumerate(sorted(facts))}
        self.gazetteer, self.unlisted = gazetteer or {}, dict(unlisted or {})
        self.tables: dict[str, tuple[Table, ...]] = {
            "user": tuple(user),
            "system": tuple(system),
            "context": tuple(context),
        }
        models = {table.model for own in self.tables.values() for table in own if isinstance(table, SentenceTable)}
        if len(models) > 1:
            raise OptionError("expected one sentence model for all parts of a turn, found several.")
        self.words = frozenset(words)
        self.tokenizer = tokenizer
        self._tokenize = get_tokenizer(tokenizer)

    @property
    def layout(self) -> dict[str, int]:
        """Number of features of each part, in their order."""
        widths = {name: sum(table.dim for table in tables) for name, tables in self.tables.items()}
        return {
            "user": 2 + widths["user"],
            "system": 2 + widths["system"],
            "context": 1 + widths["context"],
            "known": len(self.facts or ()),
            "actions": 2 + len(self.actions),
        }

    @property
    def dim(self) -> int:
        """Number of features of a turn."""
        return sum(self.layout.values())

    def values(
        self,
        tracker: EntityTracker,
        user: str,
        context: Mapping[str, Any],
        system: str,
        before: frozenset[str] | str | None,
    ) -> TurnValues:
        """Take in the user's side of a turn and return what is encoded of it, one value a part of :attr:`layout`.

        Parameters
        ----------
        tracker
            What the dialogue has said of entities. It observes what the system said in the turn before, then this turn, whether
            the features show entities or not: replies are worded by it.
        user, context
            The turn's.
        system, before
            What the system said and did in the turn before: nothing and :data:`START` at the start; None if its actions are
            not known.
        """
        marked = tracker.observe_turn(system, user, context)
        return turn_values(marked if self.facts is not None else MarkedTurn(user, system, _NOTHING), context, before)

    def encode_values(self, part: str, values: Sequence[str]) -> FloatArray:
        """Encode utterances (part ``"user"`` or ``"system"``) or the keys of contexts: shape (n_values, layout[part])."""
        terms, flags = self.terms_and_flags(part, values)
        return np.concatenate([flags, *(table.encode(terms) for table in self.tables[part])], axis=1)

    def terms_and_flags(
        self, part: str, values: Sequence[str], terms: Sequence[list[str]] | None = None
    ) -> tuple[Sequence[list[str]], FloatArray]:
        """Return the terms of utterances or contexts for the part's tables, and the features before those of the tables.

        `terms` spares finding them, where they are known.
        """
        own_terms = terms or [self.terms(part, value) for value in values]
        own = self.layout[part] - sum(table.dim for table in self.tables[part])
        return own_terms, np.array([self.flags(part, item) for item in own_terms], dtype=np.float32).reshape(-1, own)

    def encode_actions(self, before: Sequence[frozenset[str] | str | None]) -> FloatArray:
        """Encode the actions of the turn before: shape (n, layout["actions"]).

        Each is a set, None (the turn before has no annotation) or :data:`START`.
        """
        flags = np.array([[item == START, item is None] for item in before], dtype=np.float32).reshape(len(before), 2)
        sets = [frozenset() if item is None or isinstance(item, str) else item for item in before]
        bits: FloatArray = np.concatenate([flags, self.actions.transform(sets)], axis=1) * np.float32(BIT)
        return bits

    def encode_known(self, known: Sequence[frozenset[str]]) -> FloatArray:
        """Encode what is known of entities: shape (n, layout["known"])."""
        facts = self.facts or {}
        bits = np.zeros((len(known), len(facts)), dtype=np.float32)
        for row, own in enumerate(known):
            bits[row, [facts[fact] for fact in own if fact in facts]] = BIT
        return bits

    def terms(self, part: str, value: str) -> list[str]:
        """Return the terms of an utterance or of the key of a context, for the tables of its part."""
        return context_terms(msgspec.json.decode(value)) if part == "context" else self._tokenize(value)

    def flags(self, part: str, terms: Sequence[str]) -> tuple[float, ...]:
        """Return the features of an utterance or a context before those of its tables."""
        if part == "context":
            return (float(not terms),)
        return (0.0, (len(terms) - sum(map(self.words.__contains__, terms))) / len(terms)) if terms else (1.0, 0.0)

    def trainable(self, part: str) -> list[tuple[int, TrainableTable]]:
        """Return the tables of a part that the network's training changes, each with its first column in the part."""
        tables = self.tables.get(part, ())
        starts = np.cumsum([self.layout[part] - sum(table.dim for table in tables), *(table.dim for table in tables)])
        placed = zip(starts.tolist(), tables, strict=False)
        return [(start, table) for start, table in placed if isinstance(table, TrainableTable)]

    def encode(self, part: str, values: Sequence[Any]) -> FloatArray:
        """Encode many values of one part of :attr:`layout`: shape (n_values, layout[part])."""
        if part == "actions":
            return self.encode_actions(values)
        return self.encode_known(values) if part == "known" else self.encode_values(part, values)

    def to_parts(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return what a run folder stores: a JSON object and named arrays (the actions are stored elsewhere)."""
        described: dict[str, Any] = {"tokenizer": self.tokenizer, "words": sorted(self.words), "tables": {}}
        described["facts"] = None if self.facts is None else list(self.facts)
        described["unlisted"] = {kind: sorted(values) for kind, values in sorted(self.unlisted.items())}
        arrays: dict[str, npt.NDArray[Any]] = {}
        for field, tables in self.tables.items():
            described["tables"][field] = []
            for number, table in enumerate(tables):
                description, own = table.to_parts()
                described["tables"][field].append(description)
                # Of a sentence model, which is large, all tables of an encoder share one copy.
                place = _SENTENCE if isinstance(table, SentenceTable) else f"{field}.{number}."
                arrays.update({f"{place}{name}": array for name, array in own.items()})
        return described, arrays

    @classmethod
    def from_parts(
        cls,
        described: Mapping[str, Any],
        arrays: Mapping[str, npt.NDArray[Any]],
        actions: ActionSpace,
        gazetteer: Entries | None = None,
    ) -> TurnEncoder:
        """Undo :meth:`to_parts`; the gazetteer is stored elsewhere, too.

        Raises
        ------
        ValueError
            If the parts do not fit together.
        OptionError
            If the tokeniser is not known.
        """
        stored = msgspec.convert(described, _Stored)
        if len(set(stored.facts or ())) != len(stored.facts or ()):
            raise ValueError("a fact occurs twice")
        tables: dict[str, list[Table]] = {}
        for field, descriptions in msgspec.structs.asdict(stored.tables).items():
            tables[field] = []
            for number, description in enumerate(descriptions):
                prefix = _SENTENCE if description.get("kind") == "sentence" else f"{field}.{number}."
                own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
                tables[field].append(read_table(description, own))
        return cls(
            actions,
            **tables,
            words=stored.words,
            tokenizer=stored.tokenizer,
            facts=stored.facts,
            gazetteer=gazetteer,
            unlisted=stored.unlisted,
        )
