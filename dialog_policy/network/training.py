"""The training loop: Keras' ``fit`` with early stopping on turn accuracy, exact interruption and resumption."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from dialog_policy.features.encoded import PADDING, EncodedDialogues
from dialog_policy.network.backend import make_deterministic
from dialog_policy.network.batches import DialogueBatches, evaluation_batches
from dialog_policy.network.callbacks import Checkpoint, DevAccuracy, EarlyStopping, Progress, loggers
from dialog_policy.network.config import NetworkConfig
from dialog_policy.network.layers import build_network
from dialog_policy.network.loss import ActionLoss, balanced_weights
from dialog_policy.runtime.decoder import Decoder
from dialog_policy.text.table import FloatArray

__all__ = ["DEV_ACCURACY", "Trained", "predict_logits", "train_network"]

DEV_ACCURACY = "dev_turn_accuracy"

Actions = Sequence[frozenset[str] | None]


class Trained(NamedTuple):
    """What training leaves.

    Attributes
    ----------
    network
        With the best weights.
    history
        One dict an epoch: ``epoch`` (from 1), ``loss`` and, with a dev part, ``dev_turn_accuracy``.
    state
        Arrays from which training can go on.
    """

    network: keras.Model
    history: list[dict[str, float]]
    state: dict[str, Any]


def predict_logits(network: keras.Model, encoded: EncodedDialogues) -> FloatArray:
    """Logits of every turn, in the order of the corpus and without padding: shape (n_turns, n_actions)."""
    logits = np.empty((int(encoded.offsets[-1]), encoded.n_actions), dtype=np.float32)
    for turns in evaluation_batches(encoded):
        real = turns != PADDING
        logits[turns[real]] = network.predict_on_batch(encoded.features(turns))[real]
    return logits


def turn_accuracy(decoder: Decoder, logits: FloatArray, gold: Actions) -> float:
    """Share of target turns whose decided set is exactly the gold set; turns without one do not count."""
    targets = [turn for turn, actions in enumerate(gold) if actions is not None]
    decided = decoder.decide(logits[targets]).actions
    return sum(mine == gold[turn] for mine, turn in zip(decided, targets, strict=True)) / len(targets)


def train_network(
    train: EncodedDialogues,
    dev: tuple[EncodedDialogues, Actions] | None,
    decoder: Decoder,
    config: NetworkConfig,
    *,
    folder: Path | None = None,
    state: dict[str, Any] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Trained:
    """Train the network.

    Parameters
    ----------
    train
        The encoded training part.
    dev
        The encoded dev part and the gold actions of each of its turns: training stops by its turn accuracy. None: it runs
        for the fixed number of epochs.
    decoder
        Decides the actions of dev turns.
    config
        Settings.
    folder
        Where a checkpoint is kept after every epoch, and the logs. None: nothing is written.
    state
        What an earlier training of the same data and settings left: it is gone on with, exactly as if it had not stopped.
    callbacks
        Further Keras callbacks.
    """
    make_deterministic(config.seed)
    network = build_network(
        train.n_features, train.n_actions, hidden=config.layers, dropout=config.dropout, seed=config.seed
    )
    epochs = config.epochs_for(len(train))
    batch_size = config.batch_size_for(len(train))
    done = 0 if state is None else len(state["history"])
    batches = DialogueBatches(train, batch_size, seed=config.seed, epoch=done)
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(config.learning_rate, epochs * len(batches)), config.weight_decay
    )
    optimizer.build(network.trainable_variables)
    network.compile(optimizer, _loss(train, decoder, config), jit_compile=False)
    stopping = EarlyStopping(DEV_ACCURACY, config.patience) if dev is not None else None
    checkpoint = Checkpoint(network, stopping, folder)
    if state is not None:
        checkpoint.restore(state)
    watchers: list[keras.callbacks.Callback] = []
    if dev is not None:
        dev_encoded, gold = dev
        watchers.append(
            DevAccuracy(DEV_ACCURACY, lambda: turn_accuracy(decoder, predict_logits(network, dev_encoded), gold))
        )
        watchers.append(stopping)
    watchers += [*loggers(folder), checkpoint, *callbacks, Progress(batches, epochs)]
    if done < epochs and not (stopping is not None and stopping.wait >= config.patience):
        network.fit(batches, epochs=epochs, initial_epoch=done, shuffle=False, verbose=0, callbacks=watchers)
    final = checkpoint.state()
    if stopping is not None and stopping.best_weights is not None:
        network.set_weights(stopping.best_weights)
    return Trained(network, checkpoint.history, final)


def _loss(train: EncodedDialogues, decoder: Decoder, config: NetworkConfig) -> ActionLoss:
    weights = None
    if config.class_weight == "balanced":
        targets = np.flatnonzero(train.is_target)
        counts = train.targets(targets).sum(axis=0)
        weights = balanced_weights(counts, len(targets), single_action=decoder.single_action)
    return ActionLoss(
        single_action=decoder.single_action, label_smoothing=config.label_smoothing, weights=weights
    )
