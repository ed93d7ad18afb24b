"""From dialogues to the files of a run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec

from dialog_policy.baselines.fit import fit_baselines
from dialog_policy.baselines.process import FitsBaselines
from dialog_policy.corpus import ActionSpace, Corpus
from dialog_policy.corpus.action_slots import acts_with_named_slots, named_slots
from dialog_policy.corpus.stored import StoredCorpus
from dialog_policy.corpus.written_forms import with_written_forms
from dialog_policy.distributed import current_group
from dialog_policy.errors import CorpusError
from dialog_policy.features.encode import encode_parts
from dialog_policy.features.encoder import TurnEncoder
from dialog_policy.features.stored import digest, with_stored_gazetteer
from dialog_policy.heap import give_memory_back
from dialog_policy.network.calibration import calibrate, choose_fallback
from dialog_policy.network.checkpoint import CHECKPOINT, read_checkpoint
from dialog_policy.policy.config import Config, current_names
from dialog_policy.policy.parts import Parts
from dialog_policy.runtime.decoder import Decoder
from dialog_policy.runtime.folder import pack
from dialog_policy.runtime.replies import Replies

if TYPE_CHECKING:
    import keras

    from dialog_policy.network.training import Validation
    from dialog_policy.text.table import FloatArray

__all__ = ["fit_policy", "fits_beside"]

_OTHER_ENCODERS = (
    "They were fitted to the same dialogues, and come out differently on another kind of processor or with other versions of NumPy, "
    "SciPy or gensim. Use the same kind of machine and the same installation for all processes."
)

# Fingerprints of a part's dialogues that a run lists, those that come first: 64 MB of JSON are as much as is read.
_MOST_LISTED = 900_000
# Turns up to which the baselines are fitted beside the training: those of more turns need much memory of their own.
_MOST_BESIDE = 200_000


def fit_policy(
    parts: Parts,
    config: Config,
    *,
    name: str | None = None,
    folder: Path | None = None,
    resume: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    baselines: FitsBaselines,
) -> dict[str, bytes]:
    """Train a policy, and return the files of a run by name.

    Parameters
    ----------
    parts
        The training part, and the validation part if there is one.
    config
        All settings.
    name
        What the run is called.
    folder
        Where checkpoints are kept, and the logs. None: nothing is written. Of processes that train together only the first
        has one.
    resume
        Go on from the checkpoint in `folder`.
    callbacks
        Further Keras callbacks.
    baselines
        Fits those of a corpus of which :func:`fits_beside` is true.

    Raises
    ------
    CorpusError
        If a head of one action meets turns with none or several.
    RunError
        If the checkpoint cannot be read, or comes from other dialogues or settings.
    DivergenceError
        If the loss is not finite any more, or worse in the end than before the training.
    GroupError
        If processes that train together have other data, settings or features, or one of them is lost.
    """
    from dialog_policy.network.layers import weights_of
    from dialog_policy.network.training import Validation, train_network
    from dialog_policy.network.turns import turns_of
    from dialog_policy.runtime.onnx_graph import onnx_graph

    group = current_group()
    train, dev, _ = parts
    # Texts of a store were encoded when it was prepared.
    train = with_stored_gazetteer(train) if isinstance(train, StoredCorpus) else with_written_forms(train)
    gold = Counter(turn.actions for dialogue in train for turn in dialogue.turns if turn.actions is not None)
    actions = ActionSpace().fit(gold)
    single = _takes_one_action(gold, config, train.name)
    fingerprints = {
        "train": train.fingerprints(),
        "dev": [] if dev is None else dev.fingerprints(),
    }
    group.check_same("the settings", msgspec.json.encode(config), "Give all processes the same options.")
    group.check_same(
        "the dialogues", msgspec.json.encode(fingerprints), "Give all processes the same corpora, parts and options."
    )
    encoder, encoded, dev_encoded = encode_parts(
        train,
        dev,
        actions,
        config.encoders,
        seed=config.seed,
        fingerprints=fingerprints,
    )
    digests = {part: digest(own) for part, own in fingerprints.items()}
    if group.processes > 1:
        group.check_same("the encoders", _digest(encoder), _OTHER_ENCODERS)
    del fingerprints  # of large corpora they are large, and are made again in the end
    background = None
    if fits_beside(train):
        background = baselines.begin(train, actions, tokenizer=config.encoders.tokenizer, seed=config.seed)
    decoder = Decoder.fit(
        actions,
        gold.elements(),
        single_action=single,
        whole_sets=config.decoding == "joint",
        by_marginals=config.decoding == "independent",
        named_acts=acts_with_named_slots(train),
        only_fillable=train.replies_are_templates and single,
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
        state=_checkpoint(folder) if resume and (folder is not None or group.processes > 1) else None,
        about={**digests, "config": config.flat()},
        callbacks=callbacks,
    )
    # What follows needs room of its own.
    encoded.forget()
    del encoded
    give_memory_back()

    def files() -> dict[str, bytes]:
        fallback = None
        if validation is not None:
            fallback = _calibrate(decoder, turns_of(trained.network, validation.encoded), validation, config)
            validation.encoded.forget()
        if background is None:  # a large corpus: one thing in memory after the other
            fitted = fit_baselines(train, actions, tokenizer=config.encoders.tokenizer, seed=config.seed)
            baseline_parts, baseline_arrays = fitted.to_parts()
            give_memory_back()
        else:
            baseline_parts, baseline_arrays = background.result()
        encoder_parts, encoder_arrays = encoder.to_parts()
        weights = weights_of(trained.network)
        return pack(
            {
                "encoder.json": encoder_parts,
                "decoder.json": decoder.to_json(),
                "replies.json": Replies.fit(train).to_json(),
                "baselines.json": baseline_parts,
                "dialogues.json": {
                    part: sorted(set([] if corpus is None else corpus.fingerprints()))[:_MOST_LISTED]
                    for part, corpus in (("train", train), ("dev", dev))
                },
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

    return group.once(files, dict[str, bytes])


def _calibrate(decoder: Decoder, logits: FloatArray, validation: Validation, config: Config) -> dict[str, float] | None:
    """Fit a decoder's temperature and, if it is wanted, its threshold for falling back, which is returned."""
    calibrate(decoder, logits, validation.gold)
    wanted = config.fallback_precision
    if wanted is None:
        return None
    coverage, precision = choose_fallback(decoder, logits, validation.gold, wanted, validation.impossible)
    return {"below": decoder.fallback_below, "coverage": coverage, "precision": precision}


