"""The features that a store has, taken instead of encoding its dialogues once more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256

import msgspec

from dialog_policy.corpus import ActionSpace, Corpus
from dialog_policy.corpus.stored import StoredCorpus
from dialog_policy.corpus.stored_files import check_files
from dialog_policy.errors import CorpusError, OptionError, counted
from dialog_policy.features.cache import EncodedParts
from dialog_policy.features.encoded_files import read_encoder
from dialog_policy.features.feature_manifest import Features
from dialog_policy.features.settings import EncoderSettings
from dialog_policy.features.sharded import ShardedDialogues

__all__ = ["digest", "features_of", "stored_parts", "with_stored_gazetteer"]


def digest(fingerprints: Iterable[str]) -> str:
    """Return the SHA-256 of some dialogues' fingerprints, in their order."""
    return sha256(",".join(fingerprints).encode()).hexdigest()


def features_of(corpus: StoredCorpus) -> Features:
    """Return what a store says of its features.

    Raises
    ------
    CorpusError
        If it has none, or says something else.
    """
    described = corpus.manifest.features
    if not corpus.manifest.has_features:
        raise CorpusError(
            "the store has text but no features, because it was prepared with --split none.",
            path=corpus.path,
            remedy="Prepare its corpus again with the part to train on: dialog-policy prepare CORPUS STORE --split train",
        )
    try:
        return msgspec.json.decode(described, type=Features)
    except msgspec.DecodeError as error:
        raise CorpusError(f"the manifest of the store cannot be read ({error}).", path=corpus.path) from None


def with_stored_gazetteer(train: StoredCorpus) -> StoredCorpus:
    """Return the training part of a store with the gazetteer that its encoder was fitted with.

    Raises
    ------
    CorpusError
        If the store has no features, or says something else of them.
    """
    gazetteer = features_of(train).gazetteer
    return train if gazetteer is None else train.with_gazetteer(gazetteer)


def stored_parts(
    train: StoredCorpus,
    dev: Corpus | None,
    actions: ActionSpace,
    settings: EncoderSettings,
    digests: Mapping[str, str],
) -> EncodedParts:
    """Return the encoder of a store and its features of both parts.

    Parameters
    ----------
    train, dev
        The parts; the training part has the gazetteer of :func:`with_stored_gazetteer`.
    actions
        Of the training part.
    settings
        Those that the encoder is to have.
    digests
        The :func:`digest` of each part.

    Raises
    ------
    OptionError
        If the store was made with other settings, or of other parts: with what differs.
    CorpusError
        If a file of it is missing, cut or changed.
    """
    stored = features_of(train)
    _check_settings(train, stored, settings)
    if stored.train_dialogues != digests["train"] or (dev and stored.dev_dialogues != digests["dev"]):
        n_train = sum(shard.dialogues for shard in stored.train)
        n_dev = sum(shard.dialogues for shard in stored.dev_shards)
        raise OptionError(
            f"{train.path} was prepared for --split {stored.split} --dev {stored.dev}: {counted(n_train, 'dialogue')} to train "
            f"on and {n_dev:,} to validate on; this training has {counted(len(train), 'dialogue')} and {len(dev or ()):,}. Give "
            "the same --split and --dev, or prepare another store with those of the training."
        )
    folder = train.path / stored.folder
    check_files(folder, stored.encoder, content=True)
    encoder, tables = read_encoder(folder, ActionSpace(stored.actions), train.gazetteer)
    if encoder.actions != actions:
        raise CorpusError("the store's actions are not those of its training part. Prepare it again.", path=train.path)
    sizes = {"n_features": encoder.dim, "n_actions": len(actions)}
    encoded = ShardedDialogues(folder, stored.train, **sizes, tables=tables)
    of_dev = None
    if dev is not None:
        of_dev = ShardedDialogues(folder, stored.dev_shards, **sizes, tables=tables)
    return EncodedParts(encoder, encoded, of_dev)


def _check_settings(corpus: StoredCorpus, stored: Features, settings: EncoderSettings) -> None:
    for name in EncoderSettings.__struct_fields__:
        before, now = getattr(stored.settings, name), getattr(settings, name)
        if before != now:
            shown = [msgspec.json.encode(value).decode() for value in (before, now)]
            raise OptionError(
                f"{corpus.path} was prepared with the setting {name} = {shown[0]}; this training has {name} = {shown[1]}. Train "
                f"with the setting of the store, or prepare another store with --set or --config."
            )
