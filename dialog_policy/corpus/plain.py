"""Dialogues as a file would give them, whatever Python put into them: contexts of JSON values, sets of names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Set
from typing import Any

import msgspec
import numpy as np

from dialog_policy.corpus.dialogue import Dialogue, Turn
from dialog_policy.errors import CorpusError

__all__ = ["PlainDialogues", "json_object", "plain_dialogue", "plain_dialogues"]

# Floats are looked at: NaN and infinities are none of JSON's.
_SIMPLE = frozenset((str, int, bool, type(None)))


class PlainDialogues(tuple[Dialogue, ...]):
    """Dialogues that are known to be as JSON has them: what :func:`plain_dialogues` returns, a part of it, or what readers give."""

    __slots__ = ()


def plain_dialogues(dialogues: Iterable[Dialogue]) -> PlainDialogues:
    """Return dialogues as :func:`plain_dialogue` does; what is known to be plain is not looked at again."""
    if isinstance(dialogues, PlainDialogues):
        return dialogues
    seen: dict[int, object] = {}
    return PlainDialogues(plain_dialogue(dialogue, seen) for dialogue in dialogues)


def plain_dialogue(dialogue: Dialogue, seen: dict[int, object]) -> Dialogue:
    """Return a dialogue as it would be after a journey through JSON, itself if it is so already.

    A context may have tuples, sets, dates, dataclasses and whatever else JSON can express, and actions may be any collection of
    names. Training, evaluation and a session must see the same in them.

    Parameters
    ----------
    dialogue
        The dialogue.
    seen
        Gets contexts, what they consist of, and sets of actions by their ``id``, so that those which turns share are looked at
        once.

    Raises
    ------
    CorpusError
        If something in a turn cannot be expressed in JSON, or its texts or actions are none.
    """
    changed: dict[int, Turn] = {}
    for number, turn in enumerate(dialogue.turns):
        context, actions = turn.context, turn.actions
        if (
            (id(context) in seen or _is_plain_context(context, seen))
            and (actions is None or id(actions) in seen or _are_plain_actions(actions, seen))
            and isinstance(turn.user, str)
            and isinstance(turn.system, str)
        ):
            continue
        try:
            changed[number] = _plain_turn(turn)
        except (TypeError, ValueError) as error:
            raise CorpusError(f"{error}.", dialogue=dialogue.id, turn=number) from None
    if not changed:
        return dialogue
    turns = tuple(changed.get(number, turn) for number, turn in enumerate(dialogue.turns))
    return msgspec.structs.replace(dialogue, turns=turns)


def json_object(value: object) -> dict[str, Any]:
    """Return a context as it is after a journey through JSON.

    Raises
    ------
    ValueError
        If it is no object that JSON can express.
    """
    try:
        plain = msgspec.json.decode(msgspec.json.encode(value))
        # Nearly every context is as JSON has it. What is not differs from its JSON: tuples and sets from lists, NaN from null.
        if type(plain) is dict and plain == value:
            return plain
    except (TypeError, ValueError, RecursionError, OverflowError):
        pass
    try:
        plain = msgspec.json.decode(msgspec.json.encode(_in_json(value, "it")))
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise ValueError(f"a context must be a JSON object, with JSON values only: {error}") from None
    if not isinstance(plain, dict):
        raise ValueError(f"expected a context as a JSON object, found {str(value)[:60]!r}")
    return plain


def _in_json(value: Any, place: str) -> Any:
    """Return what JSON has for a value, such as lists for sets, whose order Python makes anew in every process.

    Parameters
    ----------
    value
        The value.
    place
        What it is called in messages.
    """
    if type(value) in _SIMPLE or type(value) is float:
        return value
    if isinstance(value, Mapping):
        return {key: _in_json(inner, f"the key {key!r}") for key, inner in value.items()}
    if isinstance(value, Set):
        try:
            return msgspec.json.decode(msgspec.json.encode(set(value), order="deterministic"))
        except TypeError:
            raise ValueError(f"{place} has a set whose values cannot be sorted. Write a list") from None
    if isinstance(value, list | tuple):
        return [_in_json(inner, place) for inner in value]
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    try:
        return msgspec.json.decode(msgspec.json.encode(value))
    except TypeError:
        raise ValueError(f"{place} has a {type(value).__name__}, which JSON cannot express") from None


def _is_plain_context(context: object, seen: dict[int, object]) -> bool:
    try:
        return type(context) is dict and (not context or _is_plain(context, seen))
    except RecursionError:
        return True  # nobody looks so deep


def _is_plain(value: Any, seen: dict[int, object]) -> bool:
    kind = type(value)
    if kind is dict:
        if id(value) not in seen:
            for key, inner in value.items():
                if type(key) is not str or (type(inner) not in _SIMPLE and not _is_plain(inner, seen)):
                    return False
            seen[id(value)] = value
        return True
    if kind is list:
        return all(type(inner) in _SIMPLE or _is_plain(inner, seen) for inner in value)
    return kind in _SIMPLE or (kind is float and math.isfinite(value))


def _are_plain_actions(actions: object, seen: dict[int, object]) -> bool:
    if type(actions) is not frozenset or not all(isinstance(name, str) for name in actions):
        return False
    seen[id(actions)] = actions
    return True


def _plain_turn(turn: Turn) -> Turn:
    for name, text in (("user", turn.user), ("system", turn.system)):
        if not isinstance(text, str):
            raise ValueError(f"expected a text as {name!r}, found {str(text)[:60]!r}")
    actions: Any = turn.actions
    if isinstance(actions, str):
        raise ValueError(f"expected a set of names as 'actions', found the text {actions!r}. Write {{{actions!r}}}")
    if actions is not None:
        names = list(actions) if isinstance(actions, Iterable) else [actions]
        if strange := [name for name in names if not isinstance(name, str)]:
            raise ValueError(f"expected names of actions, found {str(strange[0])[:60]!r}")
        actions = frozenset(names)
    return msgspec.structs.replace(turn, context=json_object(turn.context), actions=actions)
