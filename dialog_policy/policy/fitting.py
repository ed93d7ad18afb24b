"""From dialogues to the files of a run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dialog_policy.baselines.fit import fit_baselines
from dialog_policy.corpus import ActionSpace, Corpus
from dialog_policy.corpus.action_slots import acts_with_named_slots, named_slots
from dialog_policy.corpus.written_forms import with_written_forms
from dialog_policy.errors import CorpusError, OptionError
from dialog_policy.features.encode import encode_parts
from dialog_policy.network.calibration import calibrate, choose_fallback
from dialog_policy.network.checkpoint import read_checkpoint
from dialog_policy.policy.config import Config, current_names
from dialog_policy.policy.parts import Parts
from dialog_policy.runtime.decoder import Decoder
from dialog_policy.runtime.folder import pack
from dialog_policy.runtime.replies import Replies
from dialog_policy.threads import one_thread

if TYPE_CHECKING:
    import keras

__all__ = ["Fitted", "check_callbacks", "fit_policy"]


class Fitted(NamedTuple):
    """What training leaves.

    Attributes
    ----------
    files
        The files of a run by name.
    network
        The Keras model with the weights that are kept, from features to probabilities.
    """

    files: dict[str, bytes]
    network: keras.Model


def fit_policy(
    parts: Parts,
    config: Config,
    *,
    name: str | None = None,
    folder: Path | None = None,
    resume: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Fitted:
    """Train a policy.

    Parameters
    ----------
    parts
        The training part, and the validation part if there is one.
    config
        All settings.
    name
        What the run is called.
    folder
        Where a checkpoint is kept after every epoch, and the logs. None: nothing is written.
    resume
        Go on from the checkpoint in `folder`.
    callbacks
        Further Keras callbacks.

    Raises
    ------
    CorpusError
        If a head of one action meets turns with none or several.
    RunError
        If the checkpoint cannot be read, or comes from other dialogues or settings.
    DivergenceError
        If the loss is not finite any more, or worse in the end than before the training.
    """
    from dialog_policy.network.layers import weights_of, with_probabilities
    from dialog_policy.network.training import Validation, predict_logits, train_network
    from dialog_policy.runtime.onnx_graph import onnx_graph

    train, dev, _ = parts
    train = with_written_forms(train)
    gold = [turn.actions for dialogue in train for turn in dialogue.turns if turn.actions is not None]
    actions = ActionSpace().fit(gold)
    single = _takes_one_action(gold, config, train.name)
    fingerprints = {
        "train": [dialogue.fingerprint() for dialogue in train],
        "dev": [dialogue.fingerprint() for dialogue in dev or ()],
    }
    encoder, encoded, dev_encoded = encode_parts(
        train,
        dev,
        actions,
        config.encoders,
        seed=config.seed,
        fingerprints=fingerprints,
    )
    decoder = Decoder.fit(
        actions,
        gold,
        single_action=single,
        whole_sets=config.decoding == "joint",
        named_acts=acts_with_named_slots(train),
    )
    validation = None
    if dev is not None and dev_encoded is not None:
        dev_gold = [turn.actions for dialogue in dev for turn in dialogue.turns]
        named = (own for dialogue in dev for own in named_slots(dialogue, decoder.slots))
        validation = Validation(dev_encoded, dev_gold, decoder.impossible(named))
    trained = train_network(
        encoded,
        validation,
        decoder,
        config,
        folder=folder,
        state=_checkpoint(folder) if resume and folder is not None else None,
        about={"train": fingerprints["train"], "config": config.flat()},
        callbacks=callbacks,
    )
    fallback: dict[str, float] | None = None
    if validation is not None:
        logits = predict_logits(trained.network, validation.encoded)
        calibrate(decoder, logits, validation.gold)
        if config.fallback_precision is not None:
            coverage, precision = choose_fallback(
                decoder, logits, validation.gold, config.fallback_precision, validation.impossible
            )
            fallback = {"below": decoder.fallback_below, "coverage": coverage, "precision": precision}
    with one_thread():
        baselines = fit_baselines(train, actions, tokenizer=config.encoders.tokenizer, seed=config.seed)
    encoder_parts, encoder_arrays = encoder.to_parts()
    baseline_parts, baseline_arrays = baselines.to_parts()
    weights = weights_of(trained.network)
    files = pack(
        {
            "encoder.json": encoder_parts,
            "decoder.json": decoder.to_json(),
            "replies.json": Replies.fit(train).to_json(),
            "baselines.json": baseline_parts,
            "dialogues.json": {part: sorted(set(prints)) for part, prints in fingerprints.items()},
        },
        {
            "encoder.safetensors": encoder_arrays,
            "baselines.safetensors": baseline_arrays,
            "network.safetensors": weights,
        },
        {"model.onnx": onnx_graph(weights)},
        {
            "name": name,
            "corpus": _described(parts),
            "config": config.flat(),
            "package_version": version("dialog-policy"),
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "history": trained.history,
            "fallback": fallback,
            "actions": list(actions.classes_),
        },
    )
    return Fitted(files, with_probabilities(trained.network, single_action=single))


def _takes_one_action(gold: Sequence[frozenset[str]], config: Config, corpus: str) -> bool:
    if config.head != "softmax":
        return config.head == "auto" and all(len(actions) == 1 for actions in gold)
    if any(len(actions) != 1 for actions in gold):
        raise CorpusError(
            f"the head 'softmax' needs exactly one action a turn; {corpus} has turns with none or several.",
            remedy="Use head='sigmoid' or 'auto'.",
        )
    return True


def _checkpoint(folder: Path) -> dict[str, Any]:
    """Read the checkpoint; one of an earlier version names settings as that did."""
    state = read_checkpoint(folder)
    about = state.get("about") or {}
    state["about"] = about | {"config": current_names(about.get("config", {}), warn=False)}
    return state


def _described(parts: Parts) -> dict[str, Any]:
    train, dev, validation = parts

    def size(part: Corpus) -> dict[str, int]:
        return {"dialogues": len(part), "turns": part.n_targets}

    return {
        "name": os.fsencode(train.name).decode(errors="replace"),
        "format": train.format,
        "reader": train.reader_options,
        "replies_are_templates": train.replies_are_templates,
        "train": size(train),
        "dev": None if dev is None else size(dev),
        "validation": validation,
    }


def check_callbacks(callbacks: Any) -> list[Any]:
    """Return callbacks as a list.

    Raises
    ------
    OptionError
        If one is no Keras callback.
    """
    listed = list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
    for callback in listed:
        if not hasattr(callback, "set_model"):
            raise OptionError(f"callbacks: expected keras.callbacks.Callback objects, found {callback!r}.")
    return listed