def fits_beside(train: Corpus) -> bool:
    """Whether this process fits the baselines of a training part, and while it trains."""
    return current_group().leads and not isinstance(train, StoredCorpus) and train.n_turns <= _MOST_BESIDE


def _takes_one_action(gold: Iterable[frozenset[str]], config: Config, corpus: str) -> bool:
    if config.head != "softmax":
        return config.head == "auto" and all(len(actions) == 1 for actions in gold)
    if any(len(actions) != 1 for actions in gold):
        raise CorpusError(
            f"the head 'softmax' needs exactly one action a turn; {corpus} has turns with none or several.",
            remedy="Use head='sigmoid' or 'auto'.",
        )
    return True


def _digest(encoder: TurnEncoder) -> bytes:
    """Return a hash of the numbers that an encoder has learnt."""
    hashed = sha256()
    for _, array in sorted(encoder.to_parts()[1].items()):
        hashed.update(array.tobytes())
    return hashed.digest()


def _checkpoint(folder: Path | None) -> dict[str, Any]:
    """Read the checkpoint, which only the first process has; one of an earlier version names settings as that did."""
    with TemporaryDirectory() as copy:
        content = current_group().once(lambda: b"" if folder is None else (folder / CHECKPOINT).read_bytes(), bytes)
        if folder is None:
            folder = Path(copy)
            (folder / CHECKPOINT).write_bytes(content)
        state = read_checkpoint(folder)
    about = state.get("about") or {}
    if isinstance(about.get("train"), list):  # an earlier version kept all of them
        about["train"] = digest(about["train"])
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
