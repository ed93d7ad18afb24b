"""The network: Input (None, features) → LSTM(return_sequences=True) … → TimeDistributed(Dense(n_actions))."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import keras

from dialog_policy.network.config import Precision
from dialog_policy.network.lstm import CarriedLSTM, HoistedLSTM

__all__ = ["FoldedTimeDistributed", "build_network", "weights_of", "windowed", "with_probabilities"]


@keras.saving.register_keras_serializable("dialog_policy")
class FoldedTimeDistributed(keras.layers.TimeDistributed):
    """``TimeDistributed`` that folds time into the batch: (B, T, H) → (B·T, H) → (B, T, K).

    The same function as its parent's for a layer without state such as ``Dense``. The parent loops over time, which
    compiles slowly, and in Keras 3.14 to 3.15.1 returns outputs of a wrong length when the number of steps changes.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Apply the layer to every step of `inputs`, shape (batch, time, units)."""
        batch, time = keras.ops.shape(inputs)[:2]
        folded = self.layer(keras.ops.reshape(inputs, (-1, inputs.shape[-1])))
        return keras.ops.reshape(folded, (batch, time, folded.shape[-1]))


def build_network(
    n_features: int,
    n_actions: int,
    *,
    hidden: Sequence[int],
    dropout: float,
    seed: int,
    precision: Precision = "float32",
) -> keras.Model:
    """Build the network that training uses.

    Parameters
    ----------
    n_features, n_actions
        Width of a turn's features and of its bit vector.
    hidden
        Units of each LSTM layer, from the input upwards.
    dropout
        Share of features, and of LSTM outputs, dropped in training.
    seed
        Seed of the initial weights and of dropout.
    precision
        ``"mixed"``: everything below the head computes with bfloat16.

    Returns
    -------
    keras.Model
        From features, shape (batch, time, n_features), to logits, shape (batch, time, n_actions). Batch and time are None:
        any number of dialogues of any length. The head sees the last LSTM's output beside the turn's own features, so that
        the recurrence only has to keep what the turn does not say itself.
    """
    seeds = keras.random.SeedGenerator(seed)

    def fresh() -> int:
        return int(keras.random.randint((), 0, 2**31 - 1, seed=seeds))

    dtype = keras.DTypePolicy("mixed_bfloat16" if precision == "mixed" else "float32")
    layers: dict[str, Any] = {
        "feature_dropout": keras.layers.Dropout(dropout, seed=fresh(), name="feature_dropout", dtype=dtype)
    }
    for number, units in enumerate(hidden):
        layers[f"lstm_{number}"] = HoistedLSTM(
            units,
            kernel_initializer=keras.initializers.GlorotUniform(fresh()),
            recurrent_initializer=keras.initializers.Orthogonal(seed=fresh()),
            name=f"lstm_{number}",
            dtype=dtype,
        )
        layers[f"dropout_{number}"] = keras.layers.Dropout(dropout, seed=fresh(), name=f"dropout_{number}", dtype=dtype)
    layers["turn_and_memory"] = keras.layers.Concatenate(name="turn_and_memory", dtype=dtype)
    head = keras.layers.Dense(
        n_actions, kernel_initializer=keras.initializers.GlorotUniform(fresh()), name="actions", dtype="float32"
    )
    layers["logits"] = FoldedTimeDistributed(head, name="logits", dtype="float32")
    inputs = keras.Input((None, n_features), name="features")
    return keras.Model(inputs, _connect(layers, inputs), name="dialog_policy")


def _connect(layers: Mapping[str, Any], inputs: Any) -> Any:
    turn = layers["feature_dropout"](inputs)
    memory = turn
    for number in range(sum(name.startswith("lstm_") for name in layers)):
        memory = layers[f"dropout_{number}"](layers[f"lstm_{number}"](memory))
    return layers["logits"](layers["turn_and_memory"]([turn, memory]))


def windowed(network: keras.Model, batch_size: int) -> keras.Model:
    """Return the same network, sharing its weights, for dialogues that come a window at a time.

    Parameters
    ----------
    network
        Made by :func:`build_network`.
    batch_size
        Rows of every batch.

    Returns
    -------
    keras.Model
        From ``{"features": (batch, time, n_features), "fresh": (batch, 1)}`` to logits. The state of each row is carried from
        one batch to the next and begins anew where `fresh` is 1, as ``DialogueBatches(strategy="window")`` says it.
    """
    inputs = keras.Input(batch_shape=(batch_size, None, network.input_shape[-1]), name="features")
    fresh = keras.Input(batch_shape=(batch_size, 1), name="fresh")
    layers: dict[str, Any] = {layer.name: layer for layer in network.layers}
    for name, layer in layers.items():
        if isinstance(layer, HoistedLSTM):
            carried: Any = CarriedLSTM(layer, batch_size, name=f"carried_{name}", dtype=layer.dtype_policy)
            layers[name] = partial(carried, fresh=fresh)
    return keras.Model({"features": inputs, "fresh": fresh}, _connect(layers, inputs), name="dialog_policy_windowed")


def with_probabilities(network: keras.Model, *, single_action: bool) -> keras.Model:
    """Return the same network, sharing its weights, with probabilities in place of logits.

    Softmax over the actions where every turn has exactly one, else a sigmoid an action.
    """
    activation = "softmax" if single_action else "sigmoid"
    probabilities = keras.layers.Activation(activation, name="probabilities")(network.outputs[0])
    return keras.Model(network.inputs, probabilities, name=network.name)


def weights_of(network: keras.Model) -> dict[str, Any]:
    """Weights by name: ``lstm_0.kernel``, ``lstm_0.recurrent_kernel``, ``lstm_0.bias``, …, ``head.kernel``, ``head.bias``."""
    layers = {
        f"lstm_{n}": layer for n, layer in enumerate(x for x in network.layers if isinstance(x, keras.layers.LSTM))
    }
    layers["head"] = network.get_layer("logits")
    names = ("kernel", "recurrent_kernel", "bias")
    return {
        f"{name}.{part}": array
        for name, layer in layers.items()
        for part, array in zip(names if name != "head" else names[::2], layer.get_weights(), strict=True)
    }
