"""Reading corpora: one module a format, found through entry points, recognised without being told."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

from dialog_policy.corpus.corpus import Corpus
from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.readers.reader import Opened, Option, Reader
from dialog_policy.corpus.readers.source import Source, open_source
from dialog_policy.errors import CorpusError, OptionError, did_you_mean

__all__ = ["Opened", "Option", "Reader", "Source", "load_corpus", "open_corpus", "open_source", "readers", "stream"]

# Asked in this order whether they recognise a source: the narrow ones first.
_OWN = (
    "babi",
    "star",
    "dstc2",
    "m2m",
    "multiwoz22",
    "sgd",
    "multiwoz",
    "crosswoz",
    "frames",
    "kvret",
    "rasa",
    "unified",
    "transcript",
    "jsonl",
    "table",
)


@cache
def readers() -> dict[str, Reader]:
    """Return all installed readers by name: our own, then the entry points of the group ``dialog_policy.readers``.

    Ours are there also where the package runs from a checkout that was never installed.
    """
    known = {name: import_module(f"{__name__}.{name}").READER for name in _OWN}
    for entry in sorted(entry_points(group="dialog_policy.readers"), key=lambda entry: entry.name):
        if entry.name in known:
            continue
        try:
            known[entry.name] = entry.load()
        # A broken plug-in of somebody else's must not keep anybody from reading another format.
        except Exception as error:
            warnings.warn(f"the reader {entry.name!r} ({entry.value}) cannot be loaded: {error}", stacklevel=2)
    return known


def _choose(source: Source, format: str | None) -> Reader:
    known = readers()
    if format is not None:
        if format not in known:
            raise OptionError(f"there is no format {format!r}; known: {', '.join(known)}.{did_you_mean(format, known)}")
        return known[format]
    for reader in known.values():
        if reader.recognises(source):
            return reader
    listed = "\n".join(f"  {reader.name}: {reader.help}" for reader in known.values())
    raise CorpusError(
        "the format is not recognised.", path=source.path, remedy=f"Known formats (--format NAME says which):\n{listed}"
    )


def open_corpus(
    path: str | Path, *, format: str | None = None, reader: Mapping[str, str] | None = None
) -> tuple[Reader, dict[str, str], Opened]:
    """Return the reader, all its options and the opened source; parameters and errors as for :func:`load_corpus`."""
    source = open_source(path)
    chosen = _choose(source, format)
    options = chosen.fill(reader or {})
    return chosen, options, chosen.open(source, options)


def stream(
    path: str | Path, *, format: str | None = None, reader: Mapping[str, str] | None = None
) -> Iterator[Dialogue]:
    """Yield the dialogues of a corpus one by one, without keeping them; parameters as for :func:`load_corpus`."""
    return open_corpus(path, format=format, reader=reader)[2].dialogues()


def load_corpus(path: str | Path, *, format: str | None = None, reader: Mapping[str, str] | None = None) -> Corpus:
    """Read a corpus.

    Parameters
    ----------
    path
        A file, a folder or an archive.
    format
        The format's name; None: it is recognised.
    reader
        Options of the format's reader, such as ``{"task": "5"}``.

    Raises
    ------
    CorpusError
        If there is nothing, the format is not recognised, something in it is wrong, or no turn has system actions.
    OptionError
        If the format or an option is unknown.
    """
    chosen, options, opened = open_corpus(path, format=format, reader=reader)
    corpus = Corpus(
        opened.dialogues(),
        name=Path(path).resolve().name,
        format=chosen.name,
        reader_options=options,
        gazetteer=opened.gazetteer,
        replies_are_templates=opened.replies_are_templates,
    )
    if not len(corpus):
        raise CorpusError(f"expected dialogues in the format {chosen.name!r}, found none.", path=path)
    if not corpus.n_targets:
        raise CorpusError(
            f"none of its {corpus.n_turns} turns has system actions: there is nothing to predict.",
            path=path,
            remedy="The policy learns from the actions that the system took; choose a corpus annotated with them.",
        )
    return corpus
