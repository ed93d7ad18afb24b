"""The trained network as an ONNX graph, node by node from its weights; one ``LSTM`` node a layer serves whole dialogues and turns.

The few messages of the ONNX format (onnx.proto) that this takes are written here: a process that loads a run makes the graph
from the run's weights by itself, and computes nobody else's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["onnx_graph"]

# Newest versions that every onnxruntime since 1.20 reads.
_OPSET, _IR_VERSION = 17, 8
# onnx.proto: TensorProto.DataType and AttributeProto.AttributeType.
_DATA_TYPES = {"float32": 1, "int64": 7}
_INT = 2

_Weights = npt.NDArray[np.float32]


def onnx_graph(weights: Mapping[str, _Weights]) -> bytes:
    """Build the graph of the network without its dropout.

    Parameters
    ----------
    weights
        As a run has them (``network.safetensors``). Kernel (features, 4 units), recurrent kernel (units, 4 units) and bias
        (4 units) of each LSTM layer as Keras has them, gates in the order i, f, c, o; kernel (features + units, actions) and bias
        (actions) of the head.

    Returns
    -------
    bytes
        A model with time-major inputs ``features`` (time, batch, features) and, for each layer l, ``hidden_l`` and
        ``cell_l`` (1, batch, units), the state before the first step; outputs ``logits`` (time, batch, actions) and
        ``hidden_l_after``, ``cell_l_after``, the state after the last step.
    """
    n_layers = sum(name.endswith(".recurrent_kernel") for name in weights)
    lstms = [[weights[f"lstm_{n}.{part}"] for part in ("kernel", "recurrent_kernel", "bias")] for n in range(n_layers)]
    nodes: list[bytes] = []
    constants = [_tensor("directions", np.array([1]))]
    inputs = [_typed("features", ("time", "batch", len(lstms[0][0])))]
    outputs = [_typed("logits", ("time", "batch", len(weights["head.bias"])))]
    below = "features"
    for number, (kernel, recurrent, bias) in enumerate(lstms):
        units = len(recurrent)
        state = [f"hidden_{number}", f"cell_{number}"]
        after = [f"{name}_after" for name in state]
        inputs += [_typed(name, (1, "batch", units)) for name in state]
        outputs += [_typed(name, (1, "batch", units)) for name in after]
        own = [f"{part}_{number}" for part in "WRB"]
        constants += [
            _tensor(own[0], _onnx_gates(kernel).T[None]),
            _tensor(own[1], _onnx_gates(recurrent).T[None]),
            # ONNX adds two biases, one with the input and one with the state.
            _tensor(own[2], np.concatenate([_onnx_gates(bias), np.zeros_like(bias)])[None]),
        ]
        sequence, memory = f"sequence_{number}", f"memory_{number}"
        options = {"hidden_size": units}
        nodes.append(_node("LSTM", [below, *own, "", *state], [sequence, *after], f"lstm_{number}", **options))
        nodes.append(_node("Squeeze", [sequence, "directions"], [memory]))
        below = memory
    constants += [_tensor("head_kernel", weights["head.kernel"]), _tensor("head_bias", weights["head.bias"])]
    nodes.append(_node("Concat", ["features", below], ["turn_and_memory"], axis=2))
    nodes.append(_node("MatMul", ["turn_and_memory", "head_kernel"], ["projected"]))
    nodes.append(_node("Add", ["projected", "head_bias"], ["logits"]))
    graph = _message((1, nodes), (2, "dialog_policy"), (5, constants), (11, inputs), (12, outputs))
    opset = _message((1, ""), (2, _OPSET))
    return _message((1, _IR_VERSION), (2, "dialog-policy"), (7, graph), (8, opset))


def _onnx_gates(weights: _Weights) -> _Weights:
    """Reorder the gates along the last axis from Keras' i, f, c, o to ONNX' i, o, f, c."""
    i, f, c, o = np.split(weights, 4, axis=-1)
    return np.concatenate([i, o, f, c], axis=-1)


def _node(kind: str, inputs: Sequence[str], outputs: Sequence[str], name: str = "", **options: int) -> bytes:
    attributes = [_message((1, option), (3, value), (20, _INT)) for option, value in options.items()]
    return _message((1, inputs), (2, outputs), (3, [name] if name else []), (4, kind), (5, attributes))


def _tensor(name: str, array: npt.NDArray[Any]) -> bytes:
    content = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
    return _message((1, array.shape), (2, _DATA_TYPES[array.dtype.name]), (8, name), (9, content))


def _typed(name: str, shape: Iterable[int | str]) -> bytes:
    """Return the name, type (float32) and shape of an input or output; sizes that may differ have names."""
    sizes = [_message((2, size) if isinstance(size, str) else (1, size)) for size in shape]
    return _message((1, name), (2, _message((1, _message((1, _DATA_TYPES["float32"]), (2, _message((1, sizes))))))))


def _message(*fields: tuple[int, Any]) -> bytes:
    """Return a message of Protocol Buffers: numbers of fields with a number, a text, bytes, or a sequence of these."""
    parts: list[bytes] = []
    for number, value in fields:
        for item in [value] if isinstance(value, int | str | bytes) else value:
            if isinstance(item, int):
                parts += (_varint(number << 3), _varint(item))
            else:
                content = item.encode() if isinstance(item, str) else item
                parts += (_varint(number << 3 | 2), _varint(len(content)), content)
    return b"".join(parts)


def _varint(value: int) -> bytes:
    """Return a number in groups of seven bits, the lowest first."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)
