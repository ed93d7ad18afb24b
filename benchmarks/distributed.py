"""Training by several processes against training by one: the same result, and how long it takes.

A process of such a training is ``python -m benchmarks.distributed FOLDER PROCESSES RANK PORT JSON``.
"""

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

import numpy as np

__all__ = ["compare", "free_port", "train_together"]

_ROOT = Path(__file__).resolve().parent.parent


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
        ``corpus``, ``dev`` and ``settings`` as for ``DialogPolicy``, ``steps``: after how many to end, ``cores``: a list with the
        cores of each process, if they are to have their own.

    Returns
    -------
    list of dict
        One a process: ``losses`` of each step, ``accuracies`` and ``seconds`` of each epoch, and all arrays of its run by name.

    Raises
    ------
    RuntimeError
        If a process fails: with its output.
    """
    port = free_port()
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": os.pathsep.join([str(_ROOT), *sys.path])}
    command = [sys.executable, "-m", "benchmarks.distributed", str(folder), str(processes)]
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


def _main(folder: str, processes: str, rank: str, port: str, what: str) -> None:
    given = json.loads(what)
    if given.get("cores"):
        os.sched_setaffinity(0, given["cores"][int(rank)])
    import keras

    from dialog_policy import DialogPolicy
    from dialog_policy.distributed import join

    class Watch(keras.callbacks.Callback):  # type: ignore[misc]
        """Keeps the loss of every step and the time of every epoch, and ends after so many steps."""

        def __init__(self) -> None:
            super().__init__()
            self.losses: list[float] = []
            self.seconds: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.begun = time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.losses.append(logs["loss"])
            if len(self.losses) >= given["steps"]:
                self.model.stop_training = True

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.losses[-1] = float(self.losses[-1])
            self.seconds.append(time.perf_counter() - self.begun)

    watch = Watch()
    alone = processes == "1"
    with contextlib.nullcontext() if alone else join(f"localhost:{port}", int(processes), int(rank)):
        policy = DialogPolicy(**given["settings"]).fit(given["corpus"], dev=given["dev"], callbacks=[watch])
    arrays = {
        f"{file}/{name}": array
        for file in ("network.safetensors", "encoder.safetensors")
        for name, array in policy.runtime_.run.arrays(file).items()
    }
    np.savez(
        Path(folder) / f"{processes}-{rank}.npz",
        losses=np.array([float(loss) for loss in watch.losses]),
        accuracies=np.array([row.get("dev_turn_accuracy", np.nan) for row in policy.history_]),
        seconds=np.array(watch.seconds),
        **arrays,
    )


if __name__ == "__main__":
    _main(*sys.argv[1:])
