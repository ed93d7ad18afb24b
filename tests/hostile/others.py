"""Hostile corpora, predictions, sessions, checkpoints, cache entries and files of sessions."""

import base64
import gzip
import io
import json
import os
import pickle
import random
import sqlite3
import struct
import tarfile
import zipfile
import zlib
from hashlib import sha256

import msgspec
import numpy as np
from safetensors.numpy import load, save

from tests.hostile.runs import Harmful, raw_arrays

LINE = b'{"id": "1", "turns": [{"user": "a", "actions": ["x"], "system": "b"}]}\n'


def _sparse(path, head=b"", size=3 << 30):
    path.write_bytes(head)
    os.truncate(path, size)
    return path


def _zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def corpora(folder):
    """Write corpora that stand for far more than they are, or are none."""
    for suffix in ("jsonl", "csv", "tsv", "json", "txt", "yml", "md", "parquet", "xlsx"):
        yield f"3 GB of zeros .{suffix}", _sparse(folder / f"zeros.{suffix}")
    yield "a line of 3 GB", _sparse(folder / "line.jsonl", LINE + b'{"id": "')
    yield "a cell of 3 GB", _sparse(folder / "cell.csv", b"dialogue_id,user,actions\n1,")
    yield "an array of 3 GB", _sparse(folder / "array.json", b'[{"dialogue_id": "')
    turns = b'{"id": "1", "turns": [' + b'{"actions":[]},' * 10_000_000 + b'{"actions":[]}]}'
    yield "zip of JSON Lines", _zip(folder / "bomb.zip", [("c.jsonl", turns)])
    yield "zip names of 65 kB", _zip(folder / "names.zip", [("a/" * 30_000 + f"{i}.jsonl", LINE) for i in range(5)])
    yield "zip of many members", _zip(folder / "members.zip", [(f"{i}.jsonl", b"") for i in range(60_000)])
    yield (
        "header of many columns",
        _put(
            folder / "header.csv",
            b"dialogue_id,user,actions," + b",".join(b"%d" % i for i in range(20_000)) + b"\n1,a,b",
        ),
    )
    options = "\n".join(f"    - intent: i{i}" for i in range(1_500))
    steps = "\n".join(f"  - action: a{i}" for i in range(1_500))
    yield (
        "many alternatives",
        _put(folder / "or.yml", f"stories:\n- story: s\n  steps:\n  - or:\n{options}\n{steps}\n".encode()),
    )
    laughs = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]" for i in range(1, 12))
    yield "aliases of aliases", _put(folder / "laughs.yml", f"l0: &l0 [a]\n{laughs}\nstories: []\n".encode())
    yield "YAML tags", _put(folder / "tags.yml", b"stories:\n- !!python/object/apply:os.mkdir [executed]\n")
    for kind, content in {
        "deep": b'{"id": "1", "turns": ' + b"[" * 100_000, "pickle": pickle.dumps(Harmful()), "NUL": b"\0" * 100,
        "huge number": b'{"id": "1", "turns": [{"actions": [], "reward": ' + b"9" * 5_000 + b"}]}",
        "infinite": b'{"id": "1", "turns": [{"actions": ["a"], "reward": 1e999}]}', "no turns": b'{"id": "1", "turns": 3}',
        "surrogate": b'{"id": "\\ud800", "turns": [{"actions": ["a"]}]}', "cut": LINE[:40], "UTF-16 cut": b"\xff\xfe{",
    }.items():  # fmt: skip
        yield f"JSON Lines: {kind}", _put(folder / f"{kind}.jsonl", content)
    with tarfile.open(folder / "members.tar", "w") as archive:
        for number in range(51_000):
            archive.addfile(tarfile.TarInfo(f"{number}.jsonl"))
    yield "tar of many members", folder / "members.tar"
    with tarfile.open(folder / "bomb.tar.gz", "w:gz", compresslevel=9) as archive:
        info = tarfile.TarInfo("c.jsonl")
        info.size = 300 << 20
        archive.addfile(info, io.BytesIO(bytes(info.size)))
    yield "packed tar of zeros", folder / "bomb.tar.gz"
    yield "packed JSON Lines of blanks", _put(folder / "bomb.jsonl.gz", gzip.compress(b" " * (256 << 20), 9))
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        return
    cell = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 5_000, pyarrow.int32()), ["x" * 1_000_000])
    rows = pyarrow.table({"dialogue_id": ["1"] * 5_000, "user": cell, "actions": ["a"] * 5_000})
    parquet.write_table(rows, folder / "bomb.parquet", compression="gzip")
    yield "Parquet of one cell", folder / "bomb.parquet"


def _put(path, content):
    path.write_bytes(content)
    return path


