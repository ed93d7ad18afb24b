"""Reading corpora: one module a format, recognised without being told."""

from __future__ import annotations

import itertools
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike

from dialog_policy.corpus.bits import HOW_TO_NAME, look_like_bits
from dialog_policy.corpus.corpus import Corpus
from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.part_labels import part_problems
from dialog_policy.corpus.plain import PlainDialogues
from dialog_policy.corpus.problems import warn_of
from dialog_policy.corpus.readers.archives import open_source
from dialog_policy.corpus.readers.known import readers
from dialog_policy.corpus.readers.opening import MIXED, OpenCorpus, Paths, is_recognised_as, open_corpus
from dialog_policy.corpus.readers.reader import Opened, Option, Reader
from dialog_policy.corpus.readers.source import Source
from dialog_policy.corpus.readers.warehouse import READERS as ADDRESSES
from dialog_policy.corpus.readers.warehouse import is_address, name_of_address
from dialog_policy.corpus.sharing import Sharing
from dialog_policy.errors import CorpusError, CorpusWarning, counted

__all__ = [
    "ADDRESSES",
    "MIXED",
    "OpenCorpus",
    "Opened",
    "Option",
    "Paths",
    "Reader",
    "Source",
    "is_recognised_as",
    "load_corpus",
    "open_corpus",
    "open_source",
    "readers",
    "stream",
]


def stream(
    path: Paths, *, format: str | None = None, reader: Mapping[str, str | int | Iterable[str]] | None = None
) -> Iterator[Dialogue]:
    """Yield the dialogues of a corpus one by one, without keeping them; parameters as for :func:`load_corpus`."""
    return open_corpus(path, format=format, reader=reader).dialogues()


def load_corpus(
    path: Paths,
    *,
    format: str | None = None,
    reader: Mapping[str, str | int | Iterable[str]] | None = None,
    annotated: bool = True,
) -> Corpus:
    """Read a corpus.

    Parameters
    ----------
    path
        A file, a folder, an archive, a store, or the address of a SQL database or a bucket; or a list of them. A list is read
        as one corpus: each in its own format, one after the other, with its own parts. If an earlier one already has an id, the
        later one gets its file's name in front, such as ``new.csv:7``.
    format
        The format's name; None: it is recognised.
    reader
        Options of the format's reader, such as ``{"task": "5"}``; a list of names stands for a text with commas between them.
    annotated
        Whether the corpus must have the system's actions. If not, as for prediction, a table needs no column ``actions`` and
        JSON Lines no such key. If no turn has actions, all have None, which means unknown, not the empty set.

    Raises
    ------
    CorpusError
        If there is nothing, the format is not recognised, a folder has files of several formats that do not belong together,
        something in it is wrong, or it has to be annotated and no turn has system actions.
    OptionError
        If the format or an option is unknown, or a path is named twice.

    Warns
    -----
    CorpusWarning
        If something in it is not read, or should be checked.
    """
    opened = open_corpus(path, format=format, reader=reader, annotated=annotated)
    if opened.store is not None:
        warn_of(part_problems(Counter(opened.store.labels)))
        return opened.store  # its dialogues stay on disk
    corpus = Corpus(
        PlainDialogues(map(Sharing().dialogue, opened.dialogues())),
        name=opened.name,
        format=opened.format,
        reader_options=opened.reader_options,
        gazetteer=opened.gazetteer,
        replies_are_templates=opened.replies_are_templates,
    )
    warn_of([*opened.problems(), *part_problems(Counter(corpus.labels))])
    if not len(corpus):
        raise CorpusError(f"expected dialogues in the format {opened.format!r}, found none.", path=_shown(path))
    if annotated:
        _check_annotated(corpus, _shown(path))
    return corpus


def _shown(path: Paths) -> str:
    paths = [path] if isinstance(path, (str, PathLike)) else path
    return ", ".join(name_of_address(one) if isinstance(one, str) and is_address(one) else str(one) for one in paths)


def _check_annotated(corpus: Corpus, path: str) -> None:
    if not corpus.n_targets:
        raise CorpusError(
            f"none of its {counted(corpus.n_turns, 'turn')} has system actions, so there is nothing to predict.",
            path=path,
            remedy="The policy learns from the actions that the system took; choose a corpus annotated with them.",
        )
    if not any(turn.actions for dialogue in corpus for turn in dialogue.turns):
        message = f"{path}: no turn has an action, so there is nothing to learn."
        warnings.warn(f"{message} Write into `actions` what the system did.", CorpusWarning, stacklevel=3)
    # The first name that is none ends the search.
    sets = (turn.actions or () for dialogue in corpus for turn in dialogue.turns)
    if bits := look_like_bits(itertools.chain.from_iterable(sets)):
        message = f"{path}: the names of all actions look like bit vectors. {HOW_TO_NAME.format(count=bits)}"
        warnings.warn(message, CorpusWarning, stacklevel=3)
