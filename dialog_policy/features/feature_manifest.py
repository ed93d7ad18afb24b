"""What the manifest of a store says of its features: which files there are, of what size and content."""

from __future__ import annotations

from pathlib import Path

import msgspec

from dialog_policy.errors import CorpusError
from dialog_policy.features.settings import EncoderSettings
from dialog_policy.files import sha256_of

__all__ = ["REMEDY", "FeatureShard", "Features", "StoredFile", "check_files", "describe_files"]

REMEDY = "Put the file back, or prepare the store again; its other shards are untouched."


class StoredFile(msgspec.Struct, frozen=True):
    """Size and SHA-256 of a file."""

    bytes: int
    sha256: str


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


def describe_files(folder: Path) -> dict[str, StoredFile]:
    """Return size and hash of each file of a folder."""
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    return {path.name: StoredFile(path.stat().st_size, sha256_of(path)) for path in paths}


def check_files(folder: Path, files: dict[str, StoredFile], *, content: bool) -> None:
    """Refuse files that are missing, cut or, where their content is looked at, changed.

    Raises
    ------
    CorpusError
        If one is: which.
    """
    for name, file in files.items():
        place = folder / name
        try:
            size = place.stat().st_size
            is_other = content and size == file.bytes and sha256_of(place) != file.sha256
        except OSError as error:
            raise CorpusError(f"a file of the store cannot be read ({error.strerror}). {REMEDY}", path=place) from None
        if size != file.bytes:
            raise CorpusError(f"expected {file.bytes:,} bytes, found {size:,}. {REMEDY}", path=place)
        if is_other:
            raise CorpusError(f"checksum mismatch: the file was changed. {REMEDY}", path=place)
