"""Dialogues from the rows of a pandas DataFrame."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from dialog_policy.corpus.bits import actions_of_bits, are_repeated_bits
from dialog_policy.corpus.dialogue import Dialogue, Turn
from dialog_policy.errors import CorpusError, did_you_mean

if TYPE_CHECKING:
    import pandas

__all__ = ["COLUMNS", "dialogues_of_frame"]

# One row a turn.
COLUMNS = ("dialogue_id", "turn", "user", "actions", "system", "context", "split", "reward", "propensity", "fields")


def dialogues_of_frame(frame: pandas.DataFrame, bits: Sequence[str]) -> list[Dialogue]:
    """Return the dialogues of a frame; columns and errors as for :meth:`~dialog_policy.corpus.corpus.Corpus.from_frame`."""
    for column in ("dialogue_id", "actions"):
        if column not in frame.columns:
            hint = did_you_mean(column, map(str, frame.columns))
            raise CorpusError(f"expected a column {column!r}, found: {', '.join(map(str, frame.columns))}.{hint}")
    given = [column for column in COLUMNS if column in frame.columns]
    rows: dict[str, list[dict[str, Any]]] = {}
    for values in zip(*(frame[column].tolist() for column in given), strict=True):
        row = {column: value for column, value in zip(given, values, strict=True) if not _is_missing(value)}
        if "dialogue_id" not in row:
            raise CorpusError("a row has no dialogue_id.", remedy="Give every row the id of its dialogue.")
        rows.setdefault(str(row["dialogue_id"]), []).append(row)
    return [_from_rows(dialogue_id, of_one, bits) for dialogue_id, of_one in rows.items()]


def _is_missing(value: Any) -> bool:
    """Whether a cell has what pandas puts where nothing is known: None, NaN, NaT or NA."""
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    )


def _actions(cell: Any, bits: Sequence[str]) -> list[Any] | None:
    if bits:
        actions = actions_of_bits(cell, bits)
        return None if actions is None else list(actions)
    return None if cell is None else list(cell)


def _from_rows(dialogue_id: str, rows: list[dict[str, Any]], bits: Sequence[str]) -> Dialogue:
    turns = []
    for number, row in enumerate(sorted(rows, key=lambda row: row.get("turn", 0))):
        actions = row.get("actions")
        if isinstance(actions, str) and not bits:
            raise CorpusError(
                f"expected a collection of action names, found the text {actions!r}.",
                dialogue=dialogue_id,
                turn=number,
                remedy="Split it, for instance: frame['actions'].str.split('|').",
            )
        known = ("user", "context", "system", "reward", "propensity")
        described: dict[str, Any] = {key: row[key] for key in known if key in row}
        try:
            described["actions"] = _actions(actions, bits)
            turn = msgspec.convert(described, Turn)
        except (msgspec.ValidationError, TypeError, ValueError) as error:
            is_vector = not bits and isinstance(actions, Collection) and are_repeated_bits(actions)
            remedy = (
                "If these are bit vectors, give the names of their bits: bits=['greet', 'query', …]."
                if is_vector
                else ""
            )
            raise CorpusError(f"{error}.", dialogue=dialogue_id, turn=number, remedy=remedy) from None
        turns.append(turn)
    first = rows[0]
    fields: dict[str, Any] = first.get("fields", {})
    return Dialogue(id=dialogue_id, turns=tuple(turns), split=first.get("split"), fields=fields)
