"""Fit a turn encoder on the training part."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from dialog_policy.corpus import ActionSpace, Corpus
from dialog_policy.corpus.gazetteer import Entries
from dialog_policy.corpus.record_memory import UnlistedValues, unlisted_values
from dialog_policy.features.columns import Columns, read_columns
from dialog_policy.features.encoder import TurnEncoder
from dialog_policy.features.settings import EncoderSettings
from dialog_policy.text.counts import TokenLists
from dialog_policy.text.encoders import fit_encoder
from dialog_policy.text.tokens import context_terms, get_tokenizer, tokenize_texts

__all__ = ["TrainingTexts", "find_terms", "fit_tables", "fit_turn_encoder", "texts_of_turns"]


class TrainingTexts(NamedTuple):
    """What encoders are fitted on: texts that are not empty, in the order of the turns.

    Attributes
    ----------
    user, system, context
        Tokens of what users said and of what the system said, and terms of the contexts.
    sentences
        What users said, then what the system said.
    words
        How often each word occurs in these.
    facts
        What may be known of entities.
    """

    user: TokenLists
    system: TokenLists
    context: TokenLists
    sentences: TokenLists
    words: Mapping[str, int]
    facts: frozenset[str]


def fit_turn_encoder(
    corpus: Corpus,
    actions: ActionSpace,
    settings: EncoderSettings | None = None,
    *,
    seed: int = 0,
    columns: Columns | None = None,
) -> TurnEncoder:
    """Fit the encoders of each part of a turn.

    Parameters
    ----------
    corpus
        The training part, and nothing else.
    actions
        The actions of the training part.
    settings
        Which encoders, and how; None: the defaults.
    seed
        Makes the result reproducible.
    columns
        The corpus as :func:`~dialog_policy.features.columns.read_columns` has read it, if it has.
    """
    settings = settings or EncoderSettings()
    if columns is None:
        unlisted = unlisted_values(corpus)
        columns = read_columns(corpus, corpus.gazetteer, entities=settings.entities, unlisted=unlisted)
    find_terms(columns, settings.tokenizer)
    texts = {name: texts_of_turns(columns, name) for name in columns.terms}
    sentences = texts["user"] + texts["system"]
    words = Counter(itertools.chain.from_iterable(sentences))
    facts: frozenset[str] = frozenset().union(*columns.parts["known"].values)
    return fit_tables(
        TrainingTexts(texts["user"], texts["system"], texts["context"], sentences, words, facts),
        actions,
        settings,
        gazetteer=corpus.gazetteer,
        unlisted=columns.unlisted,
        seed=seed,
    )


def fit_tables(
    texts: TrainingTexts,
    actions: ActionSpace,
    settings: EncoderSettings,
    *,
    gazetteer: Entries,
    unlisted: UnlistedValues | None = None,
    seed: int,
) -> TurnEncoder:
    """Fit the encoders of each part of a turn on texts, which need not be in memory.

    Parameters
    ----------
    texts
        Of the training part.
    actions
        Its actions.
    settings
        Which encoders, and how.
    gazetteer
        Entity type to values.
    unlisted
        Of the gazetteer's values those that no record of the training part has.
    seed
        Makes the result reproducible.
    """
    sentences = texts.sentences
    return TurnEncoder(
        actions,
        user=[fit_encoder(encoder, texts.user, sentences=sentences, seed=seed) for encoder in settings.user],
        system=[fit_encoder(encoder, texts.system, sentences=sentences, seed=seed) for encoder in settings.system],
        context=[
            fit_encoder(encoder, texts.context, sentences=[], seed=seed, are_terms=True) for encoder in settings.context
        ],
        words=(word for word, count in texts.words.items() if count > 1),
        tokenizer=settings.tokenizer,
        facts=texts.facts if settings.entities else None,
        gazetteer=gazetteer,
        unlisted=unlisted,
    )


def find_terms(columns: Columns, tokenizer: str) -> None:
    """Note the terms of all texts and contexts in `columns.terms`."""
    parts = columns.parts
    said = tokenize_texts([*parts["user"].values, *parts["system"].values], get_tokenizer(tokenizer))
    n_user = len(parts["user"].values)
    columns.terms["user"], columns.terms["system"] = said[:n_user], said[n_user:]
    one = dict[str, str]().setdefault
    terms = (context_terms(msgspec.json.decode(key)) for key in parts["context"].values)
    columns.terms["context"] = [list(map(one, own, own)) for own in terms]


def texts_of_turns(columns: Columns, part: str) -> list[Sequence[str]]:
    """Return the terms of each turn that has some: of the user, of what the system said in it, of the context.

    Equal texts are one object.
    """
    return _of_turns(columns.terms[part], columns.said if part == "system" else columns.parts[part].rows)


def _of_turns(texts: list[list[str]], rows: npt.NDArray[np.int32]) -> list[Sequence[str]]:
    return [tokens for row in rows.tolist() if (tokens := texts[row])]
