"""From annotated utterances to turns: what corpora of dialogue acts have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from dialog_policy.corpus.dialogue import Turn
from dialog_policy.corpus.readers.reader import Option

__all__ = ["Utterance", "join", "labels_option", "pair"]


def labels_option(default: str, choices: Iterable[str]) -> Option:
    """Return the option ``labels`` of a reader: what an action is made of."""
    return Option(default, "what an action is made of", tuple(choices))


def join(*parts: str | None) -> str:
    """Return the label of an act from its parts, without those that it lacks: ``inform-area``, ``bye``."""
    return "-".join(part for part in parts if part)


class Utterance(NamedTuple):
    """What one side said.

    Attributes
    ----------
    is_user
        Which side.
    text
        What it said.
    actions
        The system's actions; None: it is not annotated. Of no meaning for the user.
    context
        What the system learnt before it said this.
    """

    is_user: bool
    text: str
    actions: frozenset[str] | None = None
    context: Mapping[str, Any] = {}


def pair(utterances: Iterable[Utterance]) -> Iterator[Turn]:
    """Join each system utterance with what the user said since the one before.

    Utterances of the user in a row become one, with a space between. What the user says last, unanswered, is a turn that is
    history only.
    """
    said: list[str] = []
    for utterance in utterances:
        if utterance.is_user:
            said.append(utterance.text)
            continue
        yield Turn(user=" ".join(said), context=utterance.context, actions=utterance.actions, system=utterance.text)
        said = []
    if said:
        yield Turn(user=" ".join(said))
