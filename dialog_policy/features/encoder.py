"""One turn to one feature vector: what the user said, what the system learnt, what the system did before.

The same object encodes a corpus for training and evaluation and a single turn for serving.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
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

_CACHED_VALUES = 50_000


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
        self._user = lru_cache(_CACHED_VALUES)(lambda text: self.encode_texts("user", [text])[0])
        self._system = lru_cache(_CACHED_VALUES)(lambda text: self.encode_texts("system", [text])[0])
        self._context = lru_cache(_CACHED_VALUES)(lambda key: self.encode_contexts([key])[0])
        self._actions = lru_cache(_CACHED_VALUES)(lambda before: self.encode_actions([before])[0])

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

    def encode_texts(self, field: str, texts: Sequence[str]) -> FloatArray:
        """Encode utterances of `field` (``"user"`` or ``"system"``): shape (n_texts, layout[field])."""
        token_lists = [self._tokenize(text) for text in texts]
        flags = np.zeros((len(texts), 2), dtype=np.float32)
        for row, tokens in enumerate(token_lists):
            if tokens:
                flags[row, 1] = sum(token not in self.words for token in tokens) / len(tokens)
            else:
                flags[row, 0] = 1.0
        return np.concatenate([flags, *(table.encode(token_lists) for table in self.tables[field])], axis=1)

    def encode_contexts(self, keys: Sequence[str]) -> FloatArray:
        """Encode contexts given by :func:`context_key`: shape (n_contexts, layout["context"])."""
        term_lists = [context_terms(msgspec.json.decode(key)) for key in keys]
        flags = np.array([[not terms] for terms in term_lists], dtype=np.float32).reshape(len(keys), 1)
        return np.concatenate([flags, *(table.encode(term_lists) for table in self.tables["context"])], axis=1)

    def encode_actions(self, before: Sequence[frozenset[str] | str | None]) -> FloatArray:
        """Encode the actions of the turn before: shape (n, layout["actions"]).

        Each is a set, None (the turn before has no annotation) or :data:`START`.
        """
        flags = np.array([[item == START, item is None] for item in before], dtype=np.float32).reshape(len(before), 2)
        sets = [frozenset() if item is None or isinstance(item, str) else item for item in before]
        bits: FloatArray = np.concatenate([flags, self.actions.transform(sets)], axis=1) * np.float32(BIT)
        return bits

    def encode_turn(
        self, user: str, context: Mapping[str, Any], before: frozenset[str] | str | None, system: str
    ) -> FloatArray:
        """Encode one turn from its own user side and the system side of the turn before.

        Parameters
        ----------
        user, context
            Of this turn.
        before, system
            Actions (see :meth:`encode_actions`) and utterance of the system in the turn before; :data:`START` and an empty
            utterance at the first turn.

        Returns
        -------
        ndarray of shape (dim,), float32
            The same, to the bit, as the turn's row in an encoded corpus.
        """
        parts = [self._user(user), self._system(system), self._context(context_key(context)), self._actions(before)]
        return np.concatenate(parts)

    def columns(self) -> tuple[tuple[str, Callable[[Sequence[Any]], FloatArray]], ...]:
        """Return the parts in their order, each with the function that encodes many values of it."""

        def texts(field: str) -> Callable[[Sequence[Any]], FloatArray]:
            return lambda values: self.encode_texts(field, values)

        return (
            ("user", texts("user")),
            ("system", texts("system")),
            ("context", self.encode_contexts),
            ("actions", self.encode_actions),
        )

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