def predictions(folder):
    """Write files that are no predictions."""
    good = {"dialogue": "1", "turn": 0, "actions": ["x"]}
    lines = {
        "deep": b'{"dialogue": ' + b"[" * 100_000, "deep probabilities": b'{"dialogue": "1", "turn": 0, "actions": [], "x": ' + b"[" * 100_000,
        "pickle": pickle.dumps(Harmful()), "not UTF-8": b'{"dialogue": "\xff"}', "cut": b'{"dialogue"', "list": b"[]",
        "huge": b'{"turn": ' + b"9" * 10_000 + b"}", "infinite": b'{"dialogue": "1", "turn": 0, "actions": [], "confidence": 1e999}',
    }  # fmt: skip
    for field, values in {"turn": ("x", None, 1.5), "actions": ("x", None, [1]), "dialogue": (1, None), "confidence": (2, -1, "x"),
                          "probabilities": ({"x": 2}, {"x": "y"}, [])}.items():  # fmt: skip
        lines |= {f"{field} {value!r}": json.dumps({**good, field: value}).encode() for value in values}
    for number, (kind, line) in enumerate(lines.items()):
        yield kind, _put(folder / f"predictions-{number}.jsonl", line + b"\n")
    yield "3 GB of zeros", _sparse(folder / "zeros.jsonl")


def checkpoints(folder):
    """Write folders with checkpoints that are none."""
    good = {"history": [{"epoch": 1}], "about": {}}
    metadata = {
        "no state": {}, "state is not JSON": {"state": "{"}, "deep state": {"state": "[" * 100_000},
        **{f"{key} = {value!r}": {"state": json.dumps({**good, key: value})} for key, value in
           (("history", 3), ("history", []), ("history", [{"epoch": "x"}]), ("about", []), ("best", "x"), ("wait", 1.5))},
    }  # fmt: skip
    contents = {kind: save({"a": np.zeros(3, np.float32)}, about) for kind, about in metadata.items()}
    contents["NaN"] = save({"a": np.full(3, np.nan, np.float32)}, {"state": json.dumps(good)})
    tensor = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    contents |= {
        "pickle": pickle.dumps(Harmful()), "empty": b"", "zeros": bytes(1_000), "header of 2^60 bytes": raw_arrays({}, length=2**60),
        "overlapping": raw_arrays({"a": tensor, "b": tensor}, bytes(8)), "unknown type": raw_arrays({"a": {**tensor, "dtype": "O"}}, bytes(8)),
    }  # fmt: skip
    for number, (kind, content) in enumerate(contents.items()):
        place = folder / f"checkpoint-{number}"
        place.mkdir()
        _put(place / "training.safetensors", content)
        yield kind, place


