"""Runs whose author controls every file, so that all hashes are right: what is wrong is in the files themselves."""

import io
import json
import os
import pickle
import shutil
import struct
import zipfile
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from safetensors.numpy import load, save

from tests.conftest import REPOSITORY

GOOD = REPOSITORY / "tests" / "fixtures" / "run-format-4"
# A file that hostile content would make, were it executed.
TRACE = "executed"


class Harmful:
    """Executes code when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, (TRACE,)


@cache
def _good_files():
    return {path.name: path.read_bytes() for path in GOOD.iterdir()}


def good_files():
    return dict(_good_files())


def _put(run, files):
    """Write a run's folder; what is as in the good run is linked."""
    run.mkdir()
    for name, content in files.items():
        if content is good_files().get(name):
            (run / name).hardlink_to(run.parent / "good" / name)
        else:
            (run / name).write_bytes(content)


def hashed(files):
    """Put right hashes into the manifest."""
    manifest = json.loads(files["run.json"])
    manifest["files"] = {n: sha256(c).hexdigest() for n, c in files.items() if n != "run.json"}
    return {**files, "run.json": json.dumps(manifest).encode()}


def changed_document(name, change):
    files = good_files()
    document = json.loads(files[name])
    change(document)
    return {**files, name: json.dumps(document).encode()}


def changed_arrays(name, change):
    files = good_files()
    arrays = load(files[name])
    change(arrays)
    return {**files, name: save(arrays)}


def with_file(name, content):
    return {**good_files(), name: content}


def raw_arrays(header, content=b"", length=None):
    written = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(written) if length is None else length) + written + content


def _assign(*path, value):
    def change(document):
        place = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def _delete(*path):
    def change(document):
        place = document
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]

    return change


_WRONG_VALUES = (None, -1, 1e308, "x", [], {}, [[]], True)
# Parts of documents that have to be of one type or in a range, and one value that would be right here.
_PARTS = {
    "run.json": [("actions",), ("corpus",), ("config",), ("history",), ("created",), ("corpus", "train")],
    "decoder.json": [("temperature",), ("fallback_below",), ("sets",), ("counts",), ("single_action",)],
    "encoder.json": [("tokenizer",), ("words",), ("tables",), ("facts",), ("tables", "user"),
                     *(("tables", "user", 0, part) for part in
                       ("analyzer", "terms", "pools", "frequency", "unit_length", "scale"))],
    "replies.json": [("templates",), ("gazetteer",), ("templates", 0)],
    "baselines.json": [("tokenizer",), ("sets",), ("after",), ("support",), ("regressions",)],
    "dialogues.json": [("train",), ("dev",)],
}  # fmt: skip
# What is not wrong after all: nothing, or what the files without entities or templates have.
_FITTING = {
    ("run.json", "config", "{}"), ("run.json", "actions", "[]"), ("run.json", "history", "[]"),
    ("run.json", "created", "'x'"), ("decoder.json", "single_action", "True"), ("encoder.json", "words", "[]"),
    ("encoder.json", "facts", "None"), ("encoder.json", "facts", "[]"), ("encoder.json", "user", "[]"),
    ("encoder.json", "unit_length", "True"), ("encoder.json", "scale", "-1"), ("encoder.json", "terms", "[]"),
    ("replies.json", "templates", "[]"), ("replies.json", "gazetteer", "{}"), ("baselines.json", "after", "[]"),
    ("baselines.json", "support", "{}"), ("dialogues.json", "train", "[]"), ("dialogues.json", "dev", "[]"),
}  # fmt: skip


