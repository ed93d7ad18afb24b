"""How text becomes vectors: the settings of a turn encoder."""

from __future__ import annotations

import msgspec

from dialog_policy.text.encoders import Bits, Encoder, Lsa

__all__ = ["EncoderSettings"]


class EncoderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings that :func:`~dialog_policy.features.fit.fit_turn_encoder` fits an encoder by, with their defaults.

    What each of them does is said by the parameter of the same name of :class:`~dialog_policy.policy.DialogPolicy`.
    """

    user: tuple[Encoder, ...] = (
        Bits(),
        Lsa(unit="word", ngrams=(1, 2), dim=200, variance=0.8),
        Lsa(unit="character", ngrams=(3, 5), dim=100, variance=0.8),
    )
    system: tuple[Encoder, ...] = (Lsa(unit="word", ngrams=(1, 2), dim=100),)
    context: tuple[Encoder, ...] = (Bits(), Lsa(dim=100))
    tokenizer: str = "default"
    entities: bool = True
