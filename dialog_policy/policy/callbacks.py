"""Keras callbacks that a user gives: whether they are any, and follow what is measured."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dialog_policy.errors import OptionError

__all__ = ["check_callbacks"]

# What the logs of an epoch have; the latter with a validation part only.
_TRAINING, _VALIDATION = ("loss",), ("dev_turn_accuracy", "dev_log_likelihood")

# Keras' own callbacks that work by what this training has in another way: why, and what to do.
_RATE = (
    "sets the learning rate, which follows a cosine from the setting learning_rate to zero here. Change that setting."
)
_REFUSED = {
    "LearningRateScheduler": _RATE,
    "ReduceLROnPlateau": _RATE,
    "BackupAndRestore": "restores weights alone. Training keeps its own checkpoints: fit(…, out=…), and resume=True after an "
    "interruption.",
}


def check_callbacks(callbacks: Any, *, validated: bool) -> list[Any]:
    """Return callbacks as a list.

    Parameters
    ----------
    callbacks
        Keras callbacks, or one of them.
    validated
        Whether there is a validation part.

    Raises
    ------
    OptionError
        If one is no Keras callback, follows what this training does not have, or would have no effect.
    """
    listed = list(callbacks) if isinstance(callbacks, Iterable) and not isinstance(callbacks, str) else [callbacks]
    for callback in listed:
        if not hasattr(callback, "set_model"):
            raise OptionError(f"callbacks: expected keras.callbacks.Callback objects, found {callback!r}.")
        if isinstance(callback, type):
            name = callback.__name__
            raise OptionError(f"callbacks: expected an object, found the class {name}. Write {name}(…).")
        for kind in type(callback).__mro__:
            if kind.__name__ in _REFUSED:
                raise OptionError(f"callbacks: {type(callback).__name__} {_REFUSED[kind.__name__]}")
        if getattr(callback, "restore_best_weights", False):
            raise OptionError(
                f"callbacks: {type(callback).__name__}(restore_best_weights=True) would have no effect, because training keeps "
                "the best weights itself: the averaged ones of the epoch with the greatest dev_log_likelihood, or the last ones "
                "without a validation part. Leave restore_best_weights out."
            )
        _check_monitor(callback, validated=validated)
    return listed


def _check_monitor(callback: Any, *, validated: bool) -> None:
    """Refuse a callback that follows what is not logged, or in the wrong direction."""
    monitor = getattr(callback, "monitor", None)
    # A ModelCheckpoint that keeps every epoch has a monitor, but does not use it.
    if not isinstance(monitor, str) or not getattr(callback, "save_best_only", True):
        return
    name = type(callback).__name__
    known = (*_TRAINING, *(_VALIDATION if validated else ()))
    if monitor in ("val_loss", "val_accuracy", *_VALIDATION) and monitor not in known:  # others may be the user's own
        advice = (
            '. Of these more is better: mode="max".'
            if validated
            else "; without a validation part of as many dialogues as the setting smallest_dev there is nothing else."
        )
        names = "loss; of the validation part, " + " and ".join(_VALIDATION) if validated else "loss"
        raise OptionError(
            f"callbacks: {name} follows {monitor!r}, which this training does not log. It logs {names}{advice}"
        )
    mode = getattr(callback, "mode", "max")
    if monitor in _VALIDATION and mode != "max":
        raise OptionError(
            f'callbacks: {name} follows {monitor}, of which more is better: expected mode="max", found {mode!r}.'
        )
