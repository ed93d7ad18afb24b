"""What a dialogue is: turns in an order. Immutable, and free of any vector."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
import regex

from dialog_policy.errors import CorpusError

__all__ = ["Dialogue", "Turn", "huge_number"]


# More digits than any number of double precision has before its point. (The regex library finds it six times as fast as re.)
_HUGE = regex.compile("[0-9]{309}")


def huge_number(text: str, value: Any) -> bool:
    """Whether a JSON value has an integer that is beyond double precision, and so beyond whatever computes with it.

    Parameters
    ----------
    text
        JSON that the value comes from; it is looked through first.
    value
        The value.
    """
    return _HUGE.search(text) is not None and _is_huge(value)


def _is_huge(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_is_huge, value.values()))
    if isinstance(value, list):
        return any(map(_is_huge, value))
    return isinstance(value, int) and value.bit_length() > 1023


class Turn(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One exchange: what the user said and the system learnt, and what the system did.

    A policy predicts `actions` from `user` and `context` of this and earlier turns and from `actions` and `system` of
    earlier turns only. Turns of a loaded corpus share what they have in common, so neither they nor their contexts may be
    changed in place.

    Attributes
    ----------
    user
        What the user said; empty where the user said nothing.
    context
        What the system learnt before it acted: database results, API answers, slots. Any JSON object.
    actions
        The set of actions the system took; the empty set is a target like any other. None: the turn is history only.
    system
        What the system said.
    reward, propensity
        Logged reward of the turn, and probability with which the logging policy chose `actions`, where they are known.
    """

    user: str = ""
    context: Mapping[str, Any] = {}
    actions: frozenset[str] | None = None
    system: str = ""
    reward: float | None = None
    propensity: float | None = None

    @property
    def is_target(self) -> bool:
        """Whether a policy is asked to predict this turn's actions."""
        return self.actions is not None


class Dialogue(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An ordered conversation.

    Attributes
    ----------
    id
        Unique within the corpus.
    turns
        In the order in which they happened.
    split
        The part of the corpus that it belongs to, if the corpus says so: ``"train"``, ``"dev"``, ``"test"`` …
    fields
        Further information of the corpus about it (domain, scenario, language …), as JSON values.
    """

    id: str
    turns: tuple[Turn, ...]
    split: str | None = None
    fields: Mapping[str, Any] = {}

    def __len__(self) -> int:
        return len(self.turns)

    @property
    def n_targets(self) -> int:
        """Number of turns to predict."""
        return sum(turn.is_target for turn in self.turns)

    def fingerprint(self) -> str:
        """SHA-256 over the turns (hexadecimal): equal for dialogues with the same content, whatever their ids.

        Raises
        ------
        CorpusError
            If something in it is not JSON or not text, as only dialogues made in Python can have it.
        """
        content = [
            [turn.user, turn.context, None if turn.actions is None else sorted(turn.actions), turn.system]
            for turn in self.turns
        ]
        try:
            return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()
        except (TypeError, ValueError) as error:  # a lone surrogate, a number of thousands of digits, an object
            raise CorpusError(f"expected texts and JSON values: {error}.", dialogue=self.id) from None
