"""Keras callbacks of the training loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from dialog_policy.errors import RunError
from dialog_policy.network.batches import DialogueBatches
from dialog_policy.network.checkpoint import CHECKPOINT, write_checkpoint
from dialog_policy.network.divergence import LossWatch
from dialog_policy.network.lstm import CARRIED

__all__ = ["Checkpoint", "EarlyStopping", "Progress", "loggers"]

# As a rule so many checkpoints are written, evenly over all epochs: on a small corpus one takes longer than an epoch. No more
# than a minute of training is ever at risk, though.
_CHECKPOINTS, _AT_RISK_S = 10, 60.0


@contextmanager
def _averaged(model: keras.Model) -> Iterator[None]:
    """Within it, a compiled model has the averages of its weights, if its optimizer keeps any; afterwards its own again."""
    if not model.optimizer.use_ema:
        yield
        return
    own = model.get_weights()
    model.optimizer.finalize_variable_values(model.trainable_variables)
    # On JAX the variables have now the very arrays of the optimizer, which would be gone once a prediction donates its own.
    model.set_weights(model.get_weights())
    try:
        yield
    finally:
        model.set_weights(own)


class EarlyStopping(keras.callbacks.EarlyStopping):
    """Keras' early stopping by what is measured after every epoch, with a memory that survives an interruption.

    What is measured and kept are the weights' averages, if the optimizer keeps any. Of epochs that are equally good the last
    one's weights are kept, since it has learnt longer; Keras keeps the first one's. The caller puts the best weights back.

    Parameters
    ----------
    name
        Of what is followed; more is better.
    measure
        Returns it, and what else is to be in the logs and the history, by name.
    patience
        Epochs without a better value after which training stops.
    """

    def __init__(self, name: str, measure: Callable[[], Mapping[str, float]], patience: int) -> None:
        super().__init__(monitor=name, mode="max", patience=patience, restore_best_weights=True)
        self.measure = measure
        self._restored: dict[str, Any] = {}

    def restore(self, best: float, wait: int, best_weights: list[Any]) -> None:
        """Go on from here at the next start of training."""
        self._restored = {"best": best, "wait": wait, "best_weights": best_weights}
        self.__dict__.update(self._restored)

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Start, from what was restored if anything was."""
        super().on_train_begin(logs)
        self.__dict__.update(self._restored)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Measure, for the callbacks after it too, and look whether this epoch is better, or as good."""
        logs = {} if logs is None else logs
        with _averaged(self.model):
            logs.update(self.measure())
            super().on_epoch_end(epoch, logs)
            if logs[self.monitor] == self.best:
                self.best_weights = self.model.get_weights()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Leave the weights as they are: the state to resume from is taken from them first."""


