"""Keras' LSTM, computed faster: the same weights, the same function, whatever the backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from dialog_policy.network.backend import compiles, has_gpu, scan, swap_rows_and_steps

__all__ = ["CARRIED", "CarriedLSTM", "HoistedLSTM"]

# How the names of states begin that are carried from one batch to the next.
CARRIED = "carried"
# Batches of so many rows are two halves for TensorFlow, which it computes at the same time, on a core each: a step's operations are
# too small to be divided. JAX would compute one after the other.
_DIVIDED_FROM = 16
# JAX multiplies a state of so many rows quicker where it is kept transposed from step to step (docs/lab/speed.md).
_TRANSPOSED_FROM = 96


@keras.saving.register_keras_serializable("dialog_policy")
class HoistedLSTM(keras.layers.LSTM):
    """``LSTM(units, return_sequences=True)`` with everything taken out of the recurrence that need not be in it.

    The products with the inputs are one matrix multiplication for all turns of all dialogues; a step of the recurrence has one
    small product left. The gradient is written down instead of derived, so that the gradients of both kernels are one
    multiplication each, too, and a step back has one small product. On a GPU the parent's cuDNN kernel does all this.

    Activations are those of an LSTM (tanh and sigmoid); there is no mask, since padding on the right with weight 0 needs none.
    """

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(units, **{"return_sequences": True, **options})
        if not self.return_sequences or self.go_backwards or self.return_state or self.stateful:
            raise ValueError(
                "HoistedLSTM always runs forwards and returns the outputs of all steps, because a policy cannot look ahead. "
                "It has no other modes."
            )

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        """Compute all steps.

        Parameters
        ----------
        sequences
            Shape (batch, time, features).
        initial_state
            Hidden and cell, shape (batch, units) each; None: zeros.
        mask
            None: a mask is refused.
        training
            Makes no difference: dropout is a layer of its own.

        Returns
        -------
        Tensor of shape (batch, time, units)
        """
        if mask is not None:
            raise ValueError("HoistedLSTM takes no mask: give padding on the right the weight 0.")
        return self.steps(sequences, initial_state, training=training)[0]

    def steps(
        self, sequences: Any, initial_state: Any = None, *, training: bool = False
    ) -> tuple[Any, tuple[Any, Any]]:
        """Return the outputs of all steps, and hidden and cell after the last."""
        if initial_state is None:
            initial_state = self.get_initial_state(ops.shape(sequences)[0])
        if has_gpu():
            _, outputs, last = self.inner_loop(sequences, initial_state, None, training)
            return outputs, last
        # Tensors, also outside a graph, where variables would stay variables.
        weights = tuple(ops.copy(w) for w in (self.cell.kernel, self.cell.recurrent_kernel, self.cell.bias))
        rows = sequences.shape[0]
        if compiles() or rows is None or rows < _DIVIDED_FROM:
            hidden, cell = _lstm(sequences, *weights, *initial_state)
        else:
            halves = [slice(None, rows // 2), slice(rows // 2, None)]
            both = [_lstm(sequences[half], *weights, *(state[half] for state in initial_state)) for half in halves]
            hidden, cell = (ops.concatenate(parts, 0) for parts in zip(*both, strict=True))
        return hidden, (hidden[:, -1], cell)


@keras.saving.register_keras_serializable("dialog_policy")
class CarriedLSTM(keras.layers.Layer):
    """An LSTM that goes on, row by row, from where it was after the call before.

    Parameters
    ----------
    lstm
        The layer whose weights are used.
    batch_size
        Rows of a batch.
    """

    def __init__(self, lstm: HoistedLSTM, batch_size: int, **options: Any) -> None:
        super().__init__(**options)
        self.lstm, self.batch_size = lstm, batch_size

    def build(self, sequences_shape: Any, fresh_shape: Any) -> None:
        """Make the state."""
        self.state = [
            self.add_weight(shape=(self.batch_size, self.lstm.units), initializer="zeros", trainable=False, name=name)
            for name in (f"{CARRIED}_hidden", f"{CARRIED}_cell")
        ]

    def call(self, sequences: Any, fresh: Any, training: bool = False) -> Any:
        """Compute all steps; `fresh`, shape (batch, 1), is 1 where a row begins anew."""
        before = [ops.convert_to_tensor(state) * (1.0 - fresh) for state in self.state]
        outputs, after = self.lstm.steps(sequences, before, training=training)
        for state, value in zip(self.state, after, strict=True):
            state.assign(ops.stop_gradient(value))
        return outputs

    def compute_output_shape(self, sequences_shape: Any, fresh_shape: Any) -> Any:
        """Shape of the outputs."""
        return self.lstm.compute_output_shape(sequences_shape)

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is made of."""
        lstm = keras.saving.serialize_keras_object(self.lstm)
        return {**super().get_config(), "lstm": lstm, "batch_size": self.batch_size}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> CarriedLSTM:
        """Undo :meth:`get_config`."""
        return cls(keras.saving.deserialize_keras_object(config.pop("lstm")), **config)


