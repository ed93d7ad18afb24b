"""What functions take for a corpus: a corpus, the path of one, or dialogues."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from dialog_policy.corpus.corpus import Corpus
from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.plain import plain_dialogue
from dialog_policy.errors import OptionError

__all__ = ["Data", "as_corpus", "as_dialogues"]

Data = Corpus | Iterable[Dialogue] | str | os.PathLike[str]


def as_corpus(data: Data) -> Corpus:
    """Return dialogues as a corpus: a corpus as it is, a path as :func:`~dialog_policy.load_corpus` reads it.

    Raises
    ------
    OptionError
        If it is none of these, or something in it is not a dialogue.
    CorpusError
        If the path cannot be read, or an id occurs twice.
    """
    if isinstance(data, Corpus):
        return data
    if isinstance(data, str | os.PathLike):
        from dialog_policy.corpus.readers import load_corpus  # a served run loads no readers

        return load_corpus(os.fspath(data))
    expected = "expected a corpus, the path of one, or a sequence of dialogues"
    if isinstance(data, Dialogue):
        raise OptionError(f"{expected}; found the single dialogue {data.id!r}. Write [dialogue].")
    if hasattr(data, "columns"):
        raise OptionError(
            f"{expected}; found a {type(data).__name__}. Corpus.from_frame(frame) makes a corpus of a table."
        )
    if not hasattr(data, "__iter__"):
        raise OptionError(f"{expected}; found {data!r}.")
    dialogues = list(data)
    for position, dialogue in enumerate(dialogues):
        if not isinstance(dialogue, Dialogue):
            raise OptionError(
                f"{expected}; found {type(dialogue).__name__} {str(dialogue)[:60]!r} at position {position}."
            )
    return Corpus(dialogues)


def as_dialogues(data: Data) -> Iterable[Dialogue]:
    """Return dialogues as :func:`as_corpus` does, but one by one where they come so, as from a stream."""
    if isinstance(data, str | os.PathLike | Sequence) or hasattr(data, "columns") or not hasattr(data, "__iter__"):
        return as_corpus(data)
    return (plain_dialogue(dialogue, {}) for dialogue in data)
