"""What the manifest of a store says of its features: which files there are, of what size and content."""

from __future__ import annotations

import msgspec

from dialog_policy.corpus.stored_files import StoredFile
from dialog_policy.features.settings import EncoderSettings

__all__ = ["FeatureShard", "Features"]


class FeatureShard(msgspec.Struct, frozen=True):
    """A shard of features in the manifest of its store: its folder, what it holds, its files by name."""

    folder: str
    dialogues: int
    turns: int
    files: dict[str, StoredFile]


class Features(msgspec.Struct, kw_only=True):
    """What a store says of its features.

    Attributes
    ----------
    settings, seed
        What the encoder was fitted by.
    split, dev
        Which part of the corpus it was fitted on, and what training is to be validated on.
    folder
        The folder of the features within the store.
    actions
        The actions of the training part.
    encoder
        Files of the encoder in `folder`.
    train, train_dialogues
        The shards of the training part, and the SHA-256 of its dialogues' fingerprints.
    dev_shards, dev_dialogues
        Likewise of the validation part; none where there is none.
    svd_texts
        Part of a turn to the number of texts that an SVD has seen, and of all texts.
    gazetteer
        The corpus' own with the ways to write its values that the training part showed; None: a store of an earlier version,
        whose encoder knows the corpus' own.
    """

    settings: EncoderSettings
    seed: int
    split: str
    dev: str
    folder: str
    actions: list[str]
    encoder: dict[str, StoredFile]
    train: list[FeatureShard]
    train_dialogues: str
    dev_shards: list[FeatureShard]
    dev_dialogues: str
    svd_texts: dict[str, tuple[int, int]]
    gazetteer: dict[str, tuple[str | tuple[str, str], ...]] | None = None