def _documents():
    for name, parts in _PARTS.items():
        for part in parts:
            if part != ("templates", 0):  # nobody needs to have a reply
                yield f"{name} without {part}", name, changed_document(name, _delete(*part))
            for value in _WRONG_VALUES:
                if (name, part[-1], repr(value)) not in _FITTING:
                    yield f"{name}: {part} = {value!r}", name, changed_document(name, _assign(*part, value=value))
    for name in _PARTS:
        for kind, content in {
            "deep": b"[" * 200_000, "deep object": b'{"a":' * 100_000, "cut": b'{"a"', "list": b"[]", "number": b"1",
            "not UTF-8": b'{"a": "\xff"}', "empty": b"", "NUL": bytes(1000), "NaN": b'{"a": NaN}',
            "digits": b'{"a": ' + b"9" * 10_000 + b"}", "pickle": pickle.dumps(Harmful()),
        }.items():  # fmt: skip
            yield f"{name}: {kind}", name, with_file(name, content)
    table = ("tables", "user", 0)
    for longest in (10**9, 65, 0, -3):
        change = _assign(*table, "analyzer", value={"unit": "word", "shortest": 1, "longest": longest})
        yield f"n-grams to {longest}", "encoder.json", changed_document("encoder.json", change)
    yield "twice a term", "encoder.json", changed_document("encoder.json", _assign(*table, "terms", 1, value="i"))
    yield "fewer terms", "network.safetensors", changed_document("encoder.json", _assign(*table, "terms", value=["i"]))
    yield "fewer actions", "decoder.json", changed_document("run.json", lambda d: d["actions"].pop())
    yield "more actions", "network.safetensors", changed_document("run.json", lambda d: d["actions"].append("z"))
    yield "twice an action", "run.json", changed_document("run.json", lambda d: d["actions"].append("ack"))
    yield (
        "twice a set",
        "decoder.json",
        changed_document("decoder.json", lambda d: d["sets"].__setitem__(0, d["sets"][1])),
    )
    yield "fewer counts", "decoder.json", changed_document("decoder.json", lambda d: d["counts"].pop())
    yield "count 0", "decoder.json", changed_document("decoder.json", _assign("counts", 0, value=0))
    yield "temperature -1", "decoder.json", changed_document("decoder.json", _assign("temperature", value=-1.0))
    yield "temperature 0", "decoder.json", changed_document("decoder.json", _assign("temperature", value=0))
    yield "one action", "decoder.json", changed_document("decoder.json", _assign("single_action", value=True))
    yield "unknown tokeniser", "encoder.json", changed_document("encoder.json", _assign("tokenizer", value="os:system"))
    yield "other version", "run", changed_document("run.json", _assign("format_version", value=99))
    yield "version as text", "run", changed_document("run.json", _assign("format_version", value="4"))
    yield "a baseline's set", "baselines.json", changed_document("baselines.json", lambda d: d["sets"].pop())


