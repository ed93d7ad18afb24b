"""Keras' LSTM, computed faster: the same weights, the same function, whatever the backend."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from dialog_policy.network.backend import has_gpu, scan

__all__ = ["CARRIED", "CarriedLSTM", "HoistedLSTM"]

# How the names of states begin that are carried from one batch to the next.
CARRIED = "carried"


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
        inputs = ops.transpose(sequences, (1, 0, 2))
        # Gates in the order i, f, o, g: one sigmoid for three of them.
        kernel, recurrent, bias = (
            _reordered(ops.copy(weight))  # a tensor, also outside a graph, where a variable would stay one
            for weight in (self.cell.kernel, self.cell.recurrent_kernel, self.cell.bias)
        )
        # Time and batch stay apart here and in the gradient: several processes can divide a batch, not both as one axis.
        projected = ops.tensordot(inputs, kernel, axes=1) + bias
        hidden, cell = _lstm(projected, recurrent, *initial_state)
        return ops.transpose(hidden, (1, 0, 2)), (hidden[-1], cell[-1])


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


def _swapped(weight: Any) -> Any:
    units = weight.shape[-1] // 4
    return ops.concatenate([weight[..., : 2 * units], weight[..., 3 * units :], weight[..., 2 * units : 3 * units]], -1)


@ops.custom_gradient
def _reordered(weight: Any) -> Any:
    """Swap the last two gates. The gradient swaps them back; derived, it would be a sum of arrays that are mostly zeros."""

    def gradient(*of_outputs: Any, upstream: Any = None) -> Any:
        return _swapped(keras.tree.flatten(of_outputs if upstream is None else upstream)[0])

    return _swapped(weight), gradient


def _split(opened: Any, units: int) -> tuple[Any, Any, Any]:
    return opened[..., :units], opened[..., units : 2 * units], opened[..., 2 * units :]


@ops.custom_gradient
def _lstm(projected: Any, recurrent: Any, hidden: Any, cell: Any) -> Any:
    """Return outputs and cells of all steps, shape (time, batch, units), from projected inputs, shape (time, batch, 4 units).

    No gradient flows through the cells, which are only carried on.

    The gradient is back-propagation through time (Werbos 1990). It collects what every step passes back, so that the recurrent
    kernel's gradient is one multiplication.
    """
    units = recurrent.shape[0]
    start_hidden, start_cell = hidden, cell

    def forward(state: tuple[Any, Any], step: tuple[Any]) -> tuple[tuple[Any, Any], tuple[Any, ...]]:
        gates = step[0] + ops.matmul(state[0], recurrent)
        opened = ops.sigmoid(gates[..., : 3 * units])
        i, f, o = _split(opened, units)
        g = ops.tanh(gates[..., 3 * units :])
        cell = f * state[1] + i * g
        hidden = o * ops.tanh(cell)
        return (hidden, cell), (hidden, cell, opened, g)

    _, (hiddens, cells, opened, g) = scan(
        forward, (hidden, cell), (projected,), widths=(units, units, 3 * units, units)
    )

    def gradient(*of_outputs: Any, upstream: Any = None) -> tuple[Any, Any, Any, Any]:
        of_hiddens = keras.tree.flatten(of_outputs if upstream is None else upstream)[0]  # nested as the backend likes
        i, f, o = _split(opened, units)
        active = ops.tanh(cells)
        earlier = ops.concatenate([start_cell[None], cells[:-1]], 0)
        # What a gate's input changes in the cell (i, f, g) or in the output (o).
        slopes = ops.concatenate([g * i * (1 - i), earlier * f * (1 - f), active * o * (1 - o), i * (1 - g * g)], -1)
        to_cell = o * (1 - active * active)
        transposed = ops.transpose(recurrent)

        def backward(later: tuple[Any, Any], step: tuple[Any, ...]) -> tuple[tuple[Any, Any], tuple[Any]]:
            of_hidden, slope, through, forget = step
            of_hidden = of_hidden + later[0]
            of_cell = later[1] + of_hidden * through
            of_gates = ops.concatenate([of_cell, of_cell, of_hidden, of_cell], -1) * slope
            return (ops.matmul(of_gates, transposed), of_cell * forget), (of_gates,)

        steps = (of_hiddens, slopes, to_cell, f)
        begin = (ops.zeros_like(start_hidden), ops.zeros_like(start_cell))
        state, (of_gates,) = scan(backward, begin, steps, widths=(4 * units,), reverse=True)
        before = ops.concatenate([start_hidden[None], hiddens[:-1]], 0)
        of_recurrent = ops.tensordot(before, of_gates, axes=[[0, 1], [0, 1]])
        return of_gates, of_recurrent, *state

    return (hiddens, cells), gradient