def sessions(folder, saved):
    """Write mutations of a saved session, and of the same in the form before this one: parts of other types, bytes at random."""
    parts = msgspec.msgpack.decode(saved)
    recent = msgspec.msgpack.decode(parts[3])  # of a short session: it is not compressed
    mutants = {"deep": b"[" * 100_000, "pickle": pickle.dumps(Harmful()), "empty": b"", "zeros": bytes(1_000)}
    odd = (None, -1, "x", [], {}, [[]], {"x": 1}, b"x", zlib.compress(b"x"), zlib.compress(bytes(80 << 20)))
    for value in odd:
        for place in range(len(parts)):
            changed = [*parts[:place], value, *parts[place + 1 :]]
            mutants[f"part {place} = {value!r:.20}"] = msgspec.msgpack.encode(changed)
        for place in range(len(recent)):
            changed = [*recent[:place], value, *recent[place + 1 :]]
            content = msgspec.msgpack.encode(changed)
            mutants[f"recent part {place} = {value!r:.20}"] = msgspec.msgpack.encode([*parts[:3], content, parts[4]])
        mutants[f"blocks {value!r:.20}"] = msgspec.msgpack.encode([*parts[:2], [value], *parts[3:]])
    draw = random.Random(0)
    for number in range(150):
        mutant = bytearray(saved)
        for _ in range(draw.randint(1, 8)):
            mutant[draw.randrange(len(mutant))] = draw.randrange(256)
        mutants[f"bytes {number}"] = bytes(mutant)
    turns = [
        {
            "user": user,
            "context": json.loads(context or b"{}"),
            "predicted": predicted,
            "actions": actions,
            "system": system,
        }
        for user, context, predicted, actions, system in recent[0]
    ]
    state = base64.b64encode(parts[4]).decode()
    before = {"version": 2, "run": parts[1].hex(), "turns": turns, "memory": recent[1], "state": state}
    mutants["the form before"] = json.dumps(before).encode()
    for path in _places(before):
        for value in (None, -1, "x", [], {}, [[]], 2**70, {"x": 1}):
            mutants[f"{path} = {value!r}"] = json.dumps(_with(before, path, value)).encode()
    for kind, number in {"NaN": float("nan"), "-inf": float("-inf")}.items():
        numbers = struct.pack("<f", number) * (len(parts[4]) // 4)
        mutants[kind] = msgspec.msgpack.encode([*parts[:4], numbers])
    for number, (kind, content) in enumerate(mutants.items()):
        yield kind, _put(folder / f"session-{number}", content)


def _places(value, path=()):
    """Paths to all parts of a document, of a list the first."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _places(inner, (*path, key))
    elif isinstance(value, list) and value:
        yield from _places(value[0], (*path, 0))


def _with(document, path, value):
    copy = json.loads(json.dumps(document))
    place = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return copy


def entries(folder, entry):
    """Write changed copies of a cache entry; all hashes are right."""
    good = {path.name: path.read_bytes() for path in entry.iterdir()}
    changes = {}
    for name in ("train.safetensors", "dev.safetensors"):
        for array in load(good[name]):
            for kind, convert in {
                "beyond": lambda a: np.full_like(a, 2**30) if a.dtype.kind == "i" else np.full_like(a, np.nan) if a.dtype.kind == "f" else a[1:].copy(),
                "negative": lambda a: np.full_like(a, -5) if a.dtype.kind == "i" else a[:-1].copy(),
                "shorter": lambda a: a[1:].copy(), "longer": lambda a: np.concatenate([a, a]), "text": lambda a: a.view(np.uint8).copy(),
            }.items():  # fmt: skip
                arrays = load(good[name])
                arrays[array] = convert(arrays[array])
                changes[f"{name} {array}: {kind}"] = {name: save(arrays)}
            arrays = load(good[name])
            del arrays[array]
            changes[f"{name} without {array}"] = {name: save(arrays)}
    for name in good:
        for kind, content in {
            "empty": b"",
            "deep": b"[" * 100_000,
            "pickle": pickle.dumps(Harmful()),
            "list": b"[1]",
            "object": b"{}",
        }.items():
            changes[f"{name} {kind}"] = {name: content}
    for number, (kind, changed) in enumerate(changes.items()):
        place = folder / f"entry-{number}"
        place.mkdir()
        files = {**good, **changed}
        if "entry.json" not in changed:
            hashes = {name: sha256(content).hexdigest() for name, content in files.items() if name != "entry.json"}
            files["entry.json"] = json.dumps({"files": hashes}).encode()
        for name, content in files.items():
            _put(place / name, content)
        yield kind, place


def stores(folder, saved):
    """Write SQLite files whose rows are no sessions, or that are no such files."""
    columns = "id TEXT PRIMARY KEY, version INTEGER NOT NULL, expires REAL NOT NULL, data BLOB NOT NULL"
    rows = {
        "version 2^63 - 1": (2**63 - 1, 1e18, saved), "version as text": ("x", 1e18, saved), "version -1": (-1, 1e18, saved),
        "version 0": (0, 1e18, saved), "version 1.5": (1.5, 1e18, saved), "data as text": (1, 1e18, "x"), "data as number": (1, 1e18, 7),
        "no data": (1, 1e18, b""), "pickle": (1, 1e18, pickle.dumps(Harmful())), "expires as text": (1, "never", saved),
    }  # fmt: skip
    for number, (kind, row) in enumerate(rows.items()):
        path = folder / f"rows-{number}.sqlite"
        with sqlite3.connect(path) as file:
            file.execute(f"CREATE TABLE sessions ({columns})")
            file.execute("INSERT INTO sessions VALUES ('s', ?, ?, ?)", row)
        file.close()
        yield kind, path
    schemas = {
        "other columns": "CREATE TABLE sessions (a, b)", "a view": "CREATE VIEW sessions AS SELECT 1 AS id, 2 AS version, 3 AS expires, 4 AS data",
        "endless view": "CREATE VIEW sessions AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT 's' AS id, 1 AS version, x AS expires, x AS data FROM n",
        "trigger": f"CREATE TABLE sessions ({columns}); CREATE TRIGGER t BEFORE INSERT ON sessions BEGIN SELECT RAISE(ABORT, 'no'); END",
    }  # fmt: skip
    for number, (kind, schema) in enumerate(schemas.items()):
        path = folder / f"schema-{number}.sqlite"
        with sqlite3.connect(path) as file:
            file.executescript(schema)
        file.close()
        yield kind, path
    good = (folder / "rows-0.sqlite").read_bytes()
    for number, content in enumerate(
        (b"text " * 100, good[:1000], good[:100] + b"\xff" * 4000, good[:5000], bytes(9000))
    ):
        yield f"damaged {number}", _put(folder / f"damaged-{number}.sqlite", content)