def _product(sequences: Any, kernel: Any) -> Any:
    """Multiply every turn, shape (time, batch, n), with a kernel."""
    if (
        keras.distribution.distribution() is not None
    ):  # processes can divide a batch, but not time and batch as one axis
        return ops.tensordot(sequences, kernel, axes=1)
    flat = ops.reshape(sequences, (-1, sequences.shape[-1]))
    return ops.reshape(ops.matmul(flat, kernel), (*ops.shape(sequences)[:2], kernel.shape[-1]))


def _sum_of_products(left: Any, right: Any) -> Any:
    """Sum the outer products of all turns, shapes (time, batch, n) and (time, batch, m) to (n, m): the gradient of a kernel."""
    if keras.distribution.distribution() is not None:
        return ops.tensordot(left, right, axes=[[0, 1], [0, 1]])
    flat_left, flat_right = (ops.reshape(x, (-1, x.shape[-1])) for x in (left, right))
    return ops.matmul(_transposed(flat_left), flat_right)


def _transposed(matrix: Any) -> Any:
    return ops.transpose(matrix, (1, 0))  # with the axes named, TensorFlow makes it part of a multiplication


@ops.custom_gradient
def _lstm(sequences: Any, kernel: Any, recurrent: Any, bias: Any, hidden: Any, cell: Any) -> Any:
    """Return the outputs of all steps, shape (batch, time, units), and the last cell, from inputs, shape (batch, time, features).

    No gradient flows through the cell, which is only carried on.

    The gradient is back-propagation through time (Werbos 1990). It collects what every step passes back, so that the gradients
    of both kernels are one multiplication each.
    """
    units = recurrent.shape[0]
    inputs = swap_rows_and_steps(sequences)
    start_hidden, start_cell = hidden, cell
    turned: Callable[[Any], Any] = _transposed if compiles() and hidden.shape[0] >= _TRANSPOSED_FROM else lambda x: x
    # A sigmoid of x is (1 + tanh(x / 2)) / 2, and g is a tanh itself, so one tanh computes all gates.
    half, above = (
        ops.convert_to_tensor(np.repeat(each, units), dtype=recurrent.dtype)
        for each in ((0.5, 0.5, 1.0, 0.5), (0.5, 0.5, 0.0, 0.5))
    )

    def forward(state: tuple[Any, Any], step: tuple[Any]) -> tuple[tuple[Any, Any], tuple[Any, ...]]:
        gates = above + half * ops.tanh(half * (step[0] + ops.matmul(turned(state[0]), recurrent) + bias))
        i, f, g, o = ops.split(gates, 4, axis=-1)
        cell = f * state[1] + i * g
        hidden = o * ops.tanh(cell)
        return (turned(hidden), cell), (hidden, cell, gates)

    _, (hiddens, cells, gates) = scan(
        forward, (turned(hidden), cell), (_product(inputs, kernel),), widths=(units, units, 4 * units)
    )

    def gradient(*of_outputs: Any, upstream: Any = None) -> tuple[Any, ...]:
        of_outputs = keras.tree.flatten(of_outputs if upstream is None else upstream)  # nested as the backend likes
        of_hiddens = swap_rows_and_steps(of_outputs[0])
        i, f, g, o = ops.split(gates, 4, axis=-1)
        active = ops.tanh(cells)
        earlier = ops.concatenate([start_cell[None], cells[:-1]], 0)
        # What a gate's input changes in the cell (i, f, g) or in the output (o).
        slopes = ops.concatenate([g * i * (1 - i), earlier * f * (1 - f), i * (1 - g * g), active * o * (1 - o)], -1)
        to_cell = o * (1 - active * active)
        transposed = _transposed(recurrent)

        def backward(later: tuple[Any, Any], step: tuple[Any, ...]) -> tuple[tuple[Any, Any], tuple[Any]]:
            of_hidden, slope, through, forget = step
            of_hidden = of_hidden + later[0]
            of_cell = later[1] + of_hidden * through
            of_gates = ops.concatenate([of_cell, of_cell, of_cell, of_hidden], -1) * slope
            return (ops.matmul(of_gates, transposed), of_cell * forget), (of_gates,)

        steps = (of_hiddens, slopes, to_cell, f)
        begin = (ops.zeros_like(start_hidden), ops.zeros_like(start_cell))
        state, (of_gates,) = scan(backward, begin, steps, widths=(4 * units,), reverse=True)
        before = ops.concatenate([start_hidden[None], hiddens[:-1]], 0)
        of_bias = _sum_of_products(ops.ones_like(of_gates[..., :1]), of_gates)[0]
        of_sequences = swap_rows_and_steps(_product(of_gates, _transposed(kernel)))
        return of_sequences, _sum_of_products(inputs, of_gates), _sum_of_products(before, of_gates), of_bias, *state

    return (swap_rows_and_steps(hiddens), cells[-1]), gradient
