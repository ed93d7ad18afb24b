"""Which readers a source is for: one; or several, of files that are a corpus each; or, in one sentence, none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from dialog_policy.corpus.problems import Place, Problem
from dialog_policy.corpus.readers.reader import Reader
from dialog_policy.corpus.readers.source import Source
from dialog_policy.errors import CorpusError, check_known, counted

__all__ = ["choose", "unread"]

# Spreadsheets that are not read; what to do with them.
_SPREADSHEETS = (".ods", ".xls", ".numbers")
# Files that may hold dialogues, by their names; what is about a corpus does not count as left out.
_DATA = re.compile(
    r".*\.(jsonl?|ndjson|csv|tsv|txt|parquet|xlsx?|xlsm|ods|numbers|ya?ml|gz|zip|tar|tgz|bz2|xz|zst)", re.DOTALL
)
_ABOUT = re.compile(r"(readme|licen[cs]e|changelog|requirements|manifest)\b.*", re.DOTALL)
_SHOWN = 5


def choose(source: Source, format: str | None, known: Mapping[str, Reader]) -> list[Reader]:
    """Return the readers of a source, which is read whole.

    Parameters
    ----------
    source
        What the user named.
    format
        The format that the user named; None: it is recognised.
    known
        All readers by their names, those of narrow formats first.

    Raises
    ------
    OptionError
        If there is no such format.
    CorpusError
        If no format is recognised, or several whose files do not belong together.
    """
    if format is not None:
        check_known("format", format, known)
        return [known[format]]
    readers = [reader for reader in known.values() if reader.recognises(source)]
    if not readers:
        raise _unrecognised(source, known)
    if source.is_single_file or len(readers) == 1:
        return readers[:1]
    if all(reader.members for reader in readers):
        return readers
    # Corpora come with tables and texts about them; another corpus among them is another matter.
    readers = [readers[0], *(reader for reader in readers[1:] if _has_dialogues(reader, source))]
    if len(readers) > 1:
        listed = "; ".join(f"{reader.name}{_files(reader, source)}" for reader in readers)
        raise CorpusError(
            f"its files are in several formats: {listed}.",
            path=source.path,
            remedy="Name one of them with --format NAME, or put them into folders of their own and name these.",
        )
    return readers


def _has_dialogues(reader: Reader, source: Source) -> bool:
    try:
        return next(reader.open(source, reader.fill({})).dialogues(), None) is not None
    except CorpusError:
        return False


def _files(reader: Reader, source: Source) -> str:
    return f" ({_listed(reader.members(source))})" if reader.members else ""


def _listed(members: Sequence[str]) -> str:
    return ", ".join(members[:_SHOWN]) + (", …" if len(members) > _SHOWN else "")


def _unrecognised(source: Source, known: Mapping[str, Reader]) -> CorpusError:
    sheets = [member for member in source.members if member.lower().endswith(_SPREADSHEETS)]
    if sheets:
        return CorpusError(
            f"the spreadsheet {sheets[0]} is in a format that is not read.",
            path=source.path,
            remedy="Save it as .xlsx or as CSV (UTF-8).",
        )
    listed = "\n".join(f"  {reader.name}: {reader.help}" for reader in known.values())
    remedy = f"Known formats (--format NAME says which):\n{listed}"
    if all(member.lower().endswith(".json") for member in source.members):
        remedy = (
            f"If it is a list of dialogues of your own, write each into a line of its own, in a file .jsonl. {remedy}"
        )
    return CorpusError("the format is not recognised.", path=source.path, remedy=remedy)


def unread(source: Source, readers: Sequence[Reader]) -> list[Problem]:
    """Return, as warnings, which files of a folder or archive look like data and are read by none of the readers, and which links."""
    return [*_unfollowed(source), *_unread(source, readers)]


def _unfollowed(source: Source) -> list[Problem]:
    left = [name for name in source.links if _holds_data(PurePosixPath(name).name.lower())]
    if not left:
        return []
    message = (
        f"{counted(len(left), 'link')} in the archive {'is' if len(left) == 1 else 'are'} not followed: {_listed(left)}"
    )
    remedy = "Pack the files themselves (tar --dereference)."
    return [Problem("warning", "unread-files", message, remedy, len(left), [Place(file=str(source.path))])]


def _unread(source: Source, readers: Sequence[Reader]) -> list[Problem]:
    if source.is_single_file or not all(reader.members for reader in readers):
        return []
    read = {member for reader in readers if reader.members for member in reader.members(source)}
    unread_files = [m for m in source.members if m not in read and _holds_data(PurePosixPath(m).name.lower())]
    if not unread_files:
        return []
    verb = "is" if len(unread_files) == 1 else "are"
    message = f"{counted(len(unread_files), 'file')} {verb} not read: {_listed(unread_files)}"
    remedy = "Name files one by one to read others, or move these away."
    return [Problem("warning", "unread-files", message, remedy, len(unread_files), [Place(file=str(source.path))])]


def _holds_data(name: str) -> bool:
    return _DATA.fullmatch(name) is not None and _ABOUT.fullmatch(name) is None
