"""Dialogues from the rows of a pandas DataFrame, and such rows from dialogues."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from dialog_policy.corpus.bits import actions_of_bits, are_repeated_bits, is_bit, is_missing
from dialog_policy.corpus.cells import COLUMNS, RESERVED, Cells, id_text, with_date
from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.dialogue_rows import DialogueRows
from dialog_policy.corpus.plain import json_object
from dialog_policy.errors import CorpusError, CorpusWarning, OptionError, did_you_mean, require

if TYPE_CHECKING:
    import pandas

__all__ = ["dialogues_of_frame", "frame_of"]

_NAME_THE_BITS = "If these are bit vectors, give the names of their bits: bits=['greet', 'query', …]"


def dialogues_of_frame(frame: pandas.DataFrame, bits: Sequence[str]) -> list[Dialogue]:
    """Return the dialogues of a frame; columns and errors as for :meth:`~dialog_policy.corpus.corpus.Corpus.from_frame`."""
    if not hasattr(frame, "columns") or not hasattr(frame, "index"):
        raise OptionError(
            f"expected a pandas DataFrame, found {type(frame).__name__}. pandas.DataFrame(rows) makes one."
        )
    if levels := [level for level in frame.index.names if level in COLUMNS and level not in frame.columns]:
        frame = frame.reset_index(levels)
    frame = frame.rename(columns=str)
    found = Counter(frame.columns)
    if "actions" not in found and bits and all(name in found for name in bits):
        vectors = frame[list(bits)].to_numpy().tolist()
        frame = frame.drop(columns=list(bits)).assign(actions=vectors)
        found = Counter(frame.columns)
    _check_columns(frame, found)
    unread = {name for name in found if name in RESERVED or _holds_arrays(frame[name])} - set(COLUMNS)
    others = [name for name in found if name not in COLUMNS and name not in unread]
    given = [column for column in COLUMNS if column in found]
    cells = Cells({column: column for column in COLUMNS}, partial(_actions, bits=bits))
    dialogues: dict[str, DialogueRows] = {}
    for number, values in enumerate(zip(*(frame[name].tolist() for name in (*given, *others)), strict=True)):
        row = {name: value for name, value in zip((*given, *others), values, strict=True) if not is_missing(value)}
        if "dialogue_id" not in row:
            raise CorpusError(f"row {number} has no dialogue_id.", remedy="Give every row the id of its dialogue.")
        dialogue_id = id_text(row["dialogue_id"])
        known = dialogues.setdefault(dialogue_id, DialogueRows())
        turn = len(known)
        converted = cells(row, dialogue_id, turn=turn)
        try:
            fields = json_object({name: with_date(row[name]) for name in others if name in row})
            known.add(converted, fields, f"row {number}")
        except ValueError as error:
            raise CorpusError(f"{error}.", dialogue=dialogue_id, turn=turn) from None
    _warn(frame, others, unread, set().union(*(rows.varying for rows in dialogues.values())))
    return [rows.dialogue(dialogue_id) for dialogue_id, rows in dialogues.items()]


def _check_columns(frame: pandas.DataFrame, found: Counter[str]) -> None:
    if twice := next((column for column, count in found.items() if count > 1), None):
        raise CorpusError(f"there are {found[twice]} columns {twice!r}.", remedy="Rename or drop the others.")
    for column in ("dialogue_id", "actions"):
        if column not in found:
            of_bits = [str(name) for name in frame if name not in COLUMNS and all(map(is_bit, frame[name]))]
            remedy = ""
            if column == "actions" and len(of_bits) > 1:
                remedy = f"If columns have a 1 where the system took their action: bits={of_bits}."
            hint = did_you_mean(column, found)
            raise CorpusError(f"expected a column {column!r}, found: {', '.join(found)}.{hint}", remedy=remedy)


def _holds_arrays(column: pandas.Series[Any]) -> bool:
    return any(getattr(value, "ndim", 0) for value in column)


def _warn(frame: pandas.DataFrame, others: Sequence[str], unread: set[str], varying: set[str]) -> None:
    """Say which columns are read otherwise than their owner may think."""
    for name in others:
        if hint := did_you_mean(name, set(COLUMNS) - set(frame.columns), cutoff=0.8).strip():
            warnings.warn(
                f"The column {name!r} is read as a field of the dialogue. {hint}", CorpusWarning, stacklevel=4
            )
    if unread:
        named = ", ".join(map(repr, sorted(unread)))
        message = f"Columns that cannot be fields of a dialogue, by their names or because they hold arrays, are not read: {named}."
        warnings.warn(message, CorpusWarning, stacklevel=4)
    if varying:
        named = ", ".join(map(repr, sorted(varying)))
        message = f"What differs within a dialogue cannot be a field of it, and is left out where it does: {named}."
        advice = "What the system learnt in a turn belongs in the column 'context'."
        warnings.warn(f"{message} {advice}", CorpusWarning, stacklevel=4)


def _actions(cell: Any, bits: Sequence[str]) -> frozenset[str] | None:
    if cell is None:
        return None
    if bits:
        return actions_of_bits(cell, bits)
    if isinstance(cell, str):
        raise ValueError(
            f"expected a collection of action names, found the text {cell!r}. "
            "Split it, for instance: frame['actions'].str.split('|')"
        )
    if isinstance(cell, Mapping) or not hasattr(cell, "__iter__"):
        raise ValueError(f"expected a collection of action names, found {str(cell)[:40]!r}")
    names = list(cell)
    if strange := [name for name in names if not isinstance(name, str)]:
        hint = f". {_NAME_THE_BITS}" if all(map(is_bit, names)) else ""
        raise ValueError(f"expected a collection of action names, found {str(strange[0])[:40]!r} in it{hint}")
    if are_repeated_bits(names):
        raise ValueError(f"expected a collection of action names. {_NAME_THE_BITS}")
    return frozenset(map(str, names))


def frame_of(dialogues: Iterable[Dialogue]) -> pandas.DataFrame:
    """Return the frame of dialogues: see :meth:`~dialog_policy.corpus.corpus.Corpus.to_frame`."""
    library = require("pandas", extra="train", purpose="Corpus.to_frame()")
    rows = [
        (d.id, i, t.user, t.actions, t.system, dict(t.context), d.split, t.reward, t.propensity, dict(d.fields))
        for d in dialogues
        for i, t in enumerate(d.turns)
    ]
    frame: pandas.DataFrame = library.DataFrame(rows, columns=list(COLUMNS))
    return frame
