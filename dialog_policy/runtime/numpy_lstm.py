"""The network one turn at a time, without a graph: what a session needs, at a tenth of what a call into a graph costs.

A turn's features meet the first layer and the head as a matrix product, and a product can be taken apart: what an utterance
contributes is computed once and remembered, an utterance's bits are looked up instead of multiplied. The rest is compiled where
a compiler was at hand, else it is NumPy.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping, Sequence

import numpy as np

from dialog_policy.compiled import step
from dialog_policy.features.encoder import TurnEncoder
from dialog_policy.features.projector import Projector
from dialog_policy.features.turn_values import TurnValues
from dialog_policy.text.table import FloatArray

__all__ = ["NumpyLSTM"]


class NumpyLSTM:
    """Steps the network of a run, by the equations of a Keras LSTM.

    Parameters
    ----------
    arrays
        ``lstm_0.kernel``, ``lstm_0.recurrent_kernel``, ``lstm_0.bias``, …, ``head.kernel``, ``head.bias`` as Keras has them
        (gates i, f, c, o; the head takes the features, then the output of the last LSTM).
    encoder
        Makes the features.
    compiled
        Whether the compiled step is used where it is installed. Both compute the same but for rounding.
    """

    def __init__(self, arrays: Mapping[str, FloatArray], encoder: TurnEncoder, *, compiled: bool = True) -> None:
        n_layers = sum(name.endswith(".recurrent_kernel") for name in arrays)
        layers = [[_gates(arrays[f"lstm_{n}.{part}"]) for part in ("kernel", "recurrent_kernel", "bias")]
                  for n in range(n_layers)]  # fmt: skip
        head, head_bias = arrays["head.kernel"], arrays["head.bias"]
        width = encoder.dim
        self._recurrent = [recurrent for _, recurrent, _ in layers]
        self._above = [(kernel, bias) for kernel, _, bias in layers[1:]]
        self._head = np.ascontiguousarray(head[width:])
        self._start = bytes(8 * sum(map(len, self._recurrent)))
        self._compiled = self._compile() if compiled and step is not None and sys.byteorder == "little" else None
        # Features to the gates of the first layer and, beside them, to the logits.
        bias = np.concatenate([layers[0][2], head_bias])
        projection = np.concatenate([layers[0][0], head[:width]], axis=1)
        self._parts: list[Projector] = []
        start = 0
        for name, size in encoder.layout.items():
            # Every turn has actions before it: they bring the bias with them.
            own_bias = bias if name == "actions" else None
            self._parts.append(Projector(encoder, name, projection[start : start + size], own_bias, compiled=compiled))
            start += size

    def _compile(self) -> step.Network:
        above = [(kernel.tobytes(), bias.tobytes()) for kernel, bias in self._above]
        layers = [
            (kernel, recurrent.tobytes(), bias)
            for recurrent, (kernel, bias) in zip(self._recurrent, [(None, None), *above], strict=True)
        ]
        return step.Network(tuple(layers), self._head.tobytes(), self._head.shape[1])

    @property
    def is_compiled(self) -> bool:
        """Whether the compiled step is in use."""
        return self._compiled is not None

    def start(self) -> bytes:
        """Return the state before the first turn: hidden and cell of each layer, zeros as little-endian float32."""
        return self._start

    def step(self, turns: Sequence[TurnValues], states: Sequence[bytes]) -> tuple[FloatArray, list[bytes]]:
        """Compute one turn of n dialogues.

        Parameters
        ----------
        turns
            What is encoded of each, as :meth:`dialog_policy.features.encoder.TurnEncoder.values` returns it.
        states
            Of each dialogue the state after the turn before; what :meth:`start` returns at the start.

        Returns
        -------
        logits, states
            Shape (n, n_actions), and the n states after the turn.
        """
        if self._compiled is None:
            return self._step(turns, states)
        logits, after = self._compiled.step(self._projections(turns), states)
        return np.frombuffer(logits, np.float32).reshape(len(after), -1), after

    def _projections(self, turns: Sequence[TurnValues]) -> Sequence[bytes | None]:
        """Return what each part of each turn adds to the gates of the first layer and to the logits; None: nothing."""
        if len(turns) == 1:
            turn = turns[0]
            user, system, context, known, actions = self._parts
            return (
                user.one(turn.user),
                system.one(turn.system),
                context.one(turn.context),
                known.one(turn.known) if turn.known else None,
                actions.one(turn.actions),
            )
        columns = (part.many(values) for part, values in zip(self._parts, zip(*turns, strict=True), strict=True))
        return list(itertools.chain.from_iterable(zip(*columns, strict=True)))

    def _step(self, turns: Sequence[TurnValues], states: Sequence[bytes]) -> tuple[FloatArray, list[bytes]]:
        """Compute in NumPy what the compiled step computes."""
        projected = self._projected(turns)
        state = np.frombuffer(b"".join(states), "<f4").reshape(len(states), -1)
        after = np.empty(state.shape, dtype=np.float32)
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
        return logits, [row.tobytes() for row in after.astype("<f4", copy=False)]

    def _projected(self, turns: Sequence[TurnValues]) -> FloatArray:
        """Return the sums of the projections of each turn: shape (n, width)."""
        projections = self._projections(turns)
        n_parts = len(self._parts)
        rows = [
            [np.frombuffer(own, np.float32) for own in projections[start : start + n_parts] if own is not None]
            for start in range(0, len(projections), n_parts)
        ]
        width = 4 * len(self._recurrent[0]) + self._head.shape[1]
        summed = np.zeros((len(turns), width), dtype=np.float32)
        for row, own in zip(summed, rows, strict=True):
            for part in own:
                row += part
        return summed


_HALF = np.float32(0.5)


def _gates(weights: FloatArray) -> FloatArray:
    """Reorder the gates along the last axis from i, f, c, o to i, f, o, c and halve the first three."""
    i, f, c, o = np.split(weights, 4, axis=-1)
    return np.concatenate([i * _HALF, f * _HALF, o * _HALF, c], axis=-1)