class Checkpoint(keras.callbacks.Callback):
    """Keeps the history, and writes all that training needs to go on.

    After every epoch if there are few; of many epochs after every tenth part of them, or whenever a minute has passed since
    the last time; and at the end. Nothing is written of an epoch that has learnt nothing.

    Parameters
    ----------
    network, optimizer
        What is trained, and what trains it.
    watch
        Knows which losses are those of a training that diverges.
    stopping
        Its early stopping, if there is any.
    folder
        Where to write; None: nowhere.
    about
        Written along.
    """

    def __init__(
        self,
        network: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        watch: LossWatch,
        stopping: EarlyStopping | None,
        folder: Path | None,
        about: dict[str, Any],
    ) -> None:
        super().__init__()
        self.network, self.optimizer, self.watch, self.stopping = network, optimizer, watch, stopping
        self.folder, self.about = folder, about
        self.history: list[dict[str, float]] = []
        self._written, self._when = 0, time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Record the epoch, and write the checkpoint if it is time to."""
        self.history.append({"epoch": epoch + 1, **{name: float(value) for name, value in (logs or {}).items()}})
        every = max(1, self.params["epochs"] // _CHECKPOINTS)
        if len(self.history) % every == 0 or time.monotonic() - self._when > _AT_RISK_S:
            self._write()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Write the checkpoint from which a finished training can be gone on with."""
        if self._written < len(self.history):
            self._write()

    def _write(self) -> None:
        if self.folder is not None and not self.watch.is_worse(self.history[-1]["loss"]):
            write_checkpoint(self.folder, self.state())
            self._written, self._when = len(self.history), time.monotonic()

    def _variables(self) -> dict[str, Any]:
        network = {f"network.{i:03}": v for i, v in enumerate(self.network.variables) if not _is_carried(v)}
        return {**network, **{f"optimizer.{i:03}": v for i, v in enumerate(self.optimizer.variables)}}

    def _best(self) -> dict[str, int]:
        """Names of the best weights that are kept, and their places among all."""
        return {f"best.{i:03}": i for i, v in enumerate(self.network.weights) if not _is_carried(v)}

    def state(self) -> dict[str, Any]:
        """Arrays and history from which :meth:`restore` goes on."""
        arrays = {name: np.asarray(keras.ops.convert_to_numpy(v)) for name, v in self._variables().items()}
        state: dict[str, Any] = {
            "arrays": arrays, "history": list(self.history), "about": self.about, "first_loss": self.watch.first,
        }  # fmt: skip
        if self.stopping is not None and self.stopping.best_weights is not None:
            arrays.update({name: np.asarray(self.stopping.best_weights[i]) for name, i in self._best().items()})
            state.update(best=float(self.stopping.best), wait=int(self.stopping.wait))
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`state` returned.

        Raises
        ------
        RunError
            If it belongs to another network.
        """
        followed = None if self.stopping is None or state.get("best") is None else self.stopping.monitor
        if followed is not None and followed not in state["history"][-1]:
            raise RunError(
                f"{CHECKPOINT} in {self.folder} is of an earlier version, whose early stopping followed the turn accuracy. Begin "
                "anew with --restart (in Python: resume=False)."
            )
        variables, places, best = self._variables(), self._best(), self.network.get_weights()
        known = {*variables, *places}
        arrays = {name: array for name, array in state["arrays"].items() if name in known or not self._is_old(name)}
        has_best = any(name.startswith("best.") for name in arrays)
        shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
        shapes.update({name: best[place].shape for name, place in places.items() if has_best})
        if (
            shapes != {name: array.shape for name, array in arrays.items()}
            or (has_best and None in (state.get("best"), state.get("wait")))
        ):  # fmt: skip
            raise RunError(
                f"{CHECKPOINT} in {self.folder} is damaged, or of another network. Begin anew with --restart (in Python: "
                "resume=False)."
            )
        for name, variable in variables.items():
            variable.assign(arrays[name])
        self.history, self.watch.first = list(state["history"]), state.get("first_loss")
        self._written = len(self.history)
        if self.stopping is not None and has_best:
            for name, place in places.items():
                best[place] = arrays[name]
            self.stopping.restore(state["best"], state["wait"], best)

    def _is_old(self, name: str) -> bool:
        """Whether it is the name of a state that is carried, which earlier versions kept."""
        kind, _, place = name.partition(".")
        of_kind = {"network": self.network.variables, "best": self.network.weights}.get(kind, [])
        return place.isdigit() and int(place) < len(of_kind) and _is_carried(of_kind[int(place)])


def _is_carried(variable: Any) -> bool:
    """Whether it is a state that windows carry: epochs begin anew with it, and more processes may need more rows of it."""
    return bool(variable.name.startswith(CARRIED))


class Progress(keras.callbacks.Callback):
    """A progress bar over all epochs, in turns, with turns/s and the time left; none where stderr is no terminal."""

    async_safe = True

    def __init__(self, batches: DialogueBatches, epochs: int, done: int) -> None:
        super().__init__()
        self.epochs, self._done = epochs, done
        self._turns = int(batches.encoded.lengths.sum())
        self._turns_a_batch = self._turns / len(batches)

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Open the bar."""
        self._bar = tqdm(
            total=self.epochs * self._turns,
            initial=self._done * self._turns,
            unit=" turns",
            unit_scale=True,
            disable=None,
            desc="training",
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Move on by the turns that a batch has on average."""
        self._bar.update(self._turns_a_batch)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Show the epoch's figures."""
        # A callback of the user's may have logged anything.
        numbers = {k: f"{v:.3f}" for k, v in (logs or {}).items() if isinstance(v, int | float | np.number)}
        self._bar.set_postfix({"epoch": f"{epoch + 1}/{self.epochs}", **numbers})

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Close the bar."""
        self._bar.close()


class _EpochBoard(keras.callbacks.Callback):
    """TensorBoard events of every epoch, as Keras names them.

    Those of every batch, which Keras' own callback writes too, and the learning rate, which is a cosine, take a tenth of the
    training of a small corpus.
    """

    async_safe = True

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Open the file."""
        import tensorflow as tf

        self._summary = tf.summary
        self._writer = tf.summary.create_file_writer(str(self.folder / "train"))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write the epoch's figures."""
        with self._writer.as_default(step=epoch):
            for name, value in (logs or {}).items():
                self._summary.scalar(f"epoch_{name}", value)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Close the file."""
        self._writer.close()


def loggers(folder: Path | None, done: int) -> list[keras.callbacks.Callback]:
    """Keras' CSV log and, with the TensorFlow backend, TensorBoard events, in ``logs/`` of the folder.

    The CSV log goes on after the line of epoch `done`: what an interrupted training logged after its last checkpoint is
    trained, and logged, again.
    """
    if folder is None:
        return []
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    table = logs / "training.csv"
    if table.exists():
        table.write_text("".join(table.read_text().splitlines(keepends=True)[: 1 + done]))
    callbacks: list[keras.callbacks.Callback] = [keras.callbacks.CSVLogger(str(table), append=True)]
    if keras.backend.backend() == "tensorflow":
        callbacks.append(_EpochBoard(logs / "tensorboard"))
    return callbacks
