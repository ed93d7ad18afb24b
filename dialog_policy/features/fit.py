"""Fit a turn encoder on the training part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from dialog_policy.corpus import ActionSpace, Corpus
from dialog_policy.features.encoder import TurnEncoder, context_key
from dialog_policy.text.encoders import Encoder, fit_encoder
from dialog_policy.text.tokens import context_terms, get_tokenizer

__all__ = ["fit_turn_encoder"]


def fit_turn_encoder(
    corpus: Corpus,
    actions: ActionSpace,
    *,
    user: Sequence[Encoder],
    system: Sequence[Encoder],
    context: Sequence[Encoder],
    tokenizer: str = "default",
    seed: int = 0,
) -> TurnEncoder:
    """Fit the encoders of each part of a turn.

    Parameters
    ----------
    corpus
        The training part, and nothing else.
    actions
        The actions of the training part.
    user, system, context
        The encoders of each part; what they yield is concatenated.
    tokenizer
        Name of the tokeniser.
    seed
        Makes the result reproducible.
    """
    tokenize = get_tokenizer(tokenizer)
    turns = [turn for dialogue in corpus for turn in dialogue.turns]
    user_texts = [tokens for turn in turns if (tokens := tokenize(turn.user))]
    system_texts = [tokens for turn in turns if (tokens := tokenize(turn.system))]
    keys = (context_key(turn.context) for turn in turns if turn.context)
    contexts = [context_terms(msgspec.json.decode(key)) for key in keys]
    sentences = user_texts + system_texts
    counts = Counter(token for tokens in sentences for token in tokens)
    return TurnEncoder(
        actions,
        user=[fit_encoder(encoder, user_texts, sentences=sentences, seed=seed) for encoder in user],
        system=[fit_encoder(encoder, system_texts, sentences=sentences, seed=seed) for encoder in system],
        context=[fit_encoder(encoder, contexts, sentences=[], seed=seed, are_terms=True) for encoder in context],
        words=(word for word, count in counts.items() if count > 1),
        tokenizer=tokenizer,
    )
