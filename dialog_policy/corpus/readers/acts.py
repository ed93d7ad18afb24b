"""From annotated utterances to turns: what corpora of dialogue acts have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from dialog_policy.corpus.dialogue import Dialogue, Turn
from dialog_policy.corpus.readers.reader import Opened, Option, Options, Reader
from dialog_policy.corpus.readers.source import Source

__all__ = ["Utterance", "act_reader", "join", "labels_option", "pair"]


def labels_option(default: str, choices: Iterable[str]) -> Option:
    """Return the option ``labels`` of a reader: what an action is made of."""
    return Option(default, "what an action is made of", tuple(choices))


def act_reader(
    name: str,
    help: str,
    recognises: Callable[[Source], bool],
    read: Callable[[Source, str], Iterator[Dialogue]],
    default: str,
    choices: Iterable[str],
) -> Reader:
    """Return a reader whose only option is ``labels``; `read` takes the source and the labels."""

    def opened(source: Source, options: Options) -> Opened:
        return Opened(lambda: read(source, options["labels"]))

    return Reader(name, help, recognises, opened, {"labels": labels_option(default, choices)})


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
    texts: list[str] = []
    for utterance in utterances:
        if utterance.is_user:
            texts.append(utterance.text)
            continue
        yield Turn(user=" ".join(texts), context=utterance.context, actions=utterance.actions, system=utterance.text)
        texts = []
    if texts:
        yield Turn(user=" ".join(texts))
