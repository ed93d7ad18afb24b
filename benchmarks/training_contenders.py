"""The contenders of the training benchmark, each a process: ours on each backend, Keras as people write it, PyTorch, sgemm.

All of them begin with the same weights, see the same dialogues, and say in the end how far they have learnt them.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.contender import THREADS, answer, wait
from benchmarks.memory import peak_memory_mb

__all__ = ["ACTIONS", "FEATURES", "HIDDEN", "OURS"]

FEATURES, HIDDEN, ACTIONS = 300, 128, 40
OURS = ("tensorflow", "tensorflow_jit", "jax")
# Of batches of one only every so many-th dialogue: an epoch of all takes longer than all the others together.
_SAMPLE = 8
# Dialogues that are computed together to measure the loss.
_TOGETHER = 256

_IntArray = npt.NDArray[np.int64]
_FloatArray = npt.NDArray[np.float32]
_Call = Callable[[], object]
# Told the number of an epoch, from 0, when it has ended.
_EpochEnd = Callable[[int], object]


class _Contender(NamedTuple):
    """A training, the turns that an epoch of it computes, padding included, and the logits of a padded batch.

    `train` takes a number of epochs, which are one training, as people write it, and what is told of each.
    """

    train: Callable[[int, _EpochEnd], object]
    padded: int
    logits: Callable[[_FloatArray], _FloatArray]


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
    ready = prepare(name, batch_size, lengths, trained_a_batch)
    turns = int(lengths.sum())

    def trained_an_epoch(epoch: int) -> None:
        nonlocal begin
        seconds = time.perf_counter() - begin
        if epoch:
            answer(value=seconds)
        else:
            answer(turns=turns, padding=1 - turns / ready.padded, first_epoch_s=seconds, first_batch_s=first_batch[0])
        wait()
        begin = time.perf_counter()

    begin = time.perf_counter()
    ready.train(rounds + 1, trained_an_epoch)
    rss_mb = peak_memory_mb()
    answer(rss_mb=rss_mb, loss=_loss(ready, lengths))


def _dialogues(lengths: _IntArray) -> tuple[list[Any], list[Any]]:
    """Random features; which actions are taken follows from a turn's features and from those of the turn before."""
    random = np.random.default_rng(0)
    now, before = random.normal(size=(2, FEATURES, ACTIONS)) / np.sqrt(FEATURES)
    features = [random.normal(size=(n, FEATURES)).astype(np.float32) for n in lengths]
    likely = [x @ now + np.concatenate([np.zeros((1, ACTIONS)), x[:-1] @ before]) for x in features]
    return features, [(each > 2.0).astype(np.float32) for each in likely]


def _weights() -> list[_FloatArray]:
    """Kernel, recurrent kernel, bias (gates in the order i, f, g, o), and kernel and bias of the head: uniform, as PyTorch has it."""
    random, bound = np.random.default_rng(1), HIDDEN**-0.5
    shapes = ((FEATURES, 4 * HIDDEN), (HIDDEN, 4 * HIDDEN), (4 * HIDDEN,), (HIDDEN, ACTIONS), (ACTIONS,))
    return [random.uniform(-bound, bound, shape).astype(np.float32) for shape in shapes]


