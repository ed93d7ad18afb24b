"""Choose and quieten the Keras backend. The only place that knows the backends by name."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from types import ModuleType
from typing import Any

from dialog_policy.errors import OptionError, require

__all__ = [
    "choose_backend",
    "compiles",
    "feed",
    "has_gpu",
    "keep_memory",
    "load_keras",
    "make_deterministic",
    "scan",
    "silent",
    "use_cores",
]

# From malloc.h; the largest value that glibc takes, and how much it may keep.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_KEPT, _KEPT = 32 << 20, 512 << 20
# More than these we could not measure, and leave to TensorFlow.
_FEW_CORES = 4
# Multiplications of the features' product for one turn of every row from which on dividing it pays.
_MUCH_WORK = 16_000_000


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
    with contextlib.nullcontext() if "keras" in sys.modules or "TF_CPP_MAX_VLOG_LEVEL" in os.environ else silent(2):
        require(backend, extra="jax" if backend == "jax" else "train", purpose="training a policy")
        keras: ModuleType = require("keras", extra="train", purpose="training a policy")
    return keras


@contextlib.contextmanager
def silent(descriptor: int) -> Iterator[None]:
    """Silence stdout (1) or stderr (2) below Python: TensorFlow's C++ side reports missing GPUs before any log level applies."""
    stream = sys.stdout if descriptor == 1 else sys.stderr
    stream.flush()
    kept = os.dup(descriptor)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), descriptor)
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)


def make_deterministic(seed: int) -> None:
    """Seed every generator and ask the backend for operations that give the same bits every time."""
    keras = load_keras()
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()


def use_cores(n_weights: int, rows: int) -> None:
    """Divide a few cores well; JAX does so by itself.

    The operations of a step of the recurrence are small: where features and dialogues are few, too, TensorFlow is a fifth to a
    third quicker on two cores if each operation runs on one, and the other feeds the next batch. Where the product with the
    features is large, it is 10 to 35 % quicker if operations are divided.

    TensorFlow takes this once a process, and the last bits of its sums depend on it: the first training decides for all.

    Parameters
    ----------
    n_weights
        Of the features' product.
    rows
        Dialogues of a batch.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if load_keras().backend.backend() == "tensorflow" and cores <= _FEW_CORES:
        import tensorflow

        with contextlib.suppress(RuntimeError):  # it has computed already, with the threads that somebody else wanted
            tensorflow.config.threading.set_intra_op_parallelism_threads(cores if n_weights * rows >= _MUCH_WORK else 1)
            tensorflow.config.threading.set_inter_op_parallelism_threads(max(2, cores))


def keep_memory() -> None:
    """Have glibc keep what batches of one step free for those of the next.

    Left alone it gives large arrays back to the system at once, and every page of the next one is fetched and cleared again: a
    third of the time of a training with wide features. Other C libraries are left as they are.
    """
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)


def feed(batches: Any) -> Any:
    """Return what ``fit`` is to be given for a ``PyDataset``.

    On TensorFlow Keras makes a ``tf.data`` pipeline of it that tunes itself, and at the end of an epoch waits for its tuner to
    wake up, up to a second; this one does not.
    """
    if load_keras().backend.backend() != "tensorflow":
        return batches
    import tensorflow as tf

    begun = False

    def epoch() -> Iterator[Any]:
        nonlocal begun
        keep_memory()  # TensorFlow sets its own thresholds when it makes a pipeline of a generator
        if begun:
            batches.on_epoch_end()
        begun = True
        for index in range(len(batches)):
            yield batches[index]

    signature = tf.nest.map_structure(
        # Rows of a batch are as many as ever, steps and packed terms are not.
        lambda array: tf.TensorSpec(
            (array.shape[0], None, *array.shape[2:]) if array.ndim > 1 else (None,), array.dtype
        ),
        batches[0],
    )
    dataset = tf.data.Dataset.from_generator(epoch, output_signature=signature)
    options = tf.data.Options()
    options.autotune.enabled = False
    counted = dataset.apply(tf.data.experimental.assert_cardinality(len(batches)))
    return counted.prefetch(2).with_options(options)


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
    widths: tuple[int, ...],
    reverse: bool = False,
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Do what ``keras.ops.scan`` does, for outputs of shape (rows of the state, width).

    On TensorFlow a plain loop: Keras' own cannot take a batch whose number of rows is unknown.
    """
    keras = load_keras()
    if keras.backend.backend() != "tensorflow":
        result: tuple[tuple[Any, ...], tuple[Any, ...]] = keras.ops.scan(step, state, inputs, reverse=reverse)
        return result
    import tensorflow as tf

    n = tf.shape(inputs[0])[0]
    read = [tf.TensorArray(x.dtype, size=n, element_shape=x.shape[1:]).unstack(x) for x in inputs]
    rows = state[0].shape[0]
    written = [tf.TensorArray(state[0].dtype, size=n, element_shape=(rows, width)) for width in widths]

    def body(count: Any, state: Any, written: Any) -> tuple[Any, Any, Any]:
        number = n - 1 - count if reverse else count
        state, outputs = step(state, tuple(array.read(number) for array in read))
        return count + 1, state, [array.write(number, x) for array, x in zip(written, outputs, strict=True)]

    _, state, written = tf.while_loop(lambda count, *_: count < n, body, (0, state, written), parallel_iterations=1)
    return state, tuple(array.stack() for array in written)
