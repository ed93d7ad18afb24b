"""Encoded dialogues and their encoder as files: JSON, safetensors, and mapped matrices beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from safetensors.numpy import load, save

from dialog_policy.corpus import ActionSpace
from dialog_policy.corpus.gazetteer import Entries
from dialog_policy.features.encoded import EmbeddedTexts, EncodedDialogues
from dialog_policy.features.encoder import TurnEncoder
from dialog_policy.features.matrices import MappedRows, Matrix, SparseRows
from dialog_policy.text.embedding import TrainableTable
from dialog_policy.text.ragged import Ragged
from dialog_policy.text.table import TermTable

__all__ = ["read_dialogues", "read_encoder", "write_dialogues", "write_encoder"]

_ENCODER, _ENCODER_ARRAYS = "encoder.json", "encoder.safetensors"


def write_encoder(folder: Path, encoder: TurnEncoder) -> None:
    """Write an encoder, with what is to be known of its tables that are yet to be trained."""
    described, arrays = encoder.to_parts()
    # A run stores trained tables only, which are like any other.
    described["trainable"] = {
        name: {str(n): table.word_dropout for n, table in enumerate(tables) if isinstance(table, TrainableTable)}
        for name, tables in encoder.tables.items()
    }
    (folder / _ENCODER).write_bytes(msgspec.json.encode(described))
    (folder / _ENCODER_ARRAYS).write_bytes(save({name: np.ascontiguousarray(a) for name, a in arrays.items()}))


def read_encoder(folder: Path, actions: ActionSpace, gazetteer: Entries) -> tuple[TurnEncoder, list[TrainableTable]]:
    """Undo :func:`write_encoder`; return its trainable tables, too, in the order of the features."""
    described = msgspec.json.decode((folder / _ENCODER).read_bytes())
    arrays = load((folder / _ENCODER_ARRAYS).read_bytes())
    encoder = TurnEncoder.from_parts(described, arrays, actions, gazetteer)
    return encoder, _make_trainable(encoder, described["trainable"])


def write_dialogues(folder: Path, name: str, encoded: EncodedDialogues) -> None:
    """Write encoded dialogues as ``NAME.json`` and ``NAME.safetensors``; mapped matrices are files already."""
    layout, named = _packed(encoded)
    (folder / f"{name}.json").write_bytes(msgspec.json.encode(layout))
    (folder / f"{name}.safetensors").write_bytes(save(named))


def read_dialogues(folder: Path, name: str, ids: Sequence[str], tables: Sequence[TrainableTable]) -> EncodedDialogues:
    """Undo :func:`write_dialogues`.

    Raises
    ------
    ValueError
        If the parts do not fit together.
    """
    layout = msgspec.json.decode((folder / f"{name}.json").read_bytes())
    return _unpacked(layout, load((folder / f"{name}.safetensors").read_bytes()), folder, ids, tables)


def _packed(encoded: EncodedDialogues) -> tuple[list[Any], dict[str, Any]]:
    """Return what kind each part's matrix is, and all arrays but the mapped ones by name."""
    layout: list[Any] = []
    arrays: dict[str, Any] = {"offsets": encoded.offsets, "is_target": encoded.is_target}
    arrays["targets"], arrays["targets.rows"] = encoded.goals
    rows_of: dict[int, int] = {}
    for number, (matrix, rows) in enumerate(encoded.parts):
        # Blocks of one part of a turn share their row numbers.
        shared = rows_of.setdefault(id(rows), number)
        if shared == number:
            arrays[f"{number}.rows"] = rows
        kind: dict[str, Any] = {"rows": shared}
        if number in encoded.embedded:
            packed = encoded.embedded[number].packed
            kind["trainable"] = True
            # Without the empty text that was added for padding.
            arrays[f"{number}.ids"], arrays[f"{number}.offsets"] = packed.values, packed.offsets[:-1]
        elif isinstance(matrix, MappedRows):
            kind["file"] = matrix.path.name
        elif isinstance(matrix, SparseRows):
            kind["width"] = matrix.width
            arrays[f"{number}.columns"] = matrix.columns.values
            arrays[f"{number}.offsets"] = matrix.columns.offsets
            arrays[f"{number}.values"] = matrix.values
        else:
            arrays[f"{number}.matrix"] = matrix
        layout.append(kind)
    return layout, {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _unpacked(
    layout: list[Any], arrays: Mapping[str, Any], folder: Path, ids: Sequence[str], tables: Sequence[TrainableTable]
) -> EncodedDialogues:
    """Undo :func:`_packed`."""
    parts: list[tuple[Matrix, Any]] = []
    embedded: dict[int, EmbeddedTexts] = {}
    remaining = iter(tables)
    for number, kind in enumerate(layout):
        matrix: Matrix
        if kind.get("trainable"):
            table = next(remaining)
            packed = Ragged(arrays[f"{number}.ids"], arrays[f"{number}.offsets"])
            embedded[number] = EmbeddedTexts(table, packed)
            matrix = np.broadcast_to(np.float32(0), (len(packed) + 1, table.dim))
        elif "file" in kind:
            matrix = MappedRows(folder / Path(kind["file"]).name)
        elif "width" in kind:
            columns = Ragged(arrays[f"{number}.columns"], arrays[f"{number}.offsets"])
            matrix = SparseRows(columns, arrays[f"{number}.values"], kind["width"])
        else:
            matrix = arrays[f"{number}.matrix"]
        parts.append((matrix, arrays[f"{kind['rows']}.rows"]))
    targets = arrays["targets"], arrays["targets.rows"]
    encoded = EncodedDialogues(ids, arrays["offsets"], parts, targets, arrays["is_target"], embedded)
    encoded.check()
    return encoded


def _make_trainable(encoder: TurnEncoder, dropouts: Mapping[str, Mapping[str, float]]) -> list[TrainableTable]:
    """Turn tables that were trainable back into such, and return them in the order of the features."""
    trainable: list[TrainableTable] = []
    for name, tables in encoder.tables.items():
        content = list(tables)
        for number, dropout in dropouts[name].items():
            own = tables[int(number)]
            if not isinstance(own, TermTable) or own.vectors is None or not 0 <= dropout < 1:
                raise ValueError("a table that cannot be trained")
            pools: Any = own.pools
            table = TrainableTable(own.analyzer, own.terms, own.vectors, pools=pools, word_dropout=dropout)
            content[int(number)] = table
            trainable.append(table)
        encoder.tables[name] = tuple(content)
    return trainable
