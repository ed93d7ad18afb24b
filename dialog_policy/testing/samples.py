"""Small corpora, to be written in any format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["TURNS", "ReaderSample", "TurnSpec"]


class TurnSpec(NamedTuple):
    """A turn to be written in any format.

    Attributes
    ----------
    user
        What the user says; an empty text may be left out.
    result
        What a database or an API returned before the system acted; None: nothing.
    action
        The system's one action.
    system
        What it says; equal actions have equal texts.
    """

    user: str
    result: str | None
    action: str
    system: str


class ReaderSample(NamedTuple):
    """How small corpora of a format come about.

    Attributes
    ----------
    write
        ``write(folder, dialogues)`` writes dialogues, each a sequence of `TurnSpec`, into an empty folder: in their order, into the
        part that is called ``train`` where the format has parts. A dialogue's id depends on its number alone. Where one file
        has many dialogues and is decoded whole, every few dialogues have a file of their own.
    system_opens
        Whether the system speaks first: a dialogue's first user utterance is then empty.
    has_results
        Whether the format has a place for what a database returned.
    free_keys
        Keys in JSON files whose values are mappings with names of any kind; ``""`` stands for a file's outermost object.
    chooses
        Options that choose dialogues.
    """

    write: Callable[[Path, Sequence[Sequence[TurnSpec]]], None]
    system_opens: bool = False
    has_results: bool = True
    free_keys: frozenset[str] = frozenset()
    chooses: frozenset[str] = frozenset()

    def spoken(self, turns: Sequence[TurnSpec]) -> list[TurnSpec]:
        """Return the turns as the format can say them."""
        return [turns[0]._replace(user=""), *turns[1:]] if self.system_opens else list(turns)

    def put(self, folder: Path, dialogues: Sequence[Sequence[TurnSpec]] | None = None) -> Path:
        """Write dialogues, by default three of different lengths and texts, and return the folder."""
        if dialogues is None:
            more = [t._replace(user=t.user and f"{t.user} again") for t in TURNS[:4]]
            dialogues = [TURNS, more, TURNS[1:]]
        folder.mkdir(parents=True, exist_ok=True)
        self.write(folder, [self.spoken(turns) for turns in dialogues])
        return folder


TURNS = [
    TurnSpec("hello", None, "greet", "hello there"),
    TurnSpec("table in paris", None, "ask", "for how many"),
    TurnSpec("for two", None, "query", "api_call thai paris two cheap"),
    TurnSpec("", "resto_a", "offer", "what about resto_a"),
    TurnSpec("no", None, "more", "anything else"),
    TurnSpec("bye", None, "bye", "see you"),
]
