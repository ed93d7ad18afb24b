"""Whether an ONNX model is a plain graph: all it computes with is inside it, and no operator repeats others.

A model may come from anybody. onnxruntime would read the files that it names, and a loop could go on for ever; both are refused
before onnxruntime sees the model. The few messages of the format (onnx.proto) that this takes are read here.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["check_plain_graph"]

# onnx.proto: a message's fields to the message that they have; a text says why there may be no such field.
_LOOP = "an operator with a graph of its own, such as Loop or If"
_EXTERNAL = "numbers in another file (external data)"
_MESSAGES: dict[str, dict[int, str]] = {
    "Model": {7: "Graph"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 10: "Tensor", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {},
}
_REFUSED: dict[tuple[str, int], str] = {
    ("Model", 20): "a graph for training",
    ("Model", 25): "functions of its own",
    ("Attribute", 6): _LOOP,
    ("Attribute", 11): _LOOP,
    ("Tensor", 13): _EXTERNAL,
}
_DATA_LOCATION, _DEFAULT_LOCATION = ("Tensor", 14), 0
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10


def check_plain_graph(model: bytes) -> None:
    """Refuse a model that is not a plain graph.

    Parameters
    ----------
    model
        A serialised ONNX model.

    Raises
    ------
    ValueError
        If it is not one, has no graph, or has parts that are refused.
    """
    _check("Model", memoryview(model))
    if not any(number == 7 for number, _ in _fields(memoryview(model))):
        raise ValueError("it is not an ONNX model: it has no graph")


def _check(message: str, content: memoryview) -> None:
    """Check a message of Protocol Buffers; no message here contains one of its own kind."""
    for number, value in _fields(content):
        if (message, number) in _REFUSED or ((message, number) == _DATA_LOCATION and value != _DEFAULT_LOCATION):
            raise ValueError(f"it has {_REFUSED.get((message, number), _EXTERNAL)}, which is not taken from a model")
        inner = _MESSAGES[message].get(number)
        if inner is not None:
            if isinstance(value, int):
                raise ValueError("it is not an ONNX model")
            _check(inner, value)


def _fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the fields of a message: their numbers, and a number or what they contain."""
    position = 0
    while position < len(content):
        key, position = _varint(content, position)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, position = _varint(content, position)
            yield number, value
            continue
        if kind == _BYTES:
            size, position = _varint(content, position)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("it is not an ONNX model")
        if size > len(content) - position:
            raise ValueError("it is not an ONNX model, or not all of one")
        yield number, content[position : position + size]
        position += size


def _varint(content: memoryview, position: int) -> tuple[int, int]:
    """Read a number in groups of seven bits, the lowest first; return where the next field begins, too."""
    value = 0
    for shift, byte in enumerate(content[position : position + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value, position + shift + 1
    raise ValueError("it is not an ONNX model, or not all of one")
