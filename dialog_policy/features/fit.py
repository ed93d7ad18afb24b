"""Fit a turn encoder on the training part."""

from __future__ import annotations

import itertools
from collections import Counter

import msgspec
import numpy as np
import numpy.typing as npt

from dialog_policy.corpus import ActionSpace, Corpus
from dialog_policy.corpus.record_memory import unlisted_values
from dialog_policy.features.columns import Columns, read_columns
from dialog_policy.features.encoder import TurnEncoder
from dialog_policy.features.settings import EncoderSettings
from dialog_policy.text.encoders import fit_encoder
from dialog_policy.text.tokens import context_terms, get_tokenizer

__all__ = ["fit_turn_encoder"]


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
    unlisted = unlisted_values(corpus)
    if columns is None:
        columns = read_columns(corpus, corpus.gazetteer, entities=settings.entities, unlisted=unlisted)
    tokenize = get_tokenizer(settings.tokenizer)
    parts = columns.parts
    # Equal tokens are one object, too: a large corpus' tokens would not fit into memory else.
    one: dict[str, str] = {}
    for name in ("user", "system"):
        columns.terms[name] = [
            [one.setdefault(token, token) for token in tokenize(text)] for text in parts[name].values
        ]
    keys = parts["context"].values
    columns.terms["context"] = [
        [one.setdefault(term, term) for term in context_terms(msgspec.json.decode(key))] for key in keys
    ]
    user_texts = _of_turns(columns.terms["user"], parts["user"].rows)
    system_texts = _of_turns(columns.terms["system"], columns.said)
    contexts = _of_turns(columns.terms["context"], parts["context"].rows)
    sentences = user_texts + system_texts
    counts = Counter(itertools.chain.from_iterable(sentences))
    return TurnEncoder(
        actions,
        user=[fit_encoder(encoder, user_texts, sentences=sentences, seed=seed) for encoder in settings.user],
        system=[fit_encoder(encoder, system_texts, sentences=sentences, seed=seed) for encoder in settings.system],
        context=[
            fit_encoder(encoder, contexts, sentences=[], seed=seed, are_terms=True) for encoder in settings.context
        ],
        words=(word for word, count in counts.items() if count > 1),
        tokenizer=settings.tokenizer,
        facts=frozenset().union(*parts["known"].values) if settings.entities else None,
        gazetteer=corpus.gazetteer,
        unlisted=unlisted,
    )


def _of_turns(texts: list[list[str]], rows: npt.NDArray[np.int32]) -> list[list[str]]:
    """Return the text of each turn that has one; equal texts are one object."""
    return [tokens for row in rows.tolist() if (tokens := texts[row])]
