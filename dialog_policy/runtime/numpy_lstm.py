"""The network one turn at a time, in NumPy: what a session needs, at a tenth of what a call into a graph costs.

A turn's features meet the first layer and the head as a matrix product, and a product can be taken apart: what an utterance
contributes is computed once and remembered, an utterance's bits are looked up instead of multiplied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from dialog_policy.features.encoder import TurnEncoder
from dialog_policy.features.turn_values import TurnValues
from dialog_policy.text.table import FloatArray

__all__ = ["NumpyLSTM"]

# Contributions that are remembered of each part of a turn; one takes 4 (4 units + actions) bytes.
_REMEMBERED = 4_096


class NumpyLSTM:
    """Steps the network of a run, by the equations of a Keras LSTM.

    Parameters
    ----------
    arrays
        ``lstm_0.kernel``, ``lstm_0.recurrent_kernel``, ``lstm_0.bias``, …, ``head.kernel``, ``head.bias`` as Keras has them
        (gates i, f, c, o; the head takes the features, then the output of the last LSTM).
    encoder
        Makes the features.

    """

    def __init__(self, arrays: Mapping[str, FloatArray], encoder: TurnEncoder) -> None:
        n_layers = sum(name.endswith(".recurrent_kernel") for name in arrays)
        layers = [[_gates(arrays[f"lstm_{n}.{part}"]) for part in ("kernel", "recurrent_kernel", "bias")]
                  for n in range(n_layers)]  # fmt: skip
        head, head_bias = arrays["head.kernel"], arrays["head.bias"]
        width = encoder.dim
        self._recurrent = [recurrent for _, recurrent, _ in layers]
        self._above = [(kernel, bias) for kernel, _, bias in layers[1:]]
        self._head = np.ascontiguousarray(head[width:])
        # Features to the gates of the first layer and, beside them, to the logits.
        bias = np.concatenate([layers[0][2], head_bias])
        self._width = len(bias)
        projection = np.concatenate([layers[0][0], head[:width]], axis=1)
        self._parts: list[Callable[[Any], FloatArray]] = []
        start = 0
        for name, size in encoder.layout.items():
            project = encoder.projector(name, projection[start : start + size])
            # Every turn has actions before it: they bring the bias with them.
            self._parts.append(lru_cache(_REMEMBERED)(_plus(project, bias) if name == "actions" else project))
            start += size

    def start(self) -> FloatArray:
        """Return the state before the first turn: hidden and cell of each layer, zeros of shape (state_size,)."""
        return np.zeros(2 * sum(map(len, self._recurrent)), dtype=np.float32)

    def step(self, turns: Sequence[TurnValues], state: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Compute one turn of n dialogues.

        Parameters
        ----------
        turns
            What is encoded of each, as :meth:`dialog_policy.features.encoder.TurnEncoder.values` returns it.
        state
            Shape (n, state_size): after the turn before; zeros at the start.

        Returns
        -------
        logits, state
            Shapes (n, n_actions) and (n, state_size).
        """
        user, system, context, known, actions = self._parts
        projected = np.empty((len(turns), self._width), dtype=np.float32)
        for row, turn in zip(projected, turns, strict=True):
            np.add(user(turn.user), system(turn.system), out=row)
            row += context(turn.context)
            if turn.known:
                row += known(turn.known)
            row += actions(turn.actions)
        after = np.empty_like(state)
        width = 4 * len(self._recurrent[0])
        gates = projected[:, :width]
        below = np.empty(0, dtype=np.float32)
        start = 0
        for number, recurrent in enumerate(self._recurrent):
            units = len(recurrent)
            hidden, cell = state[:, start : start + units], state[:, start + units : start + 2 * units]
            if number:
                kernel, bias = self._above[number - 1]
                gates = below.dot(kernel)
                gates += bias
            gates += hidden.dot(recurrent)
            # Columns i, f, o were halved: sigmoid(x) is (1 + tanh(x / 2)) / 2, and one tanh serves all four gates.
            np.tanh(gates, out=gates)
            opened = gates[:, : 3 * units]
            opened *= _HALF
            opened += _HALF
            new_cell = after[:, start + units : start + 2 * units]
            np.multiply(opened[:, units : 2 * units], cell, out=new_cell)
            new_cell += opened[:, :units] * gates[:, 3 * units :]
            below = np.multiply(opened[:, 2 * units :], np.tanh(new_cell), out=after[:, start : start + units])
            start += 2 * units
        logits: FloatArray = projected[:, width:]
        logits += below.dot(self._head)
        return logits, after


_HALF = np.float32(0.5)


def _gates(weights: FloatArray) -> FloatArray:
    """Reorder the gates along the last axis from i, f, c, o to i, f, o, c and halve the first three."""
    i, f, c, o = np.split(weights, 4, axis=-1)
    return np.concatenate([i * _HALF, f * _HALF, o * _HALF, c], axis=-1)


def _plus(project: Callable[[Any], FloatArray], bias: FloatArray) -> Callable[[Any], FloatArray]:
    return lambda value: project(value) + bias
