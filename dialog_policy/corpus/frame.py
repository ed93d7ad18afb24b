"""Dialogues from the rows of a pandas DataFrame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from dialog_policy.corpus.bits import actions_of_bits, are_repeated_bits
from dialog_policy.corpus.cells import COLUMNS, Cells
from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.dialogue_rows import DialogueRows
from dialog_policy.errors import CorpusError, did_you_mean

if TYPE_CHECKING:
    import pandas

__all__ = ["dialogues_of_frame"]


def dialogues_of_frame(frame: pandas.DataFrame, bits: Sequence[str]) -> list[Dialogue]:
    """Return the dialogues of a frame; columns and errors as for :meth:`~dialog_policy.corpus.corpus.Corpus.from_frame`."""
    found = Counter(map(str, frame.columns))
    for column in ("dialogue_id", "actions"):
        if column not in found:
            raise CorpusError(f"expected a column {column!r}, found: {', '.join(found)}.{did_you_mean(column, found)}")
    if twice := next((column for column in COLUMNS if found[column] > 1), None):
        raise CorpusError(f"there are {found[twice]} columns {twice!r}.", remedy="Rename or drop the others.")
    given = [column for column in COLUMNS if column in found]
    cells = Cells({column: column for column in COLUMNS}, partial(_actions, bits=bits))
    rows: dict[str, DialogueRows] = {}
    for values in zip(*(frame[column].tolist() for column in given), strict=True):
        row = {column: value for column, value in zip(given, values, strict=True) if not _is_missing(value)}
        if "dialogue_id" not in row:
            raise CorpusError("a row has no dialogue_id.", remedy="Give every row the id of its dialogue.")
        dialogue_id = str(row["dialogue_id"])
        known = rows.setdefault(dialogue_id, DialogueRows())
        turn = len(known)
        converted = cells(row, dialogue_id, turn=turn)
        try:
            known.add(converted, {})
        except ValueError as error:
            raise CorpusError(f"{error}.", dialogue=dialogue_id, turn=turn) from None
        if known.varying:
            raise CorpusError(
                f"the fields differ between its rows: {', '.join(sorted(known.varying))}.",
                dialogue=dialogue_id,
                turn=turn,
                remedy="Fields describe the whole dialogue. What the system learnt in a turn belongs in the column 'context'.",
            )
    return [of_one.dialogue(dialogue_id) for dialogue_id, of_one in rows.items()]


def _is_missing(value: Any) -> bool:
    """Whether a cell has what pandas puts where nothing is known: None, NaN, NaT or NA."""
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    )


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
    names = [cell] if not hasattr(cell, "__iter__") else list(cell)
    if are_repeated_bits(names):
        raise ValueError(
            "expected a collection of action names. If these are bit vectors, give the names of their bits: "
            "bits=['greet', 'query', …]"
        )
    if strange := [name for name in names if not isinstance(name, str)]:
        raise ValueError(f"expected a collection of action names, found {str(strange[0])[:40]!r}")
    return frozenset(names)
