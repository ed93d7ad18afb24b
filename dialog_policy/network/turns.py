"""Outputs and figures of real turns for any Keras model: neither padding nor the division into batches changes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from dialog_policy.errors import OptionError
from dialog_policy.features.encoded import PADDING, EncodedDialogues
from dialog_policy.network.backend import compiles
from dialog_policy.network.batches import COMPILED_LENGTHS, evaluation_batches
from dialog_policy.text.table import FloatArray

__all__ = ["TurnAccuracy", "TurnMean", "predict_turns", "turns_of"]

# Turns of a dialogue by which a model is checked for looking ahead.
_CHECKED_TURNS = 8


def predict_turns(model: keras.Model, encoded: EncodedDialogues) -> FloatArray:
    """Compute a model's output for every turn.

    Parameters
    ----------
    model
        From features of shape (batch, time, n_features) to (batch, time, n), both batch and time of any size. What it gives at a
        turn must not depend on later turns, nor on what was computed before.
    encoded
        The dialogues.

    Returns
    -------
    ndarray of shape (n_turns, n), float32
        Without padding, in the order of the corpus: ``numpy.split(predicted, encoded.offsets[1:-1])`` are the dialogues.

    Raises
    ------
    OptionError
        If the model does not give one row for every turn, or padding changes what it gives at a turn.
    """
    if encoded.lengths.any():
        _check_causal(model, encoded)
    return turns_of(model, encoded)


def turns_of(model: keras.Model, encoded: EncodedDialogues) -> FloatArray:
    """Do what :func:`predict_turns` does for a model that is known to be causal."""
    predicted: FloatArray | None = None
    for turns in evaluation_batches(encoded, max_lengths=COMPILED_LENGTHS if compiles() else None):
        real = turns != PADDING
        if not real.any():
            continue
        output = _outputs(model, encoded.features(turns))
        if predicted is None:
            predicted = np.empty((int(encoded.offsets[-1]), output.shape[-1]), dtype=np.float32)
        predicted[turns[real]] = output[real]
    return np.empty((0, encoded.n_actions), dtype=np.float32) if predicted is None else predicted


def _outputs(model: keras.Model, features: FloatArray) -> FloatArray:
    output: Any = model.predict_on_batch(features)
    if not isinstance(output, np.ndarray) or output.ndim != 3 or output.shape[:2] != features.shape[:2]:
        found = output.shape if isinstance(output, np.ndarray) else f"a {type(output).__name__}"
        raise OptionError(
            f"expected a model whose output has the shape (batch, time, n), {(*features.shape[:2], 'n')} here; found "
            f"{found}. LSTMs of such a model have return_sequences=True."
        )
    return output


def _check_causal(model: keras.Model, encoded: EncodedDialogues) -> None:
    """Refuse a model that computes the first turns of a dialogue differently if something follows them."""
    longest = int(encoded.lengths.argmax())
    features = encoded.features(encoded.padded_turns([longest], min(_CHECKED_TURNS, int(encoded.lengths[longest]))))
    padding = np.zeros_like(features[:, :1])
    one, other = (
        _outputs(model, np.concatenate([features, after], axis=1))[:, :-1] for after in (padding, padding + 1)
    )
    if np.abs(one - other).max() > 1e-5 * max(1.0, np.abs(one).max()):
        raise OptionError(
            "what the model gives at a turn depends on what follows it, such as padding, or on what was computed before. Use layers "
            "that read from left to right (no Bidirectional, no attention to later turns) and are not stateful, and no dropout "
            "with training=True."
        )


@keras.saving.register_keras_serializable(package="dialog_policy")
class TurnMean(keras.metrics.Metric):
    """Mean over the turns of all batches, by their weights: Σ weight × value / Σ weight.

    Keras' own metrics average values and weights of a dialogue over the padded time first, so padding changes them, and Keras
    averages the loss that it logs over batches, whatever number of turns each has. This metric has neither fault. List it among
    the ``weighted_metrics`` of ``compile``.

    Parameters
    ----------
    function
        From targets and outputs of shape (batch, time, n) to a value for each turn, shape (batch, time): a Keras loss, or a
        function such as ``keras.metrics.categorical_accuracy``. Of several values a turn, shape (batch, time, n), the mean is taken.
    name
        Its name in logs. None: ``turn_`` and the function's name.
    dtype
        What Keras computes it in.

    Raises
    ------
    OptionError
        When used: if batches come without turn weights, or the function gives no value for each turn.
    """

    def __init__(self, function: Callable[[Any, Any], Any], name: str | None = None, dtype: Any = None) -> None:
        called = getattr(function, "name", None) or getattr(function, "__name__", "mean")
        super().__init__(name=name or f"turn_{called}", dtype=dtype)
        self.function = function
        self._total = self.add_weight(shape=(), initializer="zeros", name="total")
        self._weight = self.add_weight(shape=(), initializer="zeros", name="weight")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add the turns of a batch."""
        if sample_weight is None:
            raise OptionError(
                f"{self.name} got no turn weights, so it cannot tell turns from padding. List it in weighted_metrics=[…] of "
                "`compile`, not in metrics=[…], and use batches with weights, such as those of DialogueBatches."
            )
        function = self.function.call if isinstance(self.function, keras.losses.Loss) else self.function
        values, weights = (ops.cast(array, self.dtype) for array in (function(y_true, y_pred), sample_weight))
        if len(values.shape) < len(weights.shape):
            raise OptionError(
                f"{self.name}: expected a value for every turn, shape {tuple(weights.shape)}, or several; found "
                f"{tuple(values.shape)}."
            )
        values = ops.mean(values, axis=tuple(range(len(weights.shape), len(values.shape))))
        # Not values × weights alone: padding may be anything, and NaN × 0 is NaN.
        self._total.assign_add(ops.sum(ops.where(weights > 0, values * weights, ops.zeros_like(weights))))
        self._weight.assign_add(ops.sum(weights))

    def result(self) -> Any:
        """Return the mean; 0 before any turn."""
        return ops.divide_no_nan(self._total, self._weight)

    def get_config(self) -> dict[str, Any]:
        """Return what :meth:`from_config` makes it of again."""
        return {**super().get_config(), "function": keras.saving.serialize_keras_object(self.function)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TurnMean:
        """Make it of what :meth:`get_config` returned."""
        return cls(**{**config, "function": keras.saving.deserialize_keras_object(config["function"])})


@keras.saving.register_keras_serializable(package="dialog_policy")
class TurnAccuracy(TurnMean):
    """Share of the turns whose whole set of actions is right: exactly those with an output over the threshold.

    For a softmax over actions that exclude each other, use ``TurnMean(keras.metrics.categorical_accuracy)``.

    Parameters
    ----------
    threshold
        Over which an action is taken: 0.5 for probabilities, 0 for logits.
    name
        Its name in logs.
    dtype
        What Keras computes it in.
    """

    def __init__(self, threshold: float = 0.5, name: str = "turn_accuracy", dtype: Any = None) -> None:
        super().__init__(self._is_right, name, dtype)
        self.threshold = threshold

    def _is_right(self, y_true: Any, y_pred: Any) -> Any:
        taken = ops.cast(y_pred > self.threshold, y_true.dtype)
        return ops.all(ops.equal(taken, y_true), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return what :meth:`from_config` makes it of again."""
        return {**keras.metrics.Metric.get_config(self), "threshold": self.threshold}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TurnAccuracy:
        """Make it of what :meth:`get_config` returned."""
        return cls(**config)
