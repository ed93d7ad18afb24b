"""Writing corpora: JSON Lines, CSV, TSV, Parquet. Reading them again gives the same dialogues."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from dialog_policy.corpus.cells import COLUMNS
from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.lines import native_line, table_rows
from dialog_policy.errors import CorpusError, OptionError, counted, did_you_mean, require
from dialog_policy.files import atomic_folder, atomic_write

__all__ = ["write_corpus", "write_parts"]

_SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")


def write_corpus(dialogues: Iterable[Dialogue], path: str | os.PathLike[str]) -> None:
    """Write dialogues in the format that the suffix of `path` names; aside, then in place.

    Raises
    ------
    CorpusError
        If a table cannot hold a dialogue: it has no turns; or a field of it has a name that JSON Lines need themselves.
    OptionError
        If the suffix is none of ``.jsonl``, ``.ndjson``, ``.csv``, ``.tsv``, ``.parquet``.
    MissingExtraError
        If Parquet is wanted and pyarrow is not installed.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _SUFFIXES:
        hint = did_you_mean(suffix, _SUFFIXES)
        raise OptionError(f"{path}: expected a name that ends in {', '.join(_SUFFIXES)}, found {suffix!r}.{hint}")
    if suffix == ".parquet":
        require("pyarrow", extra="parquet", purpose="writing Parquet")
    with atomic_write(path) as file:
        if suffix in (".jsonl", ".ndjson"):
            for dialogue in dialogues:
                file.write(native_line(dialogue))
        elif suffix == ".parquet":
            _write_parquet(dialogues, file)
        else:
            _write_csv(dialogues, file, "\t" if suffix == ".tsv" else ",")


def write_parts(dialogues: Iterable[Dialogue], parts: Sequence[str], folder: str | os.PathLike[str]) -> list[Path]:
    """Write each dialogue into the part that `parts` names for it, as JSON Lines: ``folder/PART.jsonl``.

    The folder takes its place in one step, when all dialogues are written; one that has this name is replaced.

    Raises
    ------
    CorpusError
        If a field of a dialogue has a name that JSON Lines need themselves, or the dialogues are not as many as `parts`.
    OptionError
        If the folder cannot be written.
    """
    names = [f"{part}.jsonl" for part in dict.fromkeys(parts)]
    with atomic_folder(folder) as aside, contextlib.ExitStack() as stack:
        files = {name: stack.enter_context(atomic_write(aside / name)) for name in names}
        written = 0
        for part, dialogue in zip(parts, dialogues, strict=False):
            files[f"{part}.jsonl"].write(native_line(msgspec.structs.replace(dialogue, split=part)))
            written += 1
        if written < len(parts):
            raise CorpusError(
                f"expected {counted(len(parts), 'dialogue')}, found {written}: the source has changed meanwhile."
            )
    return [Path(folder) / name for name in names]


def _write_csv(dialogues: Iterable[Dialogue], file: BinaryIO, delimiter: str) -> None:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    # With another line end Python up to 3.12 leaves a text with a carriage return unquoted, and its row falls apart.
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows(table_rows(dialogues))
    text.detach()


def _write_parquet(dialogues: Iterable[Dialogue], file: BinaryIO) -> None:
    arrow = require("pyarrow", extra="parquet", purpose="writing Parquet")
    parquet = require("pyarrow.parquet", extra="parquet", purpose="writing Parquet")
    kinds = {"turn": arrow.int64(), "reward": arrow.float64(), "propensity": arrow.float64()}
    schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in COLUMNS])
    with parquet.ParquetWriter(file, schema) as writer:
        for dialogue in dialogues:
            columns = list(zip(*table_rows([dialogue]), strict=True))
            if columns:
                writer.write_batch(
                    arrow.record_batch([arrow.array(c, t.type) for c, t in zip(columns, schema, strict=True)], schema)
                )
