"""Choose and quieten the Keras backend. The only place that knows the backends by name."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from types import ModuleType
from typing import Any

from dialog_policy.errors import OptionError, require

__all__ = [
    "BACKENDS",
    "choose_backend",
    "compiles",
    "has_gpu",
    "load_keras",
    "make_deterministic",
    "scan",
    "use_threads",
]


BACKENDS = ("tensorflow", "jax")


def choose_backend(name: str) -> None:
    """Have Keras compute with this backend; to be called before Keras is loaded.

    Raises
    ------
    OptionError
        If Keras is loaded already, with another backend.
    """
    loaded = sys.modules.get("keras")
    if loaded is not None and loaded.backend.backend() != name:
        raise OptionError(
            f"Keras is loaded with the backend {loaded.backend.backend()} already; {name} needs a new process."
        )
    os.environ["KERAS_BACKEND"] = name


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
        require(backend, extra="jax" if backend == "jax" else "train", purpose="training a policy")
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


def use_threads(number: int) -> None:
    """Have TensorFlow compute with so many threads; to be called before it computes. JAX takes the cores it is given."""
    if load_keras().backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(number)
        tensorflow.config.threading.set_inter_op_parallelism_threads(number)


def compiles() -> bool:
    """Whether the backend compiles a network for every shape of its inputs."""
    return bool(load_keras().backend.backend() == "jax")


@cache
def has_gpu() -> bool:
    """Whether the backend computes on a GPU."""
    keras = load_keras()
    return any(name.startswith("gpu") for name in keras.distribution.list_devices())


def scan(
    step: Callable[[Any, Any], tuple[Any, Any]],
    state: tuple[Any, ...],
    inputs: tuple[Any, ...],
    *,
    reverse: bool = False,
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Do what ``keras.ops.scan`` does, for an output that is shaped like the state.

    On TensorFlow a plain loop: Keras' own keeps the state in arrays, which takes half as long again.
    """
    keras = load_keras()
    if keras.backend.backend() != "tensorflow":
        found: tuple[tuple[Any, ...], tuple[Any, ...]] = keras.ops.scan(step, state, inputs, reverse=reverse)
        return found
    import tensorflow as tf

    n = tf.shape(inputs[0])[0]
    read = [tf.TensorArray(x.dtype, size=n, element_shape=x.shape[1:]).unstack(x) for x in inputs]
    written = [tf.TensorArray(x.dtype, size=n, element_shape=x.shape) for x in state]

    def body(count: Any, state: Any, written: Any) -> tuple[Any, Any, Any]:
        number = n - 1 - count if reverse else count
        state, outputs = step(state, tuple(array.read(number) for array in read))
        return count + 1, state, [array.write(number, x) for array, x in zip(written, outputs, strict=True)]

    _, state, written = tf.while_loop(lambda count, *_: count < n, body, (0, state, written), parallel_iterations=1)
    return state, tuple(array.stack() for array in written)
