"""Choose and quieten the Keras backend. The only place that knows the backends by name."""

from __future__ import annotations

import contextlib
import gc
import os
import platform
import random
import sys
import weakref
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from dialog_policy.collector import uncollected
from dialog_policy.errors import OptionError, require
from dialog_policy.executor import cores
from dialog_policy.files import CACHE, user_folder
from dialog_policy.heap import keep_memory

__all__ = [
    "be_lean",
    "choose_backend",
    "compiles",
    "feed",
    "has_gpu",
    "keep_random_state",
    "load_keras",
    "make_deterministic",
    "scan",
    "silent",
    "swap_rows_and_steps",
    "use_cores",
]

# More than these we could not measure, and leave to TensorFlow.
_FEW_CORES = 4
# What took JAX so long to compile is kept, the latest of it up to so many bytes.
_COMPILED_S, _COMPILED_BYTES = 0.2, 512 << 20
# What TensorFlow, Keras and TensorBoard import where it is installed, for parts of theirs that this package does not use:
# conversion to TensorFlow Lite, data frames, plots, wrappers for scikit-learn, cloud stores. They are half of the time of the
# import.
_UNUSED = ("IPython", "PIL", "boto3", "fsspec", "jax", "matplotlib", "pandas", "scipy", "sklearn")
# Whether Keras is imported without them.
_lean = False


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
            f"Keras is loaded with the backend {loaded.backend.backend()} already. To use {name}, start a new process."
        )
    os.environ["KERAS_BACKEND"] = name


def be_lean() -> None:
    """Have Keras be imported without what this package does not use: for a process that runs no code but this package's.

    Its wrappers for scikit-learn, its plots and its data frames need libraries that take as long to import as Keras and
    TensorFlow themselves. What is imported then lives as long as the process, so Python's collector never looks at it again.
    """
    global _lean
    _lean = True


def load_keras() -> ModuleType:
    """Import Keras with the backend that ``KERAS_BACKEND`` names (TensorFlow unless set), without its start-up chatter.

    Raises
    ------
    MissingExtraError
        If Keras or the backend is not installed.
    """
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    loaded = "keras" in sys.modules
    quiet = contextlib.nullcontext() if loaded or "TF_CPP_MAX_VLOG_LEVEL" in os.environ else silent(2)
    needed = ("jax", "scipy") if backend == "jax" else ()
    with quiet, uncollected(), _hidden(*(name for name in _UNUSED if _lean and name not in needed)):
        library = require(backend, extra="jax" if backend == "jax" else "train", purpose="training a policy")
        if backend == "jax" and not loaded:
            _keep_compiled(library)
        keras: ModuleType = require("keras", extra="train", purpose="training a policy")
        if _lean and not loaded:
            if backend == "tensorflow":
                # TensorFlow imports TensorBoard, and that its access to cloud stores, when it is first used.
                require("tensorboard.summary.v2", extra="train", purpose="training a policy")
            gc.freeze()
    return keras


def _keep_compiled(jax: Any) -> None:
    """Have JAX keep what it compiles in the user's cache folder, so that it is compiled once and not for every training.

    A folder that the user has named to JAX is left alone. What is compiled fits one kind of processor, so each has its own.
    """
    folder = user_folder("cache", CACHE, "jax")
    if folder is None or jax.config.jax_compilation_cache_dir is not None:
        return
    with contextlib.suppress(OSError):
        features = (
            Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0] if sys.platform == "linux" else ""
        )
        kind = sorted(line for line in features.splitlines() if line.startswith(("model name", "flags", "Features")))
        kind.append(platform.machine())
        jax.config.update("jax_compilation_cache_dir", str(folder / sha256("\n".join(kind).encode()).hexdigest()[:16]))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _COMPILED_S)
        jax.config.update("jax_compilation_cache_max_size", _COMPILED_BYTES)


@contextlib.contextmanager
def _hidden(*names: str) -> Iterator[None]:
    """Have packages that are not imported yet look as if they were not installed."""
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # Python's own mark for it
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


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


@contextlib.contextmanager
def keep_random_state() -> Iterator[None]:
    """Give the generators of Python and NumPy back as they were found: a training seeds them, but they are the caller's."""
    of_python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 (Keras seeds this one)
    try:
        yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)  # noqa: NPY002