def _loss(ready: _Contender, lengths: _IntArray) -> float:
    """Mean binary cross-entropy over all actions of all turns, with the weights as they are now."""
    total, order = 0.0, np.argsort(lengths, kind="stable")
    features, targets = _dialogues(lengths)
    for some in np.array_split(order, -(-len(order) // _TOGETHER)):
        longest = int(lengths[some].max())
        padded = np.zeros((len(some), longest, FEATURES), dtype=np.float32)
        for row, number in enumerate(some):
            padded[row, : lengths[number]] = features[number]
        logits = ready.logits(padded)
        for row, number in enumerate(some):
            z = logits[row, : lengths[number]].astype(np.float64)
            total += float((np.logaddexp(0, z) - targets[number] * z).sum())
    return total / (float(lengths.sum()) * ACTIONS)


def _keras(name: str, batch_size: int, lengths: _IntArray, trained_a_batch: _Call) -> _Contender:
    from dialog_policy.network.backend import feed, load_keras, use_cores

    keras = load_keras()
    if name in OURS:
        use_cores()
    from dialog_policy.features.encoded import EncodedDialogues
    from dialog_policy.network.batches import COMPILED_LENGTHS, DialogueBatches
    from dialog_policy.network.layers import FoldedTimeDistributed
    from dialog_policy.network.loss import ActionLoss
    from dialog_policy.network.lstm import HoistedLSTM
    from dialog_policy.network.optimizer import FusedAdamW

    keras.utils.set_random_seed(0)
    features, targets = _dialogues(lengths)
    inputs = keras.Input((None, FEATURES))
    head = keras.layers.Dense(ACTIONS)
    data: Any
    if name in OURS:
        outputs = FoldedTimeDistributed(head)(HoistedLSTM(HIDDEN)(inputs))
        limit = None if name == "tensorflow" else COMPILED_LENGTHS
        data = DialogueBatches(EncodedDialogues.from_arrays(features, targets), batch_size, max_lengths=limit)
        loss: Any = ActionLoss(single_action=False)
        options = {"jit_compile": name != "tensorflow"}
        padded = sum(data.turns(i).size for i in range(len(data)))
    else:
        # As tutorials have it: one array, zeros behind the shorter dialogues, a mask, everything else left to Keras.
        masked = keras.layers.Masking()(inputs) if name == "keras_masking" else inputs
        states = keras.layers.LSTM(HIDDEN, return_sequences=True)(masked)
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
    model.set_weights(_weights())
    model.compile(FusedAdamW() if name in OURS else keras.optimizers.Adam(), loss, **options)
    fed = (
        {"x": data[0], "y": data[1], "batch_size": batch_size}
        if name == "keras_masking"
        else {"x": data, "shuffle": False}
    )
    if name in OURS:
        fed |= feed(data)

    def train(epochs: int, trained_an_epoch: _EpochEnd, data: Any = data) -> None:  # keeps the batches
        watch = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: trained_a_batch(),
            on_epoch_end=lambda epoch, logs: trained_an_epoch(epoch),
        )
        watch.async_safe = True
        model.fit(**fed, epochs=epochs, verbose=0, callbacks=[watch])

    return _Contender(train, padded, model.predict_on_batch)


def _torch(name: str, batch_size: int, lengths: _IntArray, trained_a_batch: _Call) -> _Contender:
    """As well fed as ours: sorted by length, packed without a copy more than needed, Adam in one kernel."""
    import torch
    from torch.nn.utils.rnn import PackedSequence

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    features, targets = (torch.from_numpy(np.concatenate(arrays)) for arrays in _dialogues(lengths))
    offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    lstm, head = torch.nn.LSTM(FEATURES, HIDDEN), torch.nn.Linear(HIDDEN, ACTIONS)
    kernel, recurrent, bias, head_kernel, head_bias = map(torch.from_numpy, _weights())
    with torch.no_grad():
        for parameter, value in (
            (lstm.weight_ih_l0, kernel.T), (lstm.weight_hh_l0, recurrent.T), (lstm.bias_ih_l0, bias),
            (lstm.bias_hh_l0, torch.zeros_like(bias)), (head.weight, head_kernel.T), (head.bias, head_bias),
        ):  # fmt: skip
            parameter.copy_(value)
    lstm.bias_hh_l0.requires_grad_(False)  # two biases that are only added learn twice as fast as the one of the others
    learnt = [parameter for parameter in (*lstm.parameters(), *head.parameters()) if parameter.requires_grad]
    optimizer = torch.optim.Adam(learnt, fused=True)
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

    def train(epochs: int, trained_an_epoch: _EpochEnd) -> None:
        for epoch in range(epochs):
            for dialogues in batches():
                loss = loss_on(dialogues)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                trained_a_batch()
            trained_an_epoch(epoch)

    padded = int(lengths.sum())
    if name == "torch_padded":
        padded = sum(int(lengths[dialogues].max()) * len(dialogues) for dialogues in batches())

    def logits(some: _FloatArray) -> _FloatArray:
        with torch.no_grad():
            computed: _FloatArray = head(lstm(torch.from_numpy(some).transpose(0, 1))[0]).transpose(0, 1).numpy()
        return computed

    return _Contender(train, padded, logits)


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


if __name__ == "__main__":
    _compete(sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]), int(sys.argv[4]))
