"""Preconditions that the training part shows: acts that only ever have slots which a context has named.

A network that is trained on a few services learns from the words of the user which slots their system offers, and offers the same
where another service is asked the same. That none of the other's contexts has such a slot it has no reason to look at.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from dialog_policy.corpus import Dialogue
from dialog_policy.corpus.action_slots import act_and_slot, seen_fact, slots_in
from dialog_policy.features.encoder import TurnEncoder
from dialog_policy.text.counts import BIT
from dialog_policy.text.table import FloatArray

__all__ = ["Preconditions", "fit_preconditions"]

# An act has a precondition if it was observed so often, with so many slots, and missed in no more than this share.
_FEWEST, _FEWEST_SLOTS, _MISSED = 50, 2, 0.005


class Preconditions(NamedTuple):
    """What is added to the logits: ``features[..., columns] @ kernel + bias``.

    Attributes
    ----------
    columns
        Of the features, shape (n,).
    kernel, bias
        Shapes (n, n_actions) and (n_actions,), float32.
    """

    columns: slice
    kernel: FloatArray
    bias: FloatArray


def fit_preconditions(dialogues: Iterable[Dialogue], encoder: TurnEncoder) -> Preconditions | None:
    """Find out which acts only have slots that a context of the dialogue so far has as a key.

    Parameters
    ----------
    dialogues
        The training part.
    encoder
        Fitted on it.

    Returns
    -------
    Preconditions or None
        They lower the logit of an action whose slot no context has named by log((n + 1) / (m + 1)), where n actions of its act
        are in the training part and m of them without their slot: the log of about how much less probable the action is then.
        None if no act has a precondition.
    """
    if not encoder.slots:
        return None
    named: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    slots: dict[str, set[str]] = {}
    parts = {action: act_and_slot(action) for action in encoder.actions.classes_}
    for dialogue in dialogues:
        seen: set[str] = set()
        for turn in dialogue.turns:
            seen |= slots_in(turn.context, encoder.slots)
            for act, slot in (own for action in turn.actions or () if (own := parts.get(action)) is not None):
                (named if slot in seen else missed)[act] += 1
                slots.setdefault(act, set()).add(slot)
    facts = encoder.facts or {}
    layout = encoder.layout
    start = sum(layout[part] for part in ("user", "system", "context"))
    kernel = np.zeros((layout["known"], len(encoder.actions)), dtype=np.float32)
    bias = np.zeros(len(encoder.actions), dtype=np.float32)
    for column, action in enumerate(encoder.actions.classes_):
        act, slot = parts[action] or ("", "")
        total = named[act] + missed[act]
        if total < _FEWEST or len(slots[act]) < _FEWEST_SLOTS or missed[act] > _MISSED * total:
            continue
        bias[column] = -math.log((total + 1) / (missed[act] + 1))
        if (fact := seen_fact(slot)) in facts:
            kernel[facts[fact], column] = -bias[column] / BIT
    return Preconditions(slice(start, start + layout["known"]), kernel, bias) if bias.any() else None
