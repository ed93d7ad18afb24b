"""A dialogue as a line of JSON Lines, and as rows of a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from dialog_policy.corpus.bits import bits_of_actions
from dialog_policy.corpus.dialogue import Dialogue, Turn
from dialog_policy.corpus.readers.layout import SEPARATOR
from dialog_policy.errors import CorpusError

__all__ = ["native_line", "table_rows"]

_encode = msgspec.json.Encoder(order="deterministic").encode
# Characters that may separate actions in a cell (see the reader); a name that has one goes into a JSON list.
_SEPARATORS = frozenset("|,;\n")


def native_line(dialogue: Dialogue, bits: Sequence[str] = ()) -> bytes:
    """Return a dialogue as a line of JSON Lines, with its line end.

    Parameters
    ----------
    dialogue
        The dialogue.
    bits
        Names of the actions, where they are to be written as bit vectors; empty: they are written by their names.

    Raises
    ------
    CorpusError
        If a field of it has a name that JSON Lines need themselves, it has an infinite number, or an action has no bit.
    """
    return _encode(_described(dialogue, bits)) + b"\n"


def _vector(dialogue: Dialogue, number: int, bits: Sequence[str]) -> str | None:
    try:
        return bits_of_actions(dialogue.turns[number].actions, bits)
    except ValueError as error:
        raise CorpusError(f"{error}.", dialogue=dialogue.id, turn=number) from None


def _described(dialogue: Dialogue, bits: Sequence[str]) -> dict[str, Any]:
    reserved = sorted({"id", "turns", "split"} & set(dialogue.fields))
    if reserved:
        raise CorpusError(
            f"its field {reserved[0]!r} cannot be written, because the name is reserved.", dialogue=dialogue.id
        )
    described: dict[str, Any] = {"id": dialogue.id, **dialogue.fields}
    if dialogue.split is not None:
        described["split"] = dialogue.split
    _check_numbers(dialogue)
    described["turns"] = [_described_turn(turn) for turn in dialogue.turns]
    for number, turn in enumerate(described["turns"] if bits else ()):
        turn["actions"] = _vector(dialogue, number, bits)
    return described


def _check_numbers(dialogue: Dialogue) -> None:
    for number, turn in enumerate(dialogue.turns):
        for name, value in (("reward", turn.reward), ("propensity", turn.propensity)):
            if value is not None and math.isinf(value):
                message = f"its {name} is infinite, which no file of a corpus can express."
                raise CorpusError(
                    message, dialogue=dialogue.id, turn=number, remedy="Leave it out where it is unknown."
                )


def _described_turn(turn: Turn) -> dict[str, Any]:
    described: dict[str, Any] = {"user": turn.user}
    if turn.context:
        described["context"] = turn.context
    described["actions"] = None if turn.actions is None else sorted(turn.actions)
    described["system"] = turn.system
    for name in ("reward", "propensity"):
        if (value := getattr(turn, name)) is not None:
            described[name] = value
    return described


def _actions_cell(actions: frozenset[str] | None, separator: str) -> str:
    if actions is None:
        return "null"
    names = sorted(actions)
    # A name that the separated form could not give back goes into a JSON list.
    plain = all(name == name.strip() and name and not _SEPARATORS.intersection(name) for name in names)
    joined = separator.join(names)
    if plain and joined != "null" and not joined.startswith("["):
        return joined
    return _encode(names).decode()


def table_rows(
    dialogues: Iterable[Dialogue], separator: str = SEPARATOR, bits: Sequence[str] = ()
) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each turn, with a cell for each of :data:`~dialog_policy.corpus.cells.COLUMNS`.

    Parameters
    ----------
    dialogues
        The dialogues.
    separator
        What stands between the actions of a turn.
    bits
        Names of the actions, where they are to be written as bit vectors.

    Raises
    ------
    CorpusError
        If a dialogue has no turns, no id or an infinite number, or an action has no bit.
    """
    for dialogue in dialogues:
        if not dialogue.turns:
            raise CorpusError(
                "it has no turns, so it has no row in a table.",
                dialogue=dialogue.id,
                remedy="Write JSON Lines, or leave the dialogue out.",
            )
        if not dialogue.id:
            raise CorpusError(
                "the id of a dialogue is empty, which in a table means that its rows belong to the dialogue above.",
                remedy="Give every dialogue an id of its own.",
            )
        _check_numbers(dialogue)
        fields = _encode(dialogue.fields).decode() if dialogue.fields else ""
        for number, turn in enumerate(dialogue.turns):
            context = _encode(turn.context).decode() if turn.context else ""
            yield (
                dialogue.id,
                number,
                turn.user,
                _vector(dialogue, number, bits) or "null" if bits else _actions_cell(turn.actions, separator),
                turn.system,
                context,
                dialogue.split or "",
                turn.reward,
                turn.propensity,
                fields if number == 0 else "",
            )