def _weights():
    for name in ("network.safetensors", "baselines.safetensors"):
        about = "baselines.json" if name == "baselines.safetensors" else name
        for array in load(good_files()[name]):
            for kind, convert in {
                "NaN": lambda a: np.full_like(a, np.nan), "-inf": lambda a: np.full_like(a, -np.inf),
                "int64": lambda a: a.astype(np.int64), "bool": lambda a: a.astype(bool),
                "float64": lambda a: a.astype(np.float64), "shorter": lambda a: a[1:].copy(),
                "scalar": lambda a: np.array(a.reshape(-1)[0]), "one more axis": lambda a: a[None].copy(),
                "huge": lambda a: np.full_like(a, np.finfo(a.dtype).max if a.dtype.kind == "f" else np.iinfo(a.dtype).max),
            }.items():  # fmt: skip
                if kind in ("NaN", "-inf") and load(good_files()[name])[array].dtype.kind != "f":
                    continue
                if (kind, array) == ("huge", "nearest_neighbour.weights"):
                    continue  # the largest number of this type is harmless
                yield (
                    f"{array}: {kind}",
                    about,
                    changed_arrays(name, lambda d, a=array, c=convert: d.update({a: c(d[a])})),
                )
            if not array.endswith(("user.weights", "system.weights", "history.actions")):  # which may be missing
                yield f"without {array}", about, changed_arrays(name, lambda d, a=array: d.pop(a))
    name = "network.safetensors"
    yield "one more array", name, changed_arrays(name, lambda d: d.update({"lambda": np.zeros(3, np.float32)}))
    yield (
        "a layer too many",
        name,
        changed_arrays(name, lambda d: d.update({"lstm_1.recurrent_kernel": d["lstm_0.recurrent_kernel"]})),
    )
    tensor = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    keras = io.BytesIO()
    with zipfile.ZipFile(keras, "w") as archive:
        archive.writestr(
            "config.json",
            json.dumps({"class_name": "Lambda", "config": {"function": "__import__('os').mkdir('executed')"}}),
        )
        archive.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n")
    objects = io.BytesIO()
    np.save(objects, np.array([Harmful()], dtype=object), allow_pickle=True)
    contents = {
        "pickle": pickle.dumps(Harmful()), "Keras archive with Lambda": keras.getvalue(), "NumPy objects": objects.getvalue(),
        "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(100), "empty": b"", "zeros": bytes(1 << 20),
        "header beyond the end": raw_arrays({}, length=1 << 19), "header of 2^63 bytes": raw_arrays({}, length=2**63),
        "header of 90 MB": raw_arrays({}, length=90_000_000), "deep header": raw_arrays(b"[" * 100_000),
        "overlapping": raw_arrays({"a": tensor, "b": tensor}, bytes(8)),
        "out of range": raw_arrays({"a": {**tensor, "data_offsets": [0, 2**40], "shape": [2**38]}}, bytes(8)),
        "backwards": raw_arrays({"a": {**tensor, "data_offsets": [8, 0]}}, bytes(8)),
        "overflowing shape": raw_arrays({"a": {**tensor, "shape": [2**62, 2**62]}}, bytes(8)),
        "unknown type": raw_arrays({"a": {**tensor, "dtype": "O"}}, bytes(8)),
        "complex": raw_arrays({"a": {**tensor, "dtype": "C64"}}, bytes(8)),
        "float8": raw_arrays({"a": {**tensor, "dtype": "F8_E4M3", "shape": [8]}}, bytes(8)),
        "bfloat16": raw_arrays({"a": {**tensor, "dtype": "BF16", "shape": [4]}}, bytes(8)),
        "truncated": good_files()["network.safetensors"][:-100], "longer": good_files()["network.safetensors"] + bytes(9),
        "encoder's": good_files()["encoder.safetensors"],
    }  # fmt: skip
    for kind, content in contents.items():
        for file in ("network.safetensors", "encoder.safetensors"):
            if content != good_files()[file]:
                yield f"{file}: {kind}", "encoder" if file[0] == "e" else file, with_file(file, content)


def _graphs():
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def model(nodes, constants=()):
        value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("features", "logits")]
        return helper.make_model(helper.make_graph(nodes, "g", value[:1], value[1:], list(constants)))

    good = onnx.load_from_string(good_files()["model.onnx"])
    outside = numpy_helper.from_array(np.zeros(4, np.float32), "x")
    outside.ClearField("raw_data")
    outside.data_location = TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="../../../../etc/passwd")
    enormous = TensorProto(dims=[2**40], data_type=TensorProto.FLOAT, name="x")
    add = helper.make_node("Add", ["features", "x"], ["logits"])
    endless = helper.make_graph([helper.make_node("Identity", ["go"], ["again"])], "body", [], [])
    shifted = onnx.ModelProto.FromString(good.SerializeToString())
    last = shifted.graph.initializer[-1]
    last.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(last) + 1, last.name))
    graphs = {
        "external data": model([add], [outside]), "enormous initialiser": model([add], [enormous]),
        "unknown operator": model([helper.make_node("Exfiltrate", ["features"], ["logits"], domain="evil")]),
        "loop": model([helper.make_node("Loop", ["n", "go", "features"], ["logits"], body=endless)]),
        "other weights": shifted,
    }  # fmt: skip
    for kind, graph in graphs.items():
        yield f"model.onnx: {kind}", "model.onnx", with_file("model.onnx", graph.SerializeToString())
    for kind, content in {
        "empty": b"",
        "zeros": bytes(1 << 20),
        "pickle": pickle.dumps(Harmful()),
        "fields": b"\xff" * 999,
    }.items():
        yield f"model.onnx: {kind}", "model.onnx", with_file("model.onnx", content)


