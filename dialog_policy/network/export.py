"""The trained network as an ONNX graph, node by node from its weights.

The general converters turn an LSTM into a loop or fail; one ``LSTM`` node a layer serves whole dialogues and single turns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, checker, helper, numpy_helper

__all__ = ["export_onnx"]

# Newest versions that every onnxruntime since 1.20 reads.
_OPSET, _IR_VERSION = 17, 8

_Weights = npt.NDArray[np.float32]


def export_onnx(weights: Mapping[str, _Weights]) -> bytes:
    """Build the graph of :func:`~dialog_policy.network.layers.build_network` without its dropout.

    Parameters
    ----------
    weights
        As :func:`~dialog_policy.network.layers.weights_of` names them. Kernel (features, 4 units), recurrent kernel
        (units, 4 units) and bias (4 units) of each LSTM layer as Keras has them, gates in the order i, f, c, o; kernel
        (features + units, actions) and bias (actions) of the head.

    Returns
    -------
    bytes
        A model with time-major inputs ``features`` (time, batch, features) and, for each layer l, ``hidden_l`` and
        ``cell_l`` (1, batch, units), the state before the first step; outputs ``logits`` (time, batch, actions) and
        ``hidden_l_after``, ``cell_l_after``, the state after the last step.
    """
    n_layers = sum(name.endswith(".recurrent_kernel") for name in weights)
    lstms = [[weights[f"lstm_{n}.{part}"] for part in ("kernel", "recurrent_kernel", "bias")] for n in range(n_layers)]
    head = weights["head.kernel"], weights["head.bias"]
    nodes: list[Any] = []
    constants: list[Any] = []
    inputs = [_tensor("features", ("time", "batch", lstms[0][0].shape[0]))]
    outputs = [_tensor("logits", ("time", "batch", head[1].shape[0]))]

    def constant(name: str, value: npt.ArrayLike, dtype: type = np.float32) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype=dtype), name))
        return name

    axes = constant("directions", [1], np.int64)
    below = "features"
    for number, (kernel, recurrent, bias) in enumerate(lstms):
        units = recurrent.shape[0]
        state = [f"hidden_{number}", f"cell_{number}"]
        after = [f"{name}_after" for name in state]
        inputs += [_tensor(name, (1, "batch", units)) for name in state]
        outputs += [_tensor(name, (1, "batch", units)) for name in after]
        own = [
            constant(f"W_{number}", _onnx_gates(kernel).T[None]),
            constant(f"R_{number}", _onnx_gates(recurrent).T[None]),
            # ONNX adds two biases, one with the input and one with the state.
            constant(f"B_{number}", np.concatenate([_onnx_gates(bias), np.zeros_like(bias)])[None]),
        ]
        nodes.append(
            helper.make_node(
                "LSTM",
                [below, *own, "", *state],
                [f"sequence_{number}", *after],
                f"lstm_{number}",
                hidden_size=units,
            )
        )
        nodes.append(helper.make_node("Squeeze", [f"sequence_{number}", axes], [f"memory_{number}"]))
        below = f"memory_{number}"
    nodes.append(helper.make_node("Concat", ["features", below], ["turn_and_memory"], axis=2))
    nodes.append(helper.make_node("MatMul", ["turn_and_memory", constant("head_kernel", head[0])], ["projected"]))
    nodes.append(helper.make_node("Add", ["projected", constant("head_bias", head[1])], ["logits"]))
    graph = helper.make_graph(nodes, "dialog_policy", inputs, outputs, constants)
    model = helper.make_model(
        graph, producer_name="dialog-policy", opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION
    )
    checker.check_model(model, full_check=True)
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


def _tensor(name: str, shape: tuple[int | str, ...]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _onnx_gates(weights: _Weights) -> _Weights:
    """Reorder the gates along the last axis from Keras' i, f, c, o to ONNX' i, o, f, c."""
    i, f, c, o = np.split(weights, 4, axis=-1)
    return np.concatenate([i, o, f, c], axis=-1)
