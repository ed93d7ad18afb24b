"""Keras callbacks that a user gives: whether they are any, and follow what is measured."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dialog_policy.errors import OptionError

__all__ = ["check_callbacks"]

# What the logs of an epoch have; the latter with a validation part only.
_TRAINING, _VALIDATION = ("loss",), ("dev_turn_accuracy", "dev_log_likelihood")


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
        If one is no Keras callback, or follows a figure of Keras' own validation, which this training does not have.
    """
    listed = list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
    for callback in listed:
        if not hasattr(callback, "set_model"):
            raise OptionError(f"callbacks: expected keras.callbacks.Callback objects, found {callback!r}.")
        monitor = getattr(callback, "monitor", None)
        # A ModelCheckpoint that keeps every epoch has a monitor, but does not use it.
        if not isinstance(monitor, str) or not getattr(callback, "save_best_only", True):
            continue
        known = (*_TRAINING, *(_VALIDATION if validated else ()))
        if (
            monitor in ("val_loss", "val_accuracy", *_VALIDATION) and monitor not in known
        ):  # others may be the user's own
            advice = (
                '. Of these more is better: mode="max".'
                if validated
                else "; without a validation part of as many dialogues as the setting smallest_dev there is nothing else."
            )
            names = "loss; of the validation part, " + " and ".join(_VALIDATION) if validated else "loss"
            raise OptionError(
                f"callbacks: {type(callback).__name__} follows {monitor!r}, which this training does not log. It logs {names}{advice}"
            )
    return listed