def folders(folder):
    """Write hostile folders; yield each with a name and what the error has to name."""
    shutil.copytree(GOOD, folder / "good")
    for number, (kind, named, files) in enumerate((*_documents(), *_weights(), *_graphs())):
        run = folder / f"run-{number}"
        _put(run, hashed(files) if b'"files"' in files["run.json"] else files)
        yield kind, named, run
    for name in sorted(good_files()):
        for kind, place in {
            "missing": None,
            "a folder": Path.mkdir,
            "a pipe": os.mkfifo,
            "a link to a device": None,
        }.items():
            run = folder / f"{name}-{kind}"
            _put(run, good_files())
            (run / name).unlink()
            if kind == "a link to a device":
                (run / name).symlink_to("/dev/zero")
            elif place:
                place(run / name)
            yield f"{name} is {kind}", name, run
        run = folder / f"{name}-sparse"
        _put(run, {**good_files(), name: b""})
        os.truncate(run / name, 3 << 30 if name.endswith("json") else 5 << 30)
        yield f"{name} of gigabytes", name, run


def _zip(path, members, compression=zipfile.ZIP_DEFLATED):
    import warnings

    with zipfile.ZipFile(path, "w", compression) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # members of one name
        for name, content in members:
            archive.writestr(name, content)
    return path


def archives(folder):
    """Write hostile archives."""
    files = good_files()
    whole = list(files.items())
    bomb = hashed({**files, "replies.json": b'{"templates":[' + b"[]," * 10_000_000 + b'[]],"gazetteer":{}}'})
    yield "a bomb", "replies.json", _zip(folder / "bomb.zip", bomb.items())
    zeros = hashed({**files, "network.safetensors": bytes(300 << 20)})
    yield "300 MB of zeros", "network.safetensors", _zip(folder / "zeros.zip", zeros.items())
    yield (
        "many members",
        "many.zip",
        _zip(folder / "many.zip", [*whole, *((f"{i}", b"") for i in range(5_000))], zipfile.ZIP_STORED),
    )
    yield (
        "long names",
        "long.zip",
        _zip(folder / "long.zip", [*whole, *(("x" * 65_000 + str(i), b"") for i in range(5))]),
    )
    for name in ("run.json", "network.safetensors"):
        path = _zip(folder / f"twice-{name}.zip", [*whole, (name, files[name])])
        yield f"{name} twice", name, path
    yield "nothing", "run.json", _zip(folder / "empty.zip", [])
    yield "no zip", "text.zip", _written(folder / "text.zip", b"PK\x03\x04" + bytes(100))
    content = _zip(folder / "good.zip", whole).read_bytes()
    for share in (0.1, 0.5, 0.9, 0.999):
        yield f"cut at {share}", "cut", _written(folder / f"cut-{share}.zip", content[: int(len(content) * share)])
    for start in range(200, len(content) - 200, len(content) // 12):
        damaged = content[:start] + bytes(150) + content[start + 150 :]
        yield f"damaged at {start}", "damaged", _written(folder / f"damaged-{start}.zip", damaged)
    end = content.rindex(b"PK\x05\x06")
    claims = bytearray(content)
    struct.pack_into("<HHI", claims, end + 8, 0xFFFE, 0xFFFE, 0xFFFFFFF0)
    yield "a directory of gigabytes", "claims.zip", _written(folder / "claims.zip", bytes(claims))


def slipping(folder):
    """Write archives that are good but for members that lead out of them: these are never written or read."""
    members = [*good_files().items(), ("../../slipped", b"x"), ("/tmp/slipped", b"x"), ("..\\slipped", b"x")]
    yield "zip-slip", "", _zip(folder / "slip.zip", members)
    manifest = json.loads(good_files()["run.json"])
    manifest["files"]["../../../etc/passwd"] = "0" * 64
    files = {**good_files(), "run.json": json.dumps(manifest).encode()}
    yield "a name that leads out", "", _zip(folder / "out.zip", files.items())
    replies = json.loads(good_files()["replies.json"])
    for template in replies["templates"]:
        template[1] = ["{0.__class__.__mro__} %s %(x)s ${x} <name.__class__> {{7*7}}"]
    yield (
        "format specs",
        "",
        _zip(folder / "format.zip", hashed({**good_files(), "replies.json": json.dumps(replies).encode()}).items()),
    )


def _written(path, content):
    path.write_bytes(content)
    return path
