"""The training loop: Keras' ``fit`` with early stopping on the validation part's likelihood, exact interruption and resumption."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import keras
import msgspec
import numpy as np
import numpy.typing as npt

from dialog_policy.distributed import current_group
from dialog_policy.errors import DivergenceError, RunError
from dialog_policy.executor import cores
from dialog_policy.features.encoded import EncodedDialogues
from dialog_policy.heap import keep_memory
from dialog_policy.network.backend import compiles, feed, make_deterministic, use_cores
from dialog_policy.network.batches import COMPILED_LENGTHS, DialogueBatches
from dialog_policy.network.callbacks import Checkpoint, EarlyStopping, Progress, loggers
from dialog_policy.network.config import NetworkConfig
from dialog_policy.network.divergence import ADVICE, LossWatch, check_finite
from dialog_policy.network.embedding import freeze, with_embeddings
from dialog_policy.network.layers import build_network, windowed
from dialog_policy.network.loss import ActionLoss
from dialog_policy.network.multiprocess import local, share_of, shared_judge, spread
from dialog_policy.network.optimizer import FusedAdamW
from dialog_policy.runtime.decoder import Decoder

__all__ = ["Trained", "Validation", "train_network"]

# Threads share pools of memory for batches of up to so many dialogues. With larger ones they wait for each other too long:
# docs/lab/speed.md has figures.
_SMALL_BATCH = 32

_DEV_ACCURACY, _DEV_LIKELIHOOD = "dev_turn_accuracy", "dev_log_likelihood"

Actions = Sequence[frozenset[str] | None]


class Validation(NamedTuple):
    """A validation part.

    Attributes
    ----------
    encoded
        Its dialogues.
    gold
        The gold actions of each of its turns; None: not annotated.
    impossible
        Shape (n_turns, n_actions): actions that cannot be taken; None: all can.
    """

    encoded: EncodedDialogues
    gold: Actions
    impossible: npt.NDArray[np.bool_] | None = None


class Trained(NamedTuple):
    """What training leaves.

    Attributes
    ----------
    network
        With the best weights.
    history
        One dict an epoch: ``epoch`` (from 1), ``loss`` and, with a dev part, ``dev_turn_accuracy`` and ``dev_log_likelihood``,
        of the gold sets, in nats a turn.
    """

    network: keras.Model
    history: list[dict[str, float]]


@spread()
def train_network(
    train: EncodedDialogues,
    dev: Validation | None,
    decoder: Decoder,
    config: NetworkConfig,
    *,
    folder: Path | None = None,
    state: dict[str, Any] | None = None,
    about: dict[str, Any] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Trained:
    """Train the network; with the processes that :func:`~dialog_policy.distributed.join` has joined, if it has.

    Parameters
    ----------
    train
        The encoded training part. Tables of its encoder that can be trained are, and have the trained vectors afterwards: the
        network is then one of features by these.
    dev
        The validation part: early stopping follows its likelihood, which changes less by chance than its turn accuracy
        (docs/lab/accuracy.md has figures). None: training runs for the fixed number of epochs.
    decoder
        Decides the actions of dev turns.
    config
        Settings.
    folder
        Where checkpoints are kept, and the logs. None: nothing is written.
    state
        What an earlier training of the same data and settings left: it is gone on with, exactly as if it had not stopped.
    about
        What the checkpoint is to remember of data and settings; `state` must come from a training with the same.
    callbacks
        Further Keras callbacks.

    Raises
    ------
    RunError
        If `state` comes from a training of other data or with other settings.
    DivergenceError
        If the loss is not finite any more, or much worse in the end than before training.
    """
    epochs, batch_size = config.epochs_for(len(train)), config.batch_size_for(len(train))
    use_cores()
    keep_memory(arenas=max(1, cores() // 2) if batch_size <= _SMALL_BATCH else None)
    make_deterministic(config.seed)
    build = partial(
        build_network,
        train.n_features,
        train.n_actions,
        hidden=config.layers,
        dropout=config.dropout,
        seed=config.seed,
    )
    group = current_group()
    network = build(precision=config.precision)
    with local():  # what this process validates with and returns, alone
        own = network if group.processes == 1 else build(precision=config.precision)
    # Training begins where the network says how often each action occurs: there it needs hundreds of steps less.
    rates = train.action_rates()
    begin = np.log(rates) if decoder.single_action else np.log(rates) - np.log1p(-rates)
    network.get_layer("logits").layer.bias.assign(begin.astype(np.float32))
    done = 0 if state is None else len(state["history"])
    batches = DialogueBatches(
        train,
        batch_size,
        strategy=config.batches,
        max_lengths=config.max_lengths or (COMPILED_LENGTHS if compiles() else None),
        window=config.window,
        weighting=config.weighting,
        class_weight=config.class_weight,
        packed=bool(train.embedded),
        seed=config.seed,
        epoch=done,
        share=share_of(group),
    )
    model = windowed(network, batches.batch_size) if config.batches == "window" else network
    if train.embedded:
        model = with_embeddings(model, train, seed=config.seed)
    # Where nothing is left to train, the optimizer is that of the training that was stopped.
    planned = state["about"].get("config", {}).get("epochs") if state is not None and done >= epochs else epochs
    steps = msgspec.structs.replace(config, epochs=planned).epochs_for(len(train)) * len(batches)
    optimizer = FusedAdamW(
        keras.optimizers.schedules.CosineDecay(config.learning_rate, steps),
        config.weight_decay,
        use_ema=config.averaging > 0,  # however few the steps are: a training that goes on has more of them
        ema_momentum=1 - 1 / max(1.0, config.averaging * steps),
    )
    optimizer.build(model.trainable_variables)
    loss = ActionLoss(
        single_action=decoder.single_action,
        prior=decoder.prior if decoder.sets else None,
        label_smoothing=config.label_smoothing,
    )
    model.compile(optimizer, loss, jit_compile=compiles())
    loss_watch = LossWatch()
    watchers: list[keras.callbacks.Callback] = [loss_watch]
    stopping = None
    if dev is not None:
        dev_encoded, gold, impossible = dev

        def measure() -> dict[str, float]:
            freeze(model, train)
            if group.processes > 1:
                own.set_weights(network.get_weights())
            judged = shared_judge(own, dev_encoded, gold, decoder, impossible)
            return {_DEV_ACCURACY: judged.accuracy, _DEV_LIKELIHOOD: judged.mean_log_likelihood}

        stopping = EarlyStopping(_DEV_LIKELIHOOD, measure, config.patience)
        watchers.append(stopping)
    checkpoint = Checkpoint(model, optimizer, loss_watch, stopping, folder, about or {})
    if state is not None:
        _check_same(state["about"], about or {})
        checkpoint.restore(state)
    watchers += [*loggers(folder, done), checkpoint, *callbacks]
    if group.leads:
        watchers.append(Progress(batches, epochs, done))
    if done < epochs and not (stopping is not None and stopping.wait >= config.patience):
        model.fit(**feed(batches), epochs=epochs, initial_epoch=done, shuffle=False, verbose=0, callbacks=watchers)
    optimizer.finalize_variable_values(model.trainable_variables)
    if stopping is not None and stopping.best_weights is not None:
        model.set_weights(stopping.best_weights)
    freeze(model, train)
    _check_learnt(network, checkpoint.history, loss_watch)
    if config.precision == "mixed":
        with local():
            own = build()
    if own is not network:
        own.set_weights(network.get_weights())
    return Trained(own, checkpoint.history)


def _check_learnt(network: keras.Model, history: list[dict[str, float]], watch: LossWatch) -> None:
    """Refuse what has diverged without a loss that says so: before training, the network knows how often each action occurs."""
    check_finite(network, "the last epoch")
    last = history[-1]["loss"]
    if watch.is_worse(last):
        raise DivergenceError(
            f"the loss was {watch.first:.3g} before the first step and {last:.3g} in the last epoch: the training has diverged. "
            f"{ADVICE}"
        )


def _check_same(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse to go on with other dialogues or settings; only the number of epochs may differ."""
    before = {"dev": now.get("dev"), **before}  # earlier versions did not note the validation part
    for part, use in (("train", "saw"), ("dev", "was validated on")):
        if before.get(part) != now.get(part):
            raise RunError(
                f"the interrupted training {use} other dialogues: expected the same corpus and parts. Begin anew with --restart "
                "(in Python: resume=False)."
            )
    old, new = before.get("config", {}), now.get("config", {})
    changed = sorted(name for name in {*old, *new} - {"epochs"} if old.get(name) != new.get(name))
    if changed:
        raise RunError(
            f"the interrupted training had other settings ({', '.join(changed)}). Give the same ones, or begin anew with "
            "--restart (in Python: resume=False)."
        )
