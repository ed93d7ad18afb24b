"""Opening corpora: the reader of each path, and several of them as one corpus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path

from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.gazetteer import Entries
from dialog_policy.corpus.problems import Problem
from dialog_policy.corpus.readers.archives import open_source
from dialog_policy.corpus.readers.joined import Part, joined
from dialog_policy.corpus.readers.known import readers
from dialog_policy.corpus.readers.part_names import parts_of_files
from dialog_policy.corpus.readers.reader import Reader, option_text
from dialog_policy.corpus.readers.recognition import choose, unread
from dialog_policy.corpus.readers.source import Source
from dialog_policy.corpus.readers.warehouse import READERS as ADDRESSES
from dialog_policy.corpus.readers.warehouse import is_address, name_of_address, open_address, reader_of
from dialog_policy.corpus.stored import StoredCorpus, is_store
from dialog_policy.errors import CorpusError, OptionError

__all__ = ["MIXED", "OpenCorpus", "Paths", "is_recognised_as", "open_corpus"]

Paths = str | PathLike[str] | Sequence[str | PathLike[str]]
# The format of a corpus whose files are in several formats.
MIXED = "mixed"


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
    store
        The store that it is; None if it is read from elsewhere.
    label
        The part that its file's name says beside those of other files, for dialogues of a file that names none.
    """

    name: str
    format: str
    reader_options: Mapping[str, str]
    gazetteer: Entries
    replies_are_templates: bool
    dialogues: Callable[[], Iterator[Dialogue]]
    problems: Callable[[], Iterable[Problem]]
    store: StoredCorpus | None = None
    label: str | None = None


def open_corpus(
    path: Paths,
    *,
    format: str | None = None,
    reader: Mapping[str, str | int | Iterable[str]] | None = None,
    annotated: bool = True,
) -> OpenCorpus:
    """Open a corpus without reading its dialogues; parameters and errors as for :func:`~dialog_policy.corpus.readers.load_corpus`."""
    if hasattr(path, "columns"):
        kind = type(path).__name__
        raise OptionError(
            f"expected the path of a corpus, found a {kind}. Corpus.from_frame(frame) makes a corpus of a table."
        )
    paths = [_place(one) for one in ([path] if isinstance(path, (str, PathLike)) else path)]
    _check_paths(paths)
    given, names = {name: option_text(name, value) for name, value in (reader or {}).items()}, _names(paths)
    parts: list[OpenCorpus] = []
    labels = parts_of_files(one.name for one in paths if isinstance(one, Path))
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
        parts += [replace(each, label=labels.get(one.name)) for each in opened]
    unknown = set(given) - {option for part in parts for option in part.reader_options}
    if unknown:
        {**readers(), **ADDRESSES}[parts[0].format].fill(given)  # raises, and says which options there are
    return parts[0] if len(parts) == 1 else _together(parts, " + ".join(names), given)


def is_recognised_as(path: Paths, format: str) -> bool:
    """Whether all that a user named is recognised as one format; a store says itself how it was read, and is of none."""
    for one in map(_place, [path] if isinstance(path, (str, PathLike)) else path):
        if isinstance(one, str):
            found = [reader_of(one).name]
        elif is_store(one):
            return False
        else:
            try:
                found = [reader.name for reader in choose(open_source(one), None, readers())]
            except (CorpusError, OptionError):  # there is nothing, or nothing that is recognised
                return False
        if found != [format]:
            return False
    return True


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
        store.name, store.format, known, store.gazetteer, store.replies_are_templates, store.__iter__, tuple, store
    )


def _check_paths(paths: Sequence[Path | str]) -> None:
    if not paths:
        raise OptionError("expected the path of a corpus, found none.")
    places = [path.resolve() if isinstance(path, Path) else path for path in paths]
    for path, place in zip(paths, places, strict=True):
        if places.count(place) > 1:
            shown = path if isinstance(path, Path) else name_of_address(path)
            raise OptionError(f"{shown} is named twice, and its dialogues would count twice. Name it once.")


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
    return replace(corpus, problems=lambda: [*more, *own()])


def _together(parts: Sequence[OpenCorpus], name: str, given: Mapping[str, str]) -> OpenCorpus:
    formats = {part.format for part in parts}
    gazetteer: dict[str, tuple[str | tuple[str, str], ...]] = {}
    for part in parts:
        for kind, values in part.gazetteer.items():
            gazetteer[kind] = tuple(dict.fromkeys((*gazetteer.get(kind, ()), *values)))
    # Files of a folder have the folder's name in common: its formats tell them apart.
    are_of_one = len({part.name for part in parts}) < len(parts)
    listed = [Part(part.format if are_of_one else part.name, part.dialogues, part.label, part.name) for part in parts]
    return OpenCorpus(
        name,
        parts[0].format if len(formats) == 1 else MIXED,
        parts[0].reader_options if len(formats) == 1 else given,
        gazetteer,
        all(part.replies_are_templates for part in parts),
        partial(joined, listed),
        lambda: [problem for part in parts for problem in part.problems()],
    )
