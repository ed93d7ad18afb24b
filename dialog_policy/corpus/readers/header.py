"""Whether a table has the columns that a corpus needs, and what to do if it has not."""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote

from dialog_policy.corpus.readers.bit_columns import columns_of_bits
from dialog_policy.corpus.readers.named_rows import Row
from dialog_policy.errors import CorpusError, closest

__all__ = ["check_header"]

# A column of one of these names says who speaks.
_SPEAKERS = {"author", "from", "role", "sender", "speaker"}
_A_ROW_AN_UTTERANCE = (
    " If the table has a row for each utterance, make it a row for each turn first: what the user said, what the system did "
    "and said (docs/howto/own-format.md shows how)."
)


def check_header(row: Row, columns: Mapping[str, str], place: str, *, annotated: bool) -> None:
    """Refuse a table without the columns that it needs, or where the name of one seems to be misspelt.

    Parameters
    ----------
    row
        The table's first row.
    columns
        What is read to the name of its column.
    place
        The table, for the message.
    annotated
        Whether the table must say what the system did.

    Raises
    ------
    CorpusError
        It says which columns are missing, which there are, and which options would name them.
    """
    needed = {"dialogue_id", *(["actions"] if annotated else []), *([] if columns["context"] in row else ["user"])}
    others = {name.casefold(): name for name in row if name not in columns.values()}
    absent = [name for name in ("dialogue_id", "user", "system", "actions") if columns[name] not in row]
    meant = {name: others[close[0]] for name in absent if (close := closest(columns[name].casefold(), others))}
    missing = [name for name in absent if name in needed or (name in meant and name != "system")]
    if not missing:
        return
    found = f"found: {', '.join(row)}."
    bits = ""
    if "actions" in missing and len(of_bits := columns_of_bits(row, columns.values())) > 1:
        bits = f" If columns have a 1 where the system took their action: --reader actions={quote(','.join(of_bits))}."
    if len(missing) == 1:
        (name,) = missing
        hint = f" Did you mean {meant[name]!r}?" if name in meant else ""
        remedy = f"Name the column with --reader {name}={meant.get(name, 'COLUMN')}.{bits}"
        raise CorpusError(f"expected a column {columns[name]!r}, {found}{hint}", path=place, line=1, remedy=remedy)
    named = ", ".join(repr(columns[name]) for name in missing[:-1])
    assigned = " ".join(f"{name}={quote(meant.get(name, 'COLUMN'))}" for name in absent)
    raise CorpusError(
        f"expected the columns {named} and {columns[missing[-1]]!r}, {found}",
        path=place,
        line=1,
        remedy=f"Say which columns they are: --reader {assigned}.{bits or (_A_ROW_AN_UTTERANCE if _SPEAKERS & set(others) else '')}",
    )
