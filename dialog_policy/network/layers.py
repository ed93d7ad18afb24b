"""The network: Input (None, features) → LSTM(return_sequences=True) … → TimeDistributed(Dense(n_actions))."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np

from dialog_policy.network.config import Precision
from dialog_policy.network.lstm import CarriedLSTM, HoistedLSTM

__all__ = ["FoldedTimeDistributed", "build_network", "plain_network", "weights_of", "windowed"]

# What features are multiplied with before anything is learnt from them. A step of AdamW moves every weight by about as much, so
# a logit by as much times the sum of a turn's hundreds of features: with features as they are, training learns its part by heart
# within a few epochs (docs/lab/accuracy.md has figures). A power of 2, so that folding it into the weights is exact.
_FEATURE_SCALE = 0.5


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
        "feature_scale": keras.layers.Rescaling(_FEATURE_SCALE, name="feature_scale", dtype=dtype),
        "feature_dropout": keras.layers.Dropout(dropout, seed=fresh(), name="feature_dropout", dtype=dtype),
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
    scaled = layers["feature_scale"](inputs) if "feature_scale" in layers else inputs
    turn = layers["feature_dropout"](scaled)
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


def plain_network(weights: Mapping[str, Any], *, dropout: float, single_action: bool) -> keras.Model:
    """Build the network that a run describes of Keras' own layers, which any installation of Keras loads.

    Parameters
    ----------
    weights
        As :func:`weights_of` names them.
    dropout
        Share of features, and of LSTM outputs, dropped if it is trained further.
    single_action
        Whether the actions exclude each other.

    Returns
    -------
    keras.Model
        From features as an encoder makes them, shape (batch, time, n_features), to probabilities, shape (batch, time,
        n_actions): softmax over the actions where every turn has exactly one, else a sigmoid an action.
    """
    n_features, n_actions = len(weights["lstm_0.kernel"]), len(weights["head.bias"])
    layers: dict[str, Any] = {"feature_dropout": keras.layers.Dropout(dropout, name="feature_dropout")}
    for number in range(sum(name.endswith(".recurrent_kernel") for name in weights)):
        units = len(weights[f"lstm_{number}.recurrent_kernel"])
        layers[f"lstm_{number}"] = keras.layers.LSTM(units, return_sequences=True, name=f"lstm_{number}")
        layers[f"dropout_{number}"] = keras.layers.Dropout(dropout, name=f"dropout_{number}")
    layers["turn_and_memory"] = keras.layers.Concatenate(name="turn_and_memory")
    layers["logits"] = keras.layers.TimeDistributed(keras.layers.Dense(n_actions, name="actions"), name="logits")
    inputs = keras.Input((None, n_features), name="features")
    activation = keras.layers.Activation("softmax" if single_action else "sigmoid", name="probabilities")
    network = keras.Model(inputs, activation(_connect(layers, inputs)), name="dialog_policy")
    network.set_weights([weights[name] for name in _names_of(network)])
    return network


def _names_of(network: keras.Model) -> list[str]:
    """Return the names of all weights, in Keras' order, as :func:`weights_of` has them."""
    recurrent = [layer.name for layer in network.layers if isinstance(layer, keras.layers.LSTM)]
    of_lstm = [f"{name}.{part}" for name in recurrent for part in ("kernel", "recurrent_kernel", "bias")]
    return [*of_lstm, "head.kernel", "head.bias"]


def weights_of(network: keras.Model) -> dict[str, Any]:
    """Return the weights of a network by name, for features as an encoder makes them.

    Parameters
    ----------
    network
        Made by :func:`build_network`. What it multiplies features with is part of the kernels that are returned.

    Returns
    -------
    dict
        ``lstm_0.kernel``, ``lstm_0.recurrent_kernel``, ``lstm_0.bias``, …, ``head.kernel``, ``head.bias``.
    """
    weights = dict(zip(_names_of(network), network.get_weights(), strict=True))
    scale = np.float32(network.get_layer("feature_scale").scale)
    n_features = network.input_shape[-1]
    weights["lstm_0.kernel"] = weights["lstm_0.kernel"] * scale
    head = weights["head.kernel"]
    weights["head.kernel"] = np.concatenate([head[:n_features] * scale, head[n_features:]])
    return weights
