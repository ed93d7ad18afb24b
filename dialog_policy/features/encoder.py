"""One turn to one feature vector: what the user said, what the system learnt, what the system did before.

The same object encodes a corpus for training and evaluation and a single turn for serving.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from dialog_policy.corpus import ActionSpace
from dialog_policy.text.counts import BIT
from dialog_policy.text.table import FloatArray, TermTable
from dialog_policy.text.tokens import context_terms, get_tokenizer

__all__ = ["START", "TurnEncoder", "context_key"]

# The "previous actions" of a dialogue's first turn.
START = "start"


def context_key(context: Mapping[str, Any]) -> str:
    """Canonical JSON of a context: equal contexts have equal keys."""
    return msgspec.json.encode(context, order="deterministic").decode()


class TurnEncoder:
    """Encodes turns as vectors of `dim` features.

    The features are, in this order: the user's utterance, the system's previous utterance, the context, the system's
    previous actions. An utterance has two features of its own (it is empty; share of its words that the training part does
    not have at least twice) before those of its tables; a context has one (it is empty); the previous actions are bits,
    after one bit for "this is the first turn" and one for "the turn before has no annotated actions".

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
    """

    def __init__(
        self,
        actions: ActionSpace,
        *,
        user: Sequence[TermTable],
        system: Sequence[TermTable],
        context: Sequence[TermTable],
        words: Iterable[str],
        tokenizer: str = "default",
    ) -> None:
        self.actions = actions
        self.tables: dict[str, tuple[TermTable, ...]] = {
            "user": tuple(user),
            "system": tuple(system),
            "context": tuple(context),
        }
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
            "actions": 2 + len(self.actions),
        }

    @property
    def dim(self) -> int:
        """Number of features of a turn."""
        return sum(self.layout.values())

    def encode_values(self, part: str, values: Sequence[str]) -> FloatArray:
        """Encode utterances (part ``"user"`` or ``"system"``) or the keys of contexts: shape (n_values, layout[part])."""
        found = [self._terms_and_flags(part, value) for value in values]
        flags = np.array([flags for _, flags in found], dtype=np.float32)
        terms = [terms for terms, _ in found]
        own = self.layout[part] - sum(table.dim for table in self.tables[part])
        return np.concatenate([flags.reshape(-1, own), *(t.encode(terms) for t in self.tables[part])], axis=1)

    def encode_actions(self, before: Sequence[frozenset[str] | str | None]) -> FloatArray:
        """Encode the actions of the turn before: shape (n, layout["actions"]).

        Each is a set, None (the turn before has no annotation) or :data:`START`.
        """
        flags = np.array([[item == START, item is None] for item in before], dtype=np.float32).reshape(len(before), 2)
        sets = [frozenset() if item is None or isinstance(item, str) else item for item in before]
        bits: FloatArray = np.concatenate([flags, self.actions.transform(sets)], axis=1) * np.float32(BIT)
        return bits

    def projector(self, part: str, matrix: FloatArray) -> Callable[[Any], FloatArray]:
        """Return a function from one value of a part to its features times a matrix of shape (layout[part], n).

        The same, but for rounding, as encoding the value and multiplying; quicker, since a few bits of thousands are looked
        up, not multiplied.
        """
        if part == "actions":
            return lambda before: self.encode_actions([before])[0] @ matrix
        tables = self.tables[part]
        own = self.layout[part] - sum(table.dim for table in tables)
        borders = np.cumsum([own, *(table.dim for table in tables)]).tolist()
        pieces = [matrix[start:end] for start, end in itertools.pairwise(borders)]
        dense = [table for table in tables if table.vectors is not None]
        bits = [(t, np.ascontiguousarray(m)) for t, m in zip(tables, pieces, strict=True) if t.vectors is None]
        kept = [matrix[:own], *(m for t, m in zip(tables, pieces, strict=True) if t.vectors is not None)]
        weights = np.concatenate(kept)
        places = [slice(start, end) for start, end in itertools.pairwise(np.cumsum([own, *(t.dim for t in dense)]))]

        def project(value: str) -> FloatArray:
            terms, flags = self._terms_and_flags(part, value)
            features = np.zeros(len(weights), dtype=np.float32)
            features[:own] = flags
            for table, place in zip(dense, places, strict=True):
                table.encode_into(features[place], terms)
            projected: FloatArray = features.dot(weights)
            for table, rows_of_bits in bits:
                rows, values = table.weighted_rows(terms)
                if len(rows):
                    projected += values.dot(rows_of_bits.take(rows, axis=0))
            return projected

        return project

    def _terms_and_flags(self, part: str, value: str) -> tuple[list[str], tuple[float, ...]]:
        """Return terms of an utterance or of a context's key for the tables, and the features beside the tables."""
        if part == "context":
            terms = context_terms(msgspec.json.decode(value))
            return terms, (float(not terms),)
        tokens = self._tokenize(value)
        if not tokens:
            return tokens, (1.0, 0.0)
        words = self.words
        return tokens, (0.0, sum(token not in words for token in tokens) / len(tokens))

    def encode(self, part: str, values: Sequence[Any]) -> FloatArray:
        """Encode many values of one part of :attr:`layout`: shape (n_values, layout[part])."""
        return self.encode_actions(values) if part == "actions" else self.encode_values(part, values)

    def to_parts(self) -> tuple[dict[str, Any], dict[str, FloatArray]]:
        """Return what a run folder stores: a JSON object and named arrays (the actions are stored elsewhere)."""
        described: dict[str, Any] = {"tokenizer": self.tokenizer, "words": sorted(self.words), "tables": {}}
        arrays: dict[str, FloatArray] = {}
        for field, tables in self.tables.items():
            described["tables"][field] = []
            for number, table in enumerate(tables):
                description, own = table.to_parts()
                described["tables"][field].append(description)
                arrays.update({f"{field}.{number}.{name}": array for name, array in own.items()})
        return described, arrays

    @classmethod
    def from_parts(
        cls, described: Mapping[str, Any], arrays: Mapping[str, FloatArray], actions: ActionSpace
    ) -> TurnEncoder:
        """Undo :meth:`to_parts`."""
        tables: dict[str, list[TermTable]] = {}
        for field, descriptions in described["tables"].items():
            tables[field] = []
            for number, description in enumerate(descriptions):
                prefix = f"{field}.{number}."
                own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
                tables[field].append(TermTable.from_parts(description, own))
        return cls(
            actions,
            user=tables["user"],
            system=tables["system"],
            context=tables["context"],
            words=described["words"],
            tokenizer=described["tokenizer"],
        )