def make_deterministic(seed: int) -> None:
    """Seed every generator (see :func:`keep_random_state`) and ask the backend for operations that give the same bits every time."""
    keras = load_keras()
    # Keras seeds TensorFlow whatever computes: importing it takes longer than everything else that JAX needs.
    with _hidden(*(("tensorflow",) if _lean and keras.backend.backend() != "tensorflow" else ())):
        keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()


def use_cores() -> None:
    """Divide a few cores well; JAX does so by itself.

    The operations of a step of the recurrence are too small to be divided. TensorFlow computes two halves of a batch at the same
    time instead (:mod:`dialog_policy.network.lstm`), so each operation has half of the cores. On two cores that takes two thirds
    of the time.

    TensorFlow takes this once a process, and the last bits of its sums depend on it.
    """
    n_cores = cores()
    if load_keras().backend.backend() == "tensorflow" and n_cores <= _FEW_CORES:
        import tensorflow

        with contextlib.suppress(RuntimeError):  # it has computed already, with the threads that somebody else wanted
            tensorflow.config.threading.set_intra_op_parallelism_threads(max(1, n_cores // 2))
            tensorflow.config.threading.set_inter_op_parallelism_threads(max(2, n_cores))


def feed(batches: Any) -> dict[str, Any]:
    """Return the arguments by which ``fit`` is given a ``PyDataset``, whose own order of batches is kept.

    On TensorFlow Keras makes a ``tf.data`` pipeline of it that tunes itself, and at the end of an epoch waits for its tuner to
    wake up, up to a second, and begins the pipeline anew. This one does neither: it goes through all epochs, and has the first
    batches of an epoch ready when it begins. So `batches` may be an epoch ahead of the training.

    The caller keeps `batches` while it trains: TensorFlow never lets go of what a pipeline is made of.
    """
    if load_keras().backend.backend() != "tensorflow":
        return {"x": batches}
    import tensorflow as tf

    find = weakref.ref(batches)

    def epochs() -> Iterator[Any]:
        keep_memory()  # TensorFlow sets its own thresholds when it makes a pipeline of a generator
        while (own := find()) is not None:
            for index in range(len(own)):
                yield own[index]
            own.on_epoch_end()

    signature = tf.nest.map_structure(
        # Rows of a batch are as many as ever, steps and packed terms are not.
        lambda array: tf.TensorSpec(
            (array.shape[0], None, *array.shape[2:]) if array.ndim > 1 else (None,), array.dtype
        ),
        batches[0],
    )
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = tf.data.Dataset.from_generator(epochs, output_signature=signature).prefetch(2).with_options(options)
    return {"x": dataset, "steps_per_epoch": len(batches)}


def compiles() -> bool:
    """Whether the backend compiles a network for every shape of its inputs."""
    return bool(load_keras().backend.backend() == "jax")


@cache
def has_gpu() -> bool:
    """Whether the backend computes on a GPU."""
    keras = load_keras()
    return any(name.startswith("gpu") for name in keras.distribution.list_devices())


def swap_rows_and_steps(sequences: Any) -> Any:
    """Return sequences of shape (m, n, width) as (n, m, width).

    On TensorFlow rows are gathered: its transposition takes five times as long, a tenth of a training step.
    """
    ops = load_keras().ops
    if compiles():
        return ops.transpose(sequences, (1, 0, 2))
    m, n = ops.shape(sequences)[:2]
    order = ops.reshape(ops.transpose(ops.reshape(ops.arange(m * n), (m, n)), (1, 0)), (-1,))
    flat = ops.reshape(sequences, (-1, sequences.shape[-1]))
    return ops.reshape(ops.take(flat, order, axis=0), (n, m, sequences.shape[-1]))


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
        # Two steps of the way back in one are quicker; of the way there they only take longer to compile (docs/lab/speed.md).
        unroll = 2 if reverse else 1
        result: tuple[tuple[Any, ...], tuple[Any, ...]] = keras.ops.scan(
            step, state, inputs, reverse=reverse, unroll=unroll
        )
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
