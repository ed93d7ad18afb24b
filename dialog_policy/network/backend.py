"""Choose and quieten the Keras backend. The only place that knows the backends by name."""

from __future__ import annotations

import os
from types import ModuleType

from dialog_policy.errors import require

__all__ = ["load_keras"]


def load_keras() -> ModuleType:
    """Import Keras with the backend that ``KERAS_BACKEND`` names (TensorFlow unless set), without its start-up chatter.

    Raises
    ------
    MissingExtraError
        If Keras or the backend is not installed.
    """
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    require(backend, extra="train", purpose="training a policy")
    keras: ModuleType = require("keras", extra="train", purpose="training a policy")
    return keras


def make_deterministic(seed: int) -> None:
    """Seed every generator and ask the backend for operations that give the same bits every time."""
    keras = load_keras()
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()
