"""Dialogues in a Parquet file, a shard of a store: one row a dialogue, one list a column, so that columns can be read alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dialog_policy.corpus.dialogue import Dialogue, Turn
from dialog_policy.corpus.stored_files import check_stored, read_stored, unreadable
from dialog_policy.errors import CorpusError, require
from dialog_policy.files import refusals

__all__ = ["ShardFile", "read_columns_of", "read_shard", "write_shard"]

_PURPOSE = "a store of dialogues"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
# Columns that have one value a turn.
_OF_TURNS = ("user", "context", "actions", "system", "reward", "propensity")


class ShardFile(msgspec.Struct, frozen=True):
    """A shard in the manifest of its store.

    Attributes
    ----------
    file
        Its name within the store.
    dialogues, turns
        What it holds.
    bytes, sha256
        Of the file.
    """

    file: str
    dialogues: int
    turns: int
    bytes: int
    sha256: str


class _Library(NamedTuple):
    arrow: Any
    parquet: Any


def _library() -> _Library:
    return _Library(
        require("pyarrow", extra="parquet", purpose=_PURPOSE),
        require("pyarrow.parquet", extra="parquet", purpose=_PURPOSE),
    )


def write_shard(folder: Path, file: str, dialogues: Sequence[Dialogue]) -> ShardFile:
    """Write dialogues as one shard; under another name first, so that what has the name is whole.

    Parameters
    ----------
    folder, file
        The store, and the shard's name in it.
    dialogues
        The dialogues.

    Raises
    ------
    CorpusError
        If a text is not Unicode, or a context or a field is not JSON.
    OptionError
        If the disk is full.
    """
    arrow, parquet = _library()
    text = arrow.string()
    kinds = {
        "user": text, "context": text, "actions": arrow.list_(text), "system": text,
        "reward": arrow.float64(), "propensity": arrow.float64(),
    }  # fmt: skip
    schema = arrow.schema(
        [
            ("id", text),
            ("split", text),
            ("fields", text),
            ("fingerprint", arrow.binary(32)),
            ("targets", arrow.int32()),
            *((name, arrow.list_(kind)) for name, kind in kinds.items()),
        ]
    )
    columns = list(zip(*map(_row, dialogues), strict=True)) or [()] * len(schema)
    content = arrow.BufferOutputStream()
    try:
        table = arrow.table([arrow.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema)
    except UnicodeEncodeError:
        raise _not_unicode(dialogues) from None
    parquet.write_table(table, content, compression="zstd")
    data = content.getvalue().to_pybytes()
    place = folder / file
    aside = place.with_name(f"{place.name}.partial")
    with refusals(folder):
        aside.write_bytes(data)
        aside.replace(place)
    n_turns = sum(map(len, dialogues))
    return ShardFile(file, len(dialogues), n_turns, len(data), hashlib.sha256(data).hexdigest())


def _row(dialogue: Dialogue) -> tuple[Any, ...]:
    try:
        fields = _encode(dialogue.fields).decode() if dialogue.fields else None
        contexts = [_encode(turn.context).decode() if turn.context else None for turn in dialogue.turns]
        fingerprint = bytes.fromhex(dialogue.fingerprint())
    except (TypeError, ValueError, UnicodeError) as error:
        raise CorpusError(f"it cannot be stored: {error}.", dialogue=dialogue.id) from None
    turns = dialogue.turns
    return (
        dialogue.id,
        dialogue.split,
        fields,
        fingerprint,
        dialogue.n_targets,
        [turn.user for turn in turns],
        contexts,
        [None if turn.actions is None else sorted(turn.actions) for turn in turns],
        [turn.system for turn in turns],
        [turn.reward for turn in turns],
        [turn.propensity for turn in turns],
    )


def _not_unicode(dialogues: Iterable[Dialogue]) -> CorpusError:
    for dialogue in dialogues:
        for number, turn in enumerate(dialogue.turns):
            try:
                "".join((turn.user, turn.system, *(turn.actions or ()))).encode()
            except UnicodeEncodeError as error:
                return CorpusError(f"a text of it is not Unicode ({error}).", dialogue=dialogue.id, turn=number)
    return CorpusError("an id or a split is not Unicode.")


def read_columns_of(folder: Path, shards: Iterable[ShardFile], columns: Sequence[str]) -> Any:
    """Return some columns of all shards as a PyArrow table; nothing else is read.

    Raises
    ------
    CorpusError
        If a shard is missing or cut, or is no Parquet file.
    """
    arrow, parquet = _library()
    tables = []
    for shard in shards:
        place = folder / shard.file
        try:
            check_stored(place, shard.bytes)
            tables.append(parquet.read_table(place, columns=list(columns), partitioning=None))
        except (OSError, arrow.ArrowException) as error:
            raise unreadable(place, error) from None
    return arrow.concat_tables(tables)


def read_shard(folder: Path, shard: ShardFile, rows: Sequence[int] | None = None) -> list[Dialogue]:
    """Return the dialogues of a shard, or those in some of its rows.

    Raises
    ------
    CorpusError
        If the shard is missing, cut, or not the one of the manifest.
    """
    arrow, parquet = _library()
    content = read_stored(folder / shard.file, shard.bytes, shard.sha256)
    try:
        table = parquet.read_table(arrow.BufferReader(content))
        return list(_dialogues(table if rows is None else table.take(rows)))
    except (arrow.ArrowException, KeyError, ValueError) as error:
        raise CorpusError(f"the shard is not what `prepare` writes ({error}).", path=folder / shard.file) from None


def _plain(column: Any) -> list[Any]:
    """Return the values of a column; text by way of NumPy, which is quicker."""
    values: list[Any] = column.to_numpy(zero_copy_only=False).tolist()
    return values


def _dialogues(table: Any) -> Iterator[Dialogue]:
    table = table.combine_chunks()
    heads = {name: table[name].to_pylist() for name in ("id", "split", "fields")}
    lists = {name: _one_chunk(table[name]) for name in _OF_TURNS}
    lengths = [0 if length is None else length for length in lists["user"].value_lengths().to_pylist()]
    user, context, system = (_plain(lists[name].flatten()) for name in ("user", "context", "system"))
    actions = _action_sets(lists["actions"].flatten())
    reward, propensity = (lists[name].flatten().to_pylist() for name in ("reward", "propensity"))
    known: dict[str | None, dict[str, Any]] = {None: {}}
    contexts = []
    for written in context:
        if written not in known:
            known[written] = _decode(written)
        contexts.append(known[written])
    turns = [
        Turn(user=u, context=c, actions=a, system=s, reward=r, propensity=p)
        for u, c, a, s, r, p in zip(user, contexts, actions, system, reward, propensity, strict=True)
    ]
    start = 0
    for name, split, fields, length in zip(*heads.values(), lengths, strict=True):
        own = {} if fields is None else _decode(fields)
        yield Dialogue(id=name, turns=tuple(turns[start : start + length]), split=split, fields=own)
        start += length


def _one_chunk(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _action_sets(sets: Any) -> list[frozenset[str] | None]:
    """Return the sets of a list array; equal ones are one object."""
    names, lengths = _plain(sets.flatten()), sets.value_lengths().to_pylist()
    one: dict[tuple[str, ...], frozenset[str]] = {}
    found: list[frozenset[str] | None] = []
    start = 0
    for length in lengths:
        if length is None:
            found.append(None)
            continue
        key = tuple(names[start : start + length])
        if key not in one:
            one[key] = frozenset(key)
        found.append(one[key])
        start += length
    return found
