"""What is encoded of a turn: hashable values, so that equal ones are encoded once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from dialog_policy.corpus.entity_tracker import MarkedTurn
from dialog_policy.errors import CorpusError
from dialog_policy.text.tokens import finite

__all__ = ["START", "TurnValues", "context_key", "turn_values"]

# The "previous actions" of a dialogue's first turn.
START = "start"


class TurnValues(NamedTuple):
    """What is encoded of a turn, one hashable value a part of :attr:`TurnEncoder.layout`, in the same order."""

    user: str
    system: str
    context: str
    known: frozenset[str]
    actions: frozenset[str] | str | None


def context_key(context: Mapping[str, Any]) -> str:
    """Return canonical JSON of a context: equal contexts have equal keys.

    Raises
    ------
    CorpusError
        If it has something that JSON has not.
    """
    if not context:
        return "{}"
    try:
        return msgspec.json.encode(context, order="deterministic").decode()
    except (TypeError, UnicodeEncodeError) as error:
        raise CorpusError(f"expected a context of JSON values: {error}.") from None
    except ValueError:  # Python spells no integer of more than 4,300 digits
        return msgspec.json.encode(_bounded(context), order="deterministic").decode()


def _bounded(value: Any) -> Any:
    """Put the largest number that there is in the place of integers beyond it."""
    if isinstance(value, Mapping):
        return {key: _bounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_bounded(inner) for inner in value]
    return finite(value) if isinstance(value, int) and not isinstance(value, bool) else value


def turn_values(marked: MarkedTurn, context: Mapping[str, Any], before: frozenset[str] | str | None) -> TurnValues:
    """Return what is encoded of a turn; `marked` has its texts, with their values in place where entities are left alone."""
    return TurnValues(marked.user, marked.system, context_key(context), marked.facts, before)
