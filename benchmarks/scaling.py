"""How training grows with the corpus: time a turn and memory with a thousand, ten thousand and a hundred thousand dialogues.

Each size is a process of its own; they take turns, some batches at a time, so that a machine which is slow for a while is slow
for all of them.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.contender import THREADS, answer, contender, wait
from benchmarks.memory import peak_memory_mb
from benchmarks.workload import STAR_LENGTHS
from dialog_policy.features.encoded import EncodedDialogues
from dialog_policy.features.matrices import MappedRows, new_file, release

__all__ = ["describe_scaling", "measure_scaling"]

_FEATURES, _HIDDEN, _ACTIONS = 300, 128, 40
_SIZES = (1_000, 10_000, 100_000)
_BATCH_SIZE = 32
# Rounds, and batches a round: ten epochs of the smallest size.
_ROUNDS, _BATCHES = 9, 320
# Turns that are made at once.
_TOGETHER = 8_192


def measure_scaling(histogram: Sequence[int] = STAR_LENGTHS, *, rounds: int | None = None) -> list[dict[str, Any]]:
    """Measure training on ever more dialogues: the default backend, 300 → 128 → 40, batches of 32.

    The features lie in a file, mapped, as those of a cached corpus do; no utterance occurs twice.

    Parameters
    ----------
    histogram
        How many dialogues have 1, 2, 3 … turns; every size has them in these shares.
    rounds
        Rounds, of 320 batches each.

    Returns
    -------
    list of dict
        For each size ``dialogues, turns, turns_per_s`` (the median of all rounds), ``low, high``, ``peak_mb`` (resident memory
        of the whole process at its highest, the mapped file's pages included), ``first_batch_s`` (from the encoded corpus to
        the first batch trained on, compiling included) and ``time_per_turn``: how many times that of the first size, the median
        over the rounds.
    """
    count = _ROUNDS if rounds is None else rounds
    with contextlib.ExitStack() as stack:
        asks = [
            stack.enter_context(
                contender(
                    __name__, [str(size), json.dumps(list(histogram)), str(count), str(_BATCHES)], backend="tensorflow"
                )
            )
            for size in _SIZES
        ]
        started = [ask() for ask in asks]
        speeds = np.array([[ask()["turns_per_s"] for ask in asks] for _ in range(count)])
        ended = [ask() for ask in asks]
    return [
        {
            **begun,
            "turns_per_s": float(np.median(speed)),
            "low": float(speed.min()),
            "high": float(speed.max()),
            "peak_mb": end["peak_mb"],
            "time_per_turn": float(np.median(speeds[:, 0] / speed)),
        }
        for begun, speed, end in zip(started, speeds.T, ended, strict=True)
    ]


def describe_scaling(rows: Sequence[dict[str, Any]]) -> str:
    """Return a result as text for the terminal."""
    lines = [
        f"{_FEATURES} → {_HIDDEN} → {_ACTIONS}, TensorFlow, batches of {_BATCH_SIZE}, {THREADS} threads, features in a mapped file",
        f"{'dialogues':>11}{'turns':>11}{'real turns/s (lowest to highest)':>36}  time per turn  first batch  peak memory",
    ]
    for row in rows:
        speed = f"{row['turns_per_s']:,.0f} ({row['low']:,.0f} to {row['high']:,.0f})"
        lines.append(
            f"{row['dialogues']:11,}{row['turns']:11,}{speed:>36}{row['time_per_turn']:13.2f} ×"
            f"{row['first_batch_s']:11.1f} s{row['peak_mb']:10.0f} MB"
        )
    return "\n".join(lines)


def _encoded(n_dialogues: int, histogram: Sequence[int], folder: Path) -> EncodedDialogues:
    """Random features in a file, and 500 random action sets."""
    random = np.random.default_rng(0)
    lengths = random.permutation(np.repeat(np.arange(1, len(histogram) + 1), histogram))
    lengths = np.resize(lengths, n_dialogues)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    n_turns = int(offsets[-1])
    matrix = new_file(folder / "features.npy", (n_turns + 1, _FEATURES))
    for start in range(0, n_turns, _TOGETHER):
        some = matrix[start : min(start + _TOGETHER, n_turns)]
        some[:] = random.standard_normal(some.shape, dtype=np.float32)
        release(matrix)
    del matrix
    sets = np.concatenate([random.random((500, _ACTIONS)) < 0.05, np.zeros((1, _ACTIONS))]).astype(np.float32)
    rows: npt.NDArray[np.int32] = np.arange(n_turns, dtype=np.int32)
    targets = sets, random.integers(0, 500, n_turns).astype(np.int32)
    ids = [str(number) for number in range(n_dialogues)]
    mapped = MappedRows(folder / "features.npy")
    return EncodedDialogues(ids, offsets, [(mapped, rows)], targets, np.ones(n_turns, dtype=np.bool_))


def _compete(n_dialogues: int, histogram: Sequence[int], rounds: int, n_batches: int, folder: Path) -> None:
    from dialog_policy.network.backend import feed, load_keras, use_cores

    keras = load_keras()
    use_cores()
    from dialog_policy.network.batches import DialogueBatches
    from dialog_policy.network.layers import FoldedTimeDistributed
    from dialog_policy.network.loss import ActionLoss
    from dialog_policy.network.lstm import HoistedLSTM
    from dialog_policy.network.optimizer import FusedAdamW

    keras.utils.set_random_seed(0)
    wait()
    encoded = _encoded(n_dialogues, histogram, folder)
    begin = time.perf_counter()
    inputs = keras.Input((None, _FEATURES))
    model = keras.Model(inputs, FoldedTimeDistributed(keras.layers.Dense(_ACTIONS))(HoistedLSTM(_HIDDEN)(inputs)))
    model.compile(FusedAdamW(), ActionLoss(single_action=False), jit_compile=False)
    batches = DialogueBatches(encoded, _BATCH_SIZE)
    turns_a_batch = int(encoded.offsets[-1]) / len(batches)

    class Rounds(keras.callbacks.Callback):  # type: ignore[misc, name-defined]
        """Counts batches, and after each round answers and waits to be asked for the next."""

        done, began = -1, 0.0

        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            if self.done < 0:
                first = time.perf_counter() - begin
                answer(dialogues=len(encoded), turns=int(encoded.offsets[-1]), first_batch_s=first)
                self._next()
                return
            self.batches += 1
            if self.batches == n_batches:
                answer(turns_per_s=turns_a_batch * n_batches / (time.perf_counter() - self.began))
                self._next()

        def _next(self) -> None:
            self.done += 1
            self.batches = 0
            wait()
            if self.done == rounds:
                answer(peak_mb=peak_memory_mb())
                self.model.stop_training = True
                raise StopIteration
            self.began = time.perf_counter()

    with contextlib.suppress(StopIteration):
        model.fit(**feed(batches), epochs=1_000_000, shuffle=False, verbose=0, callbacks=[Rounds()])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        _compete(int(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), Path(place))
