"""Choose and quieten the Keras backend. The only place that knows the backends by name."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
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
    with _quiet():
        require(backend, extra="train", purpose="training a policy")
        keras: ModuleType = require("keras", extra="train", purpose="training a policy")
    return keras


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence stderr below Python: TensorFlow's C++ side reports missing GPUs before any log level applies."""
    if "keras" in sys.modules or "TF_CPP_MAX_VLOG_LEVEL" in os.environ:
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def make_deterministic(seed: int) -> None:
    """Seed every generator and ask the backend for operations that give the same bits every time."""
    keras = load_keras()
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()
