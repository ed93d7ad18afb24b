"""Reading corpora: one module a format, recognised without being told."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from importlib.metadata import entry_points
from os import PathLike
from pathlib import Path

from dialog_policy.corpus.corpus import Corpus
from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.gazetteer import Entries
from dialog_policy.corpus.problems import LEVELS, Problem
from dialog_policy.corpus.readers.joined import Part, joined
from dialog_policy.corpus.readers.reader import Opened, Option, Reader
from dialog_policy.corpus.readers.recognition import choose, unread
from dialog_policy.corpus.readers.source import Source, open_source
from dialog_policy.corpus.readers.warehouse import READERS as ADDRESSES
from dialog_policy.corpus.readers.warehouse import is_address, name_of_address, open_address, reader_of
from dialog_policy.corpus.sharing import Sharing
from dialog_policy.corpus.stored import StoredCorpus, is_store
from dialog_policy.errors import CorpusError, CorpusWarning, OptionError, counted

__all__ = [
    "ADDRESSES",
    "MIXED",
    "OpenCorpus",
    "Opened",
    "Option",
    "Paths",
    "Reader",
    "Source",
    "load_corpus",
    "open_corpus",
    "open_source",
    "readers",
    "stream",
]

Paths = str | PathLike[str] | Sequence[str | PathLike[str]]
# The format of a corpus whose files are in several formats.
MIXED = "mixed"
# Problems of which reading warns one by one.
_SHOWN_PROBLEMS = 3

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
    "rasa_markdown",
    "unified",
    "messages",
    "transcript",
    "jsonl",
    "table",
)


@cache
def readers() -> dict[str, Reader]:
    """Return all readers by name: our own, then those of other packages, by the entry points ``dialog_policy.readers``."""
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


@dataclass(frozen=True)
class OpenCorpus:
    """A corpus that is read dialogue by dialogue.

    Attributes
    ----------
    name, format, reader_options, gazetteer, replies_are_templates
        As in :class:`~dialog_policy.corpus.corpus.Corpus`.
    dialogues
        Yields the dialogues; can be called again.
    problems
        What is wrong beyond single dialogues, such as files that are not read.
    """

    name: str
    format: str
    reader_options: Mapping[str, str]
    gazetteer: Entries
    replies_are_templates: bool
    dialogues: Callable[[], Iterator[Dialogue]]
    problems: Callable[[], Iterable[Problem]]


def open_corpus(
    path: Paths, *, format: str | None = None, reader: Mapping[str, str] | None = None, annotated: bool = True
) -> OpenCorpus:
    """Open a corpus without reading its dialogues; parameters and errors as for :func:`load_corpus`."""
    paths = [_place(one) for one in ([path] if isinstance(path, (str, PathLike)) else path)]
    _check_paths(paths)
    given, names = dict(reader or {}), _names(paths)
    parts: list[OpenCorpus] = []
    for one, name in zip(paths, names, strict=True):
        if isinstance(one, str):
            parts.append(_of_address(one, format, given))
            continue
        if is_store(one):
            parts.append(_of_store(StoredCorpus(one), format, given))
            continue
        source = open_source(one)
        chosen = choose(source, format, readers())
        opened = [
            _opened(source, each, given if len(paths) == len(chosen) == 1 else _of_reader(each, given), name, annotated)
            for each in chosen
        ]
        if format is None and (left := unread(source, chosen)):
            opened[0] = _with_problems(opened[0], left)
        parts += opened
    unknown = set(given) - {option for part in parts for option in part.reader_options}
    if unknown:
        {**readers(), **ADDRESSES}[parts[0].format].fill(given)  # raises, and says which options there are
    return parts[0] if len(parts) == 1 else _together(parts, " + ".join(names), given)


def _place(path: str | PathLike[str]) -> Path | str:
    return path if isinstance(path, str) and is_address(path) else Path(path)


def _of_address(address: str, format: str | None, given: Mapping[str, str]) -> OpenCorpus:
    chosen, name = reader_of(address), name_of_address(address)
    if format not in (None, chosen.name):
        raise OptionError(f"{name} is read in the format {chosen.name!r}, found --format {format}.")
    options = chosen.fill(given)
    opened = open_address(address, options)
    return OpenCorpus(name, chosen.name, options, {}, False, opened.dialogues, tuple)


def _of_store(store: StoredCorpus, format: str | None, given: Mapping[str, str]) -> OpenCorpus:
    """Open a store; it was read when it was prepared, and cannot be read in another way now."""
    if format not in (None, store.format):
        raise OptionError(
            f"{store.path} is a store, prepared from the format {store.format!r}; found --format {format}."
        )
    known = store.reader_options
    if other := next((name for name in given if name in known and given[name] != known[name]), None):
        raise OptionError(
            f"{store.path} is a store, prepared with {other}={known[other]}; found {other}={given[other]}. Prepare another "
            "store, or leave the option out."
        )
    return OpenCorpus(
        store.name, store.format, known, store.gazetteer, store.replies_are_templates, store.__iter__, tuple
    )


def _check_paths(paths: Sequence[Path | str]) -> None:
    if not paths:
        raise OptionError("expected the path of a corpus, found none.")
    places = [path.resolve() if isinstance(path, Path) else path for path in paths]
    for path, place in zip(paths, places, strict=True):
        if places.count(place) > 1:
            shown = path if isinstance(path, Path) else name_of_address(path)
            raise OptionError(f"{shown} is named twice; its dialogues would count twice.")


def _names(paths: Sequence[Path | str]) -> list[str]:
    names = [path.resolve().name if isinstance(path, Path) else name_of_address(path) for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _of_reader(chosen: Reader, given: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in given.items() if name in chosen.options}


def _opened(source: Source, chosen: Reader, given: Mapping[str, str], name: str, annotated: bool) -> OpenCorpus:
    options = chosen.fill(given)
    opened = chosen.open(source, options)
    dialogues = opened.dialogues if annotated or opened.unannotated is None else opened.unannotated
    return OpenCorpus(
        name, chosen.name, options, opened.gazetteer, opened.replies_are_templates, dialogues, opened.problems
    )


def _with_problems(corpus: OpenCorpus, more: Sequence[Problem]) -> OpenCorpus:
    own = corpus.problems
    return OpenCorpus(**{**vars(corpus), "problems": lambda: [*more, *own()]})


def _together(parts: Sequence[OpenCorpus], name: str, given: Mapping[str, str]) -> OpenCorpus:
    formats = {part.format for part in parts}
    gazetteer: dict[str, tuple[str | tuple[str, str], ...]] = {}
    for part in parts:
        for kind, values in part.gazetteer.items():
            gazetteer[kind] = tuple(dict.fromkeys((*gazetteer.get(kind, ()), *values)))
    # Files of a folder have the folder's name in common: its formats tell them apart.
    are_of_one = len({part.name for part in parts}) < len(parts)
    listed = [Part(part.format if are_of_one else part.name, part.dialogues) for part in parts]
    return OpenCorpus(
        name,
        parts[0].format if len(formats) == 1 else MIXED,
        parts[0].reader_options if len(formats) == 1 else given,
        gazetteer,
        all(part.replies_are_templates for part in parts),
        partial(joined, listed),
        lambda: [problem for part in parts for problem in part.problems()],
    )


def stream(path: Paths, *, format: str | None = None, reader: Mapping[str, str] | None = None) -> Iterator[Dialogue]:
    """Yield the dialogues of a corpus one by one, without keeping them; parameters as for :func:`load_corpus`."""
    return open_corpus(path, format=format, reader=reader).dialogues()


def load_corpus(
    path: Paths, *, format: str | None = None, reader: Mapping[str, str] | None = None, annotated: bool = True
) -> Corpus:
    """Read a corpus.

    Parameters
    ----------
    path
        A file, a folder, an archive, a store, or the address of a SQL database or a bucket; or a list of them, which are read as one corpus, each in its own format: their
        dialogues one after the other, with the parts that each has by itself. An id that an earlier one has gets the name of
        its file, such as ``new.csv:7``.
    format
        The format's name; None: it is recognised.
    reader
        Options of the format's reader, such as ``{"task": "5"}``.
    annotated
        Whether the corpus has to say what the system did. If not, as for prediction, a table needs no column ``actions`` and
        JSON Lines no such key; where no turn has actions, all have None: unknown, not nothing.

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
        If something in it is not read, or needs a look.
    """
    opened = open_corpus(path, format=format, reader=reader, annotated=annotated)
    if isinstance(store := getattr(opened.dialogues, "__self__", None), StoredCorpus):
        return store  # its dialogues stay on disk
    corpus = Corpus(
        map(Sharing().dialogue, opened.dialogues()),
        name=opened.name,
        format=opened.format,
        reader_options=opened.reader_options,
        gazetteer=opened.gazetteer,
        replies_are_templates=opened.replies_are_templates,
    )
    _warn(opened.problems())
    if not len(corpus):
        raise CorpusError(f"expected dialogues in the format {opened.format!r}, found none.", path=_shown(path))
    if annotated:
        _check_annotated(corpus, _shown(path))
    return corpus


def _warn(problems: Iterable[Problem]) -> None:
    """Warn of problems, the gravest first; of many of them `validate` tells."""
    grave = sorted((p for p in problems if p.level != "note"), key=lambda problem: LEVELS.index(problem.level))
    for problem in grave[:_SHOWN_PROBLEMS]:
        warnings.warn(str(problem), CorpusWarning, stacklevel=3)
    if len(grave) > _SHOWN_PROBLEMS:
        more = counted(len(grave) - _SHOWN_PROBLEMS, "more problem")
        warnings.warn(f"Besides: {more}; `dialog-policy validate` lists all.", CorpusWarning, stacklevel=3)


def _shown(path: Paths) -> str:
    paths = [path] if isinstance(path, (str, PathLike)) else path
    return ", ".join(name_of_address(one) if isinstance(one, str) and is_address(one) else str(one) for one in paths)


def _check_annotated(corpus: Corpus, path: str) -> None:
    if not corpus.n_targets:
        raise CorpusError(
            f"none of its {counted(corpus.n_turns, 'turn')} has system actions: there is nothing to predict.",
            path=path,
            remedy="The policy learns from the actions that the system took; choose a corpus annotated with them.",
        )
    if not any(turn.actions for dialogue in corpus for turn in dialogue.turns):
        message = f"{path}: no turn has an action, so there is nothing to learn."
        warnings.warn(f"{message} Write into `actions` what the system did.", CorpusWarning, stacklevel=3)
