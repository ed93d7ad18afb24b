"""How text becomes vectors: the settings of a turn encoder."""

from __future__ import annotations

import msgspec

from dialog_policy.text.encoders import Bits, Encoder, Lsa

__all__ = ["EncoderSettings"]


class EncoderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings that :func:`~dialog_policy.features.fit.fit_turn_encoder` fits an encoder by.

    Attributes
    ----------
    user, system, context
        Encoders of the user's utterance, of the system's previous utterance and of the context; what several encoders
        yield is concatenated.
    tokenizer
        ``"default"``, or the name of an installed entry point in the group ``dialog_policy.tokenizers``.
    entities
        Whether values that the corpus' gazetteer or the dialogue's records list are looked for: the user's utterance is
        encoded with their types in their place, and what the dialogue has said of them so far is known to the network.
    """

    user: tuple[Encoder, ...] = (
        Bits(),
        Lsa(unit="word", ngrams=(1, 2), dim=200),
        Lsa(unit="character", ngrams=(3, 5), dim=100),
    )
    system: tuple[Encoder, ...] = (Lsa(unit="word", ngrams=(1, 2), dim=100),)
    context: tuple[Encoder, ...] = (Bits(), Lsa(dim=100))
    tokenizer: str = "default"
    entities: bool = True
