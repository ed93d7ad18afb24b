"""A corpus to arrays: fit an encoder on the training part, encode dialogues by it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from dialog_policy.collector import uncollected
from dialog_policy.corpus import ActionSpace, Corpus, Dialogue
from dialog_policy.corpus.record_memory import unlisted_values
from dialog_policy.corpus.stored import StoredCorpus
from dialog_policy.errors import OptionError
from dialog_policy.features import cache
from dialog_policy.features.blocks import encode_part, in_memory
from dialog_policy.features.columns import Columns, read_columns
from dialog_policy.features.encoded import EmbeddedTexts, EncodedDialogues
from dialog_policy.features.encoder import TurnEncoder
from dialog_policy.features.fit import fit_turn_encoder
from dialog_policy.features.matrices import Matrix, NewMatrix
from dialog_policy.features.settings import EncoderSettings
from dialog_policy.features.stored import digest, stored_parts
from dialog_policy.heap import trim
from dialog_policy.text.table import FloatArray
from dialog_policy.threads import one_thread

__all__ = ["FEWEST_TURNS", "encode_dialogues", "encode_parts"]

# Fewer turns are encoded about as fast as they are found in the cache.
FEWEST_TURNS = 5_000


def encode_parts(
    train: Corpus,
    dev: Corpus | None,
    actions: ActionSpace,
    settings: EncoderSettings,
    *,
    seed: int = 0,
    fingerprints: Mapping[str, Sequence[str]] | None = None,
) -> cache.EncodedParts:
    """Fit an encoder on the training part and encode both parts, or take both from the cache: the same bytes.

    Of a store, encoder and features are those that were prepared.

    Parameters
    ----------
    train, dev
        The parts.
    actions
        The actions of the training part.
    settings
        Of the encoder.
    seed
        Makes the result reproducible.
    fingerprints
        Of the dialogues in order, under ``"train"`` and ``"dev"``, where they are known.

    Raises
    ------
    OptionError
        If a store was prepared with other settings or for other parts.
    CorpusError
        If a file of a store is missing, cut or changed.
    """

    def encoded(store: Callable[[str], NewMatrix]) -> cache.EncodedParts:
        return _encode(train, dev, actions, settings, seed, store)

    if isinstance(train, StoredCorpus):
        known = fingerprints or {"train": train.fingerprints(), "dev": [] if dev is None else dev.fingerprints()}
        return stored_parts(train, dev, actions, settings, {part: digest(own) for part, own in known.items()})
    root = cache.cache_folder()
    # What another package's tokenizer does may change without a version.
    if root is None or settings.tokenizer != "default" or train.n_turns < FEWEST_TURNS:
        return encoded(lambda part: in_memory)
    known = fingerprints or {"train": train.fingerprints(), "dev": [] if dev is None else dev.fingerprints()}
    entry = root / cache.entry_name(settings, seed, train.gazetteer, actions, known)
    cached = cache.read_entry(entry, train, dev, actions)
    if cached is not None:
        return cached
    parts = None
    # A disk that is full or read-only is no reason not to encode.
    with contextlib.suppress(OSError, OptionError), cache.new_entry(entry) as new:
        parts = encoded(new.matrices)
        new.keep(parts)
    return encoded(lambda part: in_memory) if parts is None else parts


def _encode(
    train: Corpus,
    dev: Corpus | None,
    actions: ActionSpace,
    settings: EncoderSettings,
    seed: int,
    store: Callable[[str], NewMatrix],
) -> cache.EncodedParts:
    with uncollected(), one_thread():
        unlisted = unlisted_values(train)
        columns = read_columns(train, train.gazetteer, entities=settings.entities, unlisted=unlisted)
        encoder = fit_turn_encoder(train, actions, settings, seed=seed, columns=columns)
        trim()
        encoded = encode_dialogues(train, encoder, columns, new_matrix=store("train"))
        del columns
        dev_encoded = None if dev is None else encode_dialogues(dev, encoder, new_matrix=store("dev"))
        trim()
        return cache.EncodedParts(encoder, encoded, dev_encoded)


def encode_dialogues(
    dialogues: Iterable[Dialogue],
    encoder: TurnEncoder,
    columns: Columns | None = None,
    *,
    new_matrix: NewMatrix = in_memory,
) -> EncodedDialogues:
    """Encode dialogues with the true system side of earlier turns as history (teacher forcing).

    Parameters
    ----------
    dialogues
        Any dialogues.
    encoder
        Encodes their turns.
    columns
        The dialogues as :func:`~dialog_policy.features.columns.read_columns` has read them, if it has.
    new_matrix
        Makes the dense matrices.
    """
    if columns is None:
        columns = read_columns(
            dialogues, encoder.gazetteer, entities=encoder.facts is not None, unlisted=encoder.unlisted
        )
    parts: list[tuple[Matrix, npt.NDArray[np.int32]]] = []
    embedded: dict[int, EmbeddedTexts] = {}
    for name, (values, rows) in columns.parts.items():
        if name not in encoder.tables:
            parts.append((_with_padding(encoder.encode(name, values)), rows))
            continue
        for matrix, table, packed in encode_part(encoder, name, values, new_matrix, columns.terms.get(name)):
            if table is not None and packed is not None:
                embedded[len(parts)] = EmbeddedTexts(table, packed)
            parts.append((matrix, rows))
    sets, rows = columns.actions
    targets = _with_padding(encoder.actions.transform(sets)), rows
    is_target = np.array([actions is not None for actions in sets], dtype=np.bool_)[rows]
    return EncodedDialogues(columns.ids, columns.offsets, parts, targets, is_target, embedded)


def _with_padding(matrix: FloatArray) -> FloatArray:
    return np.concatenate([matrix, np.zeros((1, matrix.shape[1]), dtype=np.float32)])
