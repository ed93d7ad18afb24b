"""Files, folders and archives, all seen as named members that are read on the spot; nothing is unpacked to disk."""

from __future__ import annotations

import codecs
import contextlib
import fnmatch
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, TextIO

from dialog_policy.corpus.readers import limits
from dialog_policy.corpus.readers.limits import bounded_lines, largest_unpacked
from dialog_policy.corpus.readers.packed import names_within, unpacked
from dialog_policy.corpus.readers.part_names import parts_of_files
from dialog_policy.errors import CorpusError, OptionError

__all__ = ["DAMAGED", "File", "Folder", "InMemory", "Source", "encoding_of"]

# What reading damaged content raises.
DAMAGED = (OSError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError)


def _is_hidden(name: str) -> bool:
    """Whether a system or an editor left this member, or its name leads out of the archive."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def encoding_of(head: bytes) -> str:
    """Return the name of the encoding of a text that begins with these bytes: UTF-16 by its mark, else UTF-8."""
    return "utf-16" if head in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _check_encoding(encoding: str) -> None:
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    except (LookupError, ValueError):
        raise OptionError(
            f"encoding={encoding}: there is no such encoding; expected one such as utf-8, utf-16, cp1252."
        ) from None


class Source:
    """Members of one file, folder or archive.

    Attributes
    ----------
    path
        What the user named.
    members
        Names, sorted, with ``/`` between folders. A single file has its own name as the only member. Of packed files
        (``calls.jsonl.gz``) it is what they are called once they are unpacked.
    links
        Names of links in an archive; they are not followed.
    """

    def __init__(self, path: Path, members: list[str], links: Sequence[str] = ()) -> None:
        self.path, self.links = path, sorted(name for name in links if not _is_hidden(name))
        # An archive can have two members of one name; the later one counts.
        self._take(name for name in members if not _is_hidden(name))

    def _take(self, names: Iterable[str]) -> None:
        self._stored = names_within(names)
        self.members = sorted(self._stored)

    @property
    def is_single_file(self) -> bool:
        """Whether the user named a plain file."""
        return False

    @cached_property
    def parts(self) -> Mapping[str, str]:
        """Parts of the members whose names say one; see :func:`~dialog_policy.corpus.readers.part_names.parts_of_files`."""
        return parts_of_files(self.members)

    def place(self, member: str) -> str:
        """Return how a member is named in messages."""
        return f"{self.path}/{self._stored.get(member, member)}"

    def find(self, pattern: str) -> list[str]:
        """Members whose file name, or whose whole name where the pattern has a ``/``, matches a shell pattern."""
        if "/" in pattern:
            return [name for name in self.members if fnmatch.fnmatchcase(name, pattern)]
        return [name for name in self.members if fnmatch.fnmatchcase(name.rpartition("/")[2], pattern)]

    def _open(self, stored: str) -> BinaryIO:
        """Open a member by the name under which it is stored."""
        raise KeyError(stored)

    def _size(self, stored: str) -> int:
        return 0

    def size(self, member: str) -> int:
        """Bytes of a member; of a packed file before it is unpacked."""
        return self._size(self._stored.get(member, member))

    @contextlib.contextmanager
    def open(self, member: str) -> Iterator[BinaryIO]:
        """Open a member for reading bytes.

        Raises
        ------
        CorpusError
            If it cannot be read, or an archive is damaged.
        """
        try:
            stored = self._stored.get(member, member)
            file = unpacked(self._open(stored), stored, self._size(stored))
        # RuntimeError: an encrypted member of a zip; NotImplementedError, a kind of it: a compression that zipfile does not know;
        # UnicodeDecodeError: a name before its content that is no text.
        except (*DAMAGED, RuntimeError, UnicodeDecodeError) as error:
            raise CorpusError(f"cannot be read ({error}).", path=self.place(member)) from None
        try:
            with file:
                yield file
        except DAMAGED as error:
            raise CorpusError(f"cannot be read ({error}).", path=self.place(member)) from None

    def check_unpacked(self, member: str, size: int, packed: int) -> None:
        """Refuse a packed member that unpacks to more bytes, or so many times its packed bytes, than a corpus does.

        Raises
        ------
        CorpusError
            If it is refused.
        """
        if size > largest_unpacked(packed, limits.LARGEST_MEMBER):
            raise CorpusError(f"claims to unpack to {size:,} bytes; refused.", path=self.place(member))

    def read(self, member: str) -> bytes:
        """Return a member's bytes.

        Raises
        ------
        CorpusError
            If it cannot be read, or is too large to be read as a whole.
        """
        content = b""
        if (size := self.size(member)) <= limits.LARGEST_WHOLE:
            with self.open(member) as file:
                content = file.read(limits.LARGEST_WHOLE + 1)
        if max(size, len(content)) > limits.LARGEST_WHOLE:
            raise CorpusError(
                f"has more than {limits.LARGEST_WHOLE:,} bytes, and is read as a whole; refused.",
                path=self.place(member),
                remedy="Split the file.",
            )
        return content

    def head(self, members: Sequence[str], size: int = 1 << 16) -> bytes:
        """Return the first bytes of the first of these members; nothing where there is none."""
        if not members:
            return b""
        with self.open(members[0]) as file:
            return file.read(size)

    @contextlib.contextmanager
    def open_text(self, member: str, encoding: str = "") -> Iterator[TextIO]:
        """Open a member as text; a byte order mark is skipped, line ends are kept as they are.

        Parameters
        ----------
        member
            Its name.
        encoding
            Its encoding; empty: UTF-16 where its byte order mark says so, else UTF-8.

        Raises
        ------
        CorpusError
            If it cannot be read or is in another encoding.
        OptionError
            If there is no such encoding.
        """
        if encoding:
            _check_encoding(encoding)
        with self.open(member) as file:
            known = encoding or encoding_of(file.peek(2)[:2])  # type: ignore[attr-defined]
            text = io.TextIOWrapper(file, encoding=known, newline="")
            try:
                yield text
            except UnicodeError as error:
                raise self._undecodable(member, known, error) from None

    def _undecodable(self, member: str, encoding: str, error: UnicodeError) -> CorpusError:
        name = "UTF-8" if encoding == "utf-8-sig" else encoding.upper()
        what = f"the byte 0x{error.object[error.start]:02x}" if isinstance(error, UnicodeDecodeError) else str(error)
        return CorpusError(
            f"expected {name} text, found {what}.",
            path=self.place(member),
            line=self._first_undecodable_line(member) if name == "UTF-8" else None,
            remedy="Save the file as UTF-8 (in a spreadsheet: 'CSV UTF-8')"
            + (", or name the encoding of a table: --reader encoding=cp1252." if name == "UTF-8" else "."),
        )

    def _first_undecodable_line(self, member: str) -> int | None:
        # The decoder works in blocks and knows no lines; only a faulty file pays for reading it again.
        with self.open(member) as file:
            for number, line in enumerate(iter(lambda: file.readline(limits.LONGEST_LINE), b""), 1):
                try:
                    line.decode()
                except UnicodeDecodeError:
                    return number
        return None

    def lines(self, member: str) -> Iterator[tuple[int, str]]:
        """Lines of a text member with their numbers from 1, without the line ends."""
        with self.open_text(member) as text:
            for number, line in enumerate(bounded_lines(text, self.place(member)), 1):
                yield number, line.rstrip("\r\n")


class File(Source):
    """A single file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, [])
        self._take([path.name])

    @property
    def is_single_file(self) -> bool:
        """True: the user named it."""
        return True

    def place(self, member: str) -> str:
        """Return how it is named in messages."""
        return str(self.path)

    def _open(self, stored: str) -> BinaryIO:
        return self.path.open("rb")

    def _size(self, stored: str) -> int:
        return self.path.stat().st_size


class InMemory(File):
    """The content of a file that is not written yet."""

    def __init__(self, path: Path, content: bytes) -> None:
        super().__init__(path)
        self._content = content

    def _open(self, stored: str) -> BinaryIO:
        return io.BufferedReader(io.BytesIO(self._content))

    def _size(self, stored: str) -> int:
        return len(self._content)


class Folder(Source):
    """All files of a folder."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, [p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()])

    def _open(self, stored: str) -> BinaryIO:
        return (self.path / stored).open("rb")

    def _size(self, stored: str) -> int:
        return (self.path / stored).stat().st_size
