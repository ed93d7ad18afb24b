"""Training by several processes against training by one: the same result, and how long it takes."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.workload import N_ACTIONS, STAR_LENGTHS
from dialog_policy import DialogPolicy
from dialog_policy.corpus import ActionSpace
from dialog_policy.distributed import join
from dialog_policy.features.encoded import EncodedDialogues
from dialog_policy.network.config import NetworkConfig
from dialog_policy.network.training import train_network
from dialog_policy.runtime.decoder import Decoder

__all__ = ["compare", "free_port", "run_process", "train_together"]

_FEATURES = 300
_ROOT = Path(__file__).resolve().parent.parent
# A process of such a training; its arguments are folder, processes, rank, port and what to train, as JSON.
_PROCESS = """
import sys
from dialog_policy.network.backend import be_lean, load_keras
be_lean()
load_keras()
from benchmarks.distributed import run_process
run_process(*sys.argv[1:])
"""


def free_port() -> int:
    """Return a port of this machine that nobody listens at."""
    with socket.create_server(("localhost", 0)) as server:
        return int(server.getsockname()[1])


def train_together(folder: Path, processes: int, what: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Train by so many processes on this machine, and return what each has in the end.

    Parameters
    ----------
    folder
        An empty folder to work in.
    processes
        How many; one joins nobody.
    what
        ``settings`` of ``DialogPolicy``, ``corpus`` and ``dev`` as for its ``fit``; without a corpus the network alone is trained,
        on arrays as many and as long as the dialogues of STAR. ``steps``: after how many to end; None: after all. ``cores``: the
        cores of each process, if they are to have their own.

    Returns
    -------
    list of dict
        One a process: ``losses`` of each step, ``seconds`` of each epoch, and, of a corpus, ``accuracies`` of each epoch and all
        arrays of the run by name.

    Raises
    ------
    RuntimeError
        If a process fails: with its output.
    """
    port = free_port()
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": os.pathsep.join([str(_ROOT), *sys.path])}
    command = [sys.executable, "-c", _PROCESS, str(folder), str(processes)]
    started = [
        subprocess.Popen(
            [*command, str(rank), str(port), json.dumps(dict(what))],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=_ROOT,
            env=environment,
        )
        for rank in range(processes)
    ]
    outputs = [process.communicate()[0] for process in started]
    for process, output in zip(started, outputs, strict=True):
        if process.returncode:
            raise RuntimeError(f"a process ended with {process.returncode}:\n{output[-3000:]}")
    return [dict(np.load(folder / f"{processes}-{rank}.npz")) for rank in range(processes)]


def compare(one: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the largest differences between what one process has and what each of several has.

    ``losses`` relative to the loss, ``arrays`` and ``accuracies`` absolute.
    """
    arrays = [name for name in one if "/" in name]
    return {
        "losses": max(float(np.abs(other["losses"] / one["losses"] - 1).max()) for other in others),
        "accuracies": max(
            float(np.nan_to_num(np.abs(other["accuracies"] - one["accuracies"])).max()) for other in others
        ),
        "arrays": max(float(np.abs(other[name] - one[name]).max(initial=0)) for other in others for name in arrays),
    }


class _Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the loss of every step and the time of every epoch, and ends after so many steps."""

    def __init__(self, steps: int | None) -> None:
        super().__init__()
        self.steps = steps
        self.losses: list[Any] = []
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.begun = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.losses.append(logs["loss"])
        if self.steps is not None and len(self.losses) >= self.steps:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        float(self.losses[-1])  # waits for what is still computed
        self.seconds.append(time.perf_counter() - self.begun)


def _train_policy(given: Mapping[str, Any], watch: _Watch) -> dict[str, Any]:
    policy = DialogPolicy(**given["settings"]).fit(given["corpus"], dev=given["dev"], callbacks=[watch])
    arrays = {
        f"{file}/{name}": array
        for file in ("network.safetensors", "encoder.safetensors")
        for name, array in policy.runtime_.run.arrays(file).items()
    }
    return {"accuracies": np.array([row.get("dev_turn_accuracy", np.nan) for row in policy.history_]), **arrays}


def _train_network(given: Mapping[str, Any], watch: _Watch) -> dict[str, Any]:
    random = np.random.default_rng(0)
    lengths = random.permutation(np.repeat(np.arange(1, len(STAR_LENGTHS) + 1), STAR_LENGTHS))
    encoded = EncodedDialogues.from_arrays(
        [random.normal(size=(length, _FEATURES)).astype(np.float32) for length in lengths],
        [np.eye(N_ACTIONS, dtype=np.float32)[random.integers(N_ACTIONS, size=length)] for length in lengths],
    )
    decoder = Decoder.fit(ActionSpace([f"action_{i:02}" for i in range(N_ACTIONS)]), [], single_action=True)
    train_network(encoded, None, decoder, NetworkConfig(**given["settings"]), callbacks=[watch])
    return {"turns": np.array(lengths.sum())}


def run_process(folder: str, processes: str, rank: str, port: str, what: str) -> None:
    """Train as one of the processes, and write what it has in the end to the folder."""
    given = json.loads(what)
    if given.get("cores"):
        os.sched_setaffinity(0, given["cores"][int(rank)])
    watch = _Watch(given["steps"])
    with contextlib.nullcontext() if processes == "1" else join(f"localhost:{port}", int(processes), int(rank)):
        result = (_train_policy if given.get("corpus") else _train_network)(given, watch)
    losses = np.array([float(loss) for loss in watch.losses])
    np.savez(Path(folder) / f"{processes}-{rank}.npz", losses=losses, seconds=np.array(watch.seconds), **result)
