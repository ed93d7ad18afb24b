"""How fast training is: ours on each backend, Keras as people write it, PyTorch, and the limit of the matrix multiply.

Every contender is a process of its own, which trains an epoch when it is told to; they take turns, so that a machine which is
slow for a while is slow for all of them.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.contender import THREADS, answer, contender, wait
from benchmarks.memory import peak_memory_mb
from benchmarks.scaling import describe_scaling, measure_scaling
from benchmarks.workload import STAR_LENGTHS

__all__ = ["describe_training", "measure_training"]

_FEATURES, _HIDDEN, _ACTIONS = 300, 128, 40
_ROUNDS = 9
# Of batches of one only every so many-th dialogue: an epoch of all takes longer than all the others together.
_SAMPLE = 8
_OURS = ("tensorflow", "tensorflow_jit", "jax")
_RIVALS = ("keras_masking", "batch_of_one", "torch_packed", "torch_padded")
_NEEDS = {"jax": "jax", "torch_packed": "torch", "torch_padded": "torch"}
# Multiplications and additions for one real turn: forward and weight gradients of both kernels and the head, gradient through
# recurrence and head; the inputs need none.
FLOP = 2 * (2 * (4 * _HIDDEN * (_FEATURES + _HIDDEN) + _HIDDEN * _ACTIONS) + 4 * _HIDDEN * _HIDDEN + _HIDDEN * _ACTIONS)

_IntArray = npt.NDArray[np.int64]
_Epoch = Callable[[], object]


def measure_training(lengths: Sequence[int] | None = None, *, rounds: int = _ROUNDS) -> dict[str, Any]:
    """Measure training.

    Parameters
    ----------
    lengths
        Turns of each dialogue; None: the 2,184 dialogues of STAR's published train part.
    rounds
        Epochs a contender.

    Returns
    -------
    dict
        ``ratios`` (our real turns/s on the best backend ÷ those of ``keras_masking``, ``batch_of_one``, ``torch_packed`` and
        ``torch_padded``; ``sgemm``: our GFLOP/s ÷ those of a 1024³ matrix multiplication), ``best``, ``contenders`` (name to
        turns_per_s, low, high, padding, first_epoch_s, first_batch_s, gflop_per_s, rss_mb), ``sgemm_gflop_per_s``,
        ``missing``; all of it at batch 32, the same under ``batch_128``; ``scaling``:
        :func:`~benchmarks.scaling.measure_scaling`.
    """
    given = STAR_LENGTHS if lengths is None else tuple(np.bincount(lengths)[1:].tolist())
    result = _measure(given, 32, rounds)
    return {**result, "batch_128": _measure(given, 128, rounds), "scaling": measure_scaling(given)}


def _measure(histogram: Sequence[int], batch_size: int, rounds: int) -> dict[str, Any]:
    names = (*_OURS, *_RIVALS, "sgemm")
    missing = [name for name in names if name in _NEEDS and importlib.util.find_spec(_NEEDS[name]) is None]
    n_turns = sum(n * count for n, count in enumerate(histogram, start=1))
    with contextlib.ExitStack() as stack:
        running = {
            name: stack.enter_context(
                contender(
                    __name__,
                    [name, str(batch_size), json.dumps(list(histogram)), str(rounds)],
                    backend="jax" if name == "jax" else "tensorflow",
                )
            )
            for name in names
            if name not in missing
        }
        started = {name: ask() for name, ask in running.items()}
        measured: dict[str, list[float]] = {name: [] for name in running}
        for _ in range(rounds):
            for name, ask in running.items():
                measured[name].append(ask()["value"])
        ended = {name: ask() for name, ask in running.items()}
    sgemm = float(np.median(measured.pop("sgemm")))
    contenders = {}
    for name, values in measured.items():
        speed = started[name]["turns"] / np.array(values)
        contenders[name] = {
            "turns_per_s": float(np.median(speed)),
            "low": float(speed.min()),
            "high": float(speed.max()),
            "gflop_per_s": float(np.median(speed)) * FLOP / 1e9,
            "padding": started[name]["padding"],
            "first_batch_s": started[name]["first_batch_s"],
            "first_epoch_s": started[name]["first_epoch_s"],
            "rss_mb": ended[name]["rss_mb"],
        }
    best = max((name for name in _OURS if name in contenders), key=lambda name: contenders[name]["turns_per_s"])
    ours = contenders[best]
    ratios = {n: ours["turns_per_s"] / contenders[n]["turns_per_s"] for n in _RIVALS if n in contenders}
    return {
        "ratios": {**ratios, "sgemm": ours["gflop_per_s"] / sgemm},
        "best": best,
        "batch_size": batch_size,
        "dialogues": sum(histogram),
        "turns": n_turns,
        "contenders": contenders,
        "sgemm_gflop_per_s": sgemm,
        "missing": missing,
    }


def _compete(name: str, batch_size: int, histogram: Sequence[int], rounds: int) -> None:
    lengths = np.random.default_rng(0).permutation(np.repeat(np.arange(1, len(histogram) + 1), histogram))
    if name == "batch_of_one":
        lengths = lengths[::_SAMPLE]
    wait()
    if name == "sgemm":
        answer()
        for _ in range(rounds):
            wait()
            answer(value=_sgemm())
        wait()
        answer(rss_mb=peak_memory_mb())
        return
    begin = time.perf_counter()
    first_batch: list[float] = []

    def trained_a_batch() -> None:
        if not first_batch:
            first_batch.append(time.perf_counter() - begin)

    prepare = _torch if name.startswith("torch") else _keras
    epoch, padded = prepare(name, batch_size, lengths, trained_a_batch)
    begin = time.perf_counter()
    epoch()
    first = time.perf_counter() - begin
    turns = int(lengths.sum())
    answer(turns=turns, padding=1 - turns / padded, first_epoch_s=first, first_batch_s=first_batch[0])
    for _ in range(rounds):
        wait()
        begin = time.perf_counter()
        epoch()
        answer(value=time.perf_counter() - begin)
    wait()
    answer(rss_mb=peak_memory_mb())


def _dialogues(lengths: _IntArray) -> tuple[list[Any], list[Any]]:
    random = np.random.default_rng(0)
    features = [random.normal(size=(n, _FEATURES)).astype(np.float32) for n in lengths]
    return features, [(random.random((n, _ACTIONS)) < 0.05).astype(np.float32) for n in lengths]


def _keras(name: str, batch_size: int, lengths: _IntArray, trained_a_batch: _Epoch) -> tuple[_Epoch, int]:
    from dialog_policy.network.backend import feed, load_keras, use_cores

    keras = load_keras()
    if name in _OURS:
        use_cores(_FEATURES * 4 * _HIDDEN, batch_size)
    from dialog_policy.features.encoded import EncodedDialogues
    from dialog_policy.network.batches import COMPILED_LENGTHS, DialogueBatches
    from dialog_policy.network.layers import FoldedTimeDistributed
    from dialog_policy.network.loss import ActionLoss
    from dialog_policy.network.lstm import HoistedLSTM

    keras.utils.set_random_seed(0)
    features, targets = _dialogues(lengths)
    inputs = keras.Input((None, _FEATURES))
    head = keras.layers.Dense(_ACTIONS)
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: trained_a_batch())
    data: Any
    if name in _OURS:
        outputs = FoldedTimeDistributed(head)(HoistedLSTM(_HIDDEN)(inputs))
        limit = None if name == "tensorflow" else COMPILED_LENGTHS
        data = DialogueBatches(EncodedDialogues.from_arrays(features, targets), batch_size, max_lengths=limit)
        loss: Any = ActionLoss(single_action=False)
        options = {"jit_compile": name != "tensorflow"}
        padded = sum(data.turns(i).size for i in range(len(data)))
    else:
        # As tutorials have it: one array, zeros behind the shorter dialogues, a mask, everything else left to Keras.
        masked = keras.layers.Masking()(inputs) if name == "keras_masking" else inputs
        states = keras.layers.LSTM(_HIDDEN, return_sequences=True)(masked)
        outputs = keras.layers.TimeDistributed(head)(states)
        loss, options = keras.losses.BinaryCrossentropy(from_logits=True), {}
        if name == "keras_masking":
            longest = int(lengths.max())
            data = tuple(
                keras.utils.pad_sequences(x, longest, dtype="float32", padding="post") for x in (features, targets)
            )
            padded = longest * len(lengths)
        else:
            data = EncodedDialogues.from_arrays(features, targets)
            data = DialogueBatches(data, strategy="single")
            padded = int(lengths.sum())
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(), loss, **options)
    if name in _OURS:
        data = feed(data)
    if name == "keras_masking":
        return lambda: model.fit(*data, batch_size=batch_size, verbose=0, callbacks=[watch]), padded
    return lambda: model.fit(data, shuffle=False, verbose=0, callbacks=[watch]), padded


def _torch(name: str, batch_size: int, lengths: _IntArray, trained_a_batch: _Epoch) -> tuple[_Epoch, int]:
    """As well fed as ours: sorted by length, packed without a copy more than needed, Adam in one kernel."""
    import torch
    from torch.nn.utils.rnn import PackedSequence

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    features, targets = (torch.from_numpy(np.concatenate(arrays)) for arrays in _dialogues(lengths))
    offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    lstm, head = torch.nn.LSTM(_FEATURES, _HIDDEN), torch.nn.Linear(_HIDDEN, _ACTIONS)
    optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()], fused=True)
    loss_of = torch.nn.BCEWithLogitsLoss()
    epochs = iter(range(1_000_000))

    def batches() -> list[Any]:
        random = np.random.default_rng(next(epochs))
        order = np.argsort(lengths + random.uniform(-1, 1, len(lengths)), kind="stable")
        batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
        return [batches[i] for i in random.permutation(len(batches))]

    def loss_on(dialogues: Any) -> Any:
        dialogues = dialogues[np.argsort(-lengths[dialogues], kind="stable")]
        steps = np.arange(lengths[dialogues[0]])[:, None]
        real = steps < lengths[dialogues]
        turns = torch.from_numpy(np.where(real, offsets[dialogues] + steps, 0))
        is_real = torch.from_numpy(real)
        if name == "torch_padded":
            return loss_of(head(lstm(features[turns])[0])[is_real], targets[turns[is_real]])
        packed = PackedSequence(features[turns[is_real]], torch.from_numpy(real.sum(axis=1)))
        return loss_of(head(lstm(packed)[0].data), targets[turns[is_real]])

    def epoch() -> None:
        for dialogues in batches():
            loss = loss_on(dialogues)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            trained_a_batch()

    padded = int(lengths.sum())
    if name == "torch_padded":
        padded = sum(int(lengths[dialogues].max()) * len(dialogues) for dialogues in batches())
    return epoch, padded


def _sgemm() -> float:
    """GFLOP/s of the fastest installed multiplication of two 1024 × 1024 matrices."""
    size = 1024
    matrix = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
    multiplications: list[Callable[[], object]] = [lambda: matrix @ matrix]
    if importlib.util.find_spec("torch") is not None:
        import torch

        torch.set_num_threads(THREADS)
        tensor = torch.from_numpy(matrix)
        multiplications.append(lambda: tensor @ tensor)
    spent = []
    for multiply in multiplications:
        times = []
        for _ in range(20):
            begin = time.perf_counter()
            multiply()
            times.append(time.perf_counter() - begin)
        spent.append(float(np.median(times)))
    return 2 * size**3 / min(spent) / 1e9


_NAMES = {
    "tensorflow": "ours, TensorFlow",
    "tensorflow_jit": "ours, TensorFlow, jit",
    "jax": "ours, JAX",
    "keras_masking": "Keras: padded, Masking, fit",
    "batch_of_one": "Keras: batches of one",
    "torch_packed": "PyTorch, packed",
    "torch_padded": "PyTorch, padded to its batch",
}


def describe_training(result: dict[str, Any]) -> str:
    """Return a result as text for the terminal."""
    lines = []
    for part in (result, result["batch_128"]):
        lines += [
            f"{part['dialogues']:,} dialogues, {part['turns']:,} turns, {_FEATURES} → {_HIDDEN} → {_ACTIONS}, "
            f"batches of {part['batch_size']}, {THREADS} threads",
            f"{'real turns/s (lowest to highest)':>60}  padding  GFLOP/s  first batch  first epoch   memory",
        ]
        for name, measured in part["contenders"].items():
            speed = f"{measured['turns_per_s']:,.0f} ({measured['low']:,.0f} to {measured['high']:,.0f})"
            lines.append(
                f"  {_NAMES[name]:28}{speed:>30}{measured['padding']:9.0%}{measured['gflop_per_s']:9.1f}"
                f"{measured['first_batch_s']:11.1f} s{measured['first_epoch_s']:11.1f} s{measured['rss_mb']:6.0f} MB"
            )
        ratios = part["ratios"]
        against = ", ".join(f"{ratios[name]:.2f} × {_NAMES[name]}" for name in _RIVALS if name in ratios)
        lines += [
            f"  {_NAMES[part['best']]} is {against},",
            f"  and does {ratios['sgemm']:.0%} of the {part['sgemm_gflop_per_s']:.0f} GFLOP/s of a 1024³ multiplication.",
            "",
        ]
    lines += [describe_scaling(result["scaling"]), ""]
    if result["missing"]:
        packages = ", ".join(sorted({_NEEDS[name] for name in result["missing"]}))
        lines.append(f"Not installed, so not compared: {packages}. scripts/benchmark installs all contenders.")
    return "\n".join(lines).rstrip()


if __name__ == "__main__":
    _compete(sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]), int(sys.argv[4]))
