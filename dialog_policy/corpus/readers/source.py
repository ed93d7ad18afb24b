"""Files, folders and archives, all seen as named members that are read on the spot; nothing is unpacked to disk.

All kinds stand in one module of more than 300 lines: they share their limits and how a damaged member is answered.
"""

from __future__ import annotations

import codecs
import contextlib
import fnmatch
import io
import lzma
import tarfile
import weakref
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, TextIO

from dialog_policy.corpus.readers import limits
from dialog_policy.corpus.readers.limits import bounded_lines, check_name, largest_unpacked
from dialog_policy.corpus.readers.packed import names_within, unpacked
from dialog_policy.corpus.readers.part_names import parts_of_files
from dialog_policy.errors import CorpusError, OptionError, did_you_mean
from dialog_policy.files import open_zip

__all__ = ["InMemory", "Source", "encoding_of", "open_source"]

# Documents that are zip archives themselves.
_PACKED_DOCUMENTS = (".xlsx", ".xlsm", ".ods")

_DAMAGED = (OSError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError)


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
        except (*_DAMAGED, RuntimeError, UnicodeDecodeError) as error:
            raise CorpusError(f"cannot be read ({error}).", path=self.place(member)) from None
        try:
            with file:
                yield file
        except _DAMAGED as error:
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


class _File(Source):
    def __init__(self, path: Path) -> None:
        super().__init__(path, [])
        self._take([path.name])

    @property
    def is_single_file(self) -> bool:
        return True

    def place(self, member: str) -> str:
        return str(self.path)

    def _open(self, stored: str) -> BinaryIO:
        return self.path.open("rb")

    def _size(self, stored: str) -> int:
        return self.path.stat().st_size


class InMemory(_File):
    """The content of a file that is not written yet."""

    def __init__(self, path: Path, content: bytes) -> None:
        super().__init__(path)
        self._content = content

    def _open(self, stored: str) -> BinaryIO:
        return io.BufferedReader(io.BytesIO(self._content))

    def _size(self, stored: str) -> int:
        return len(self._content)


class _Folder(Source):
    def __init__(self, path: Path) -> None:
        super().__init__(path, [p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()])

    def _open(self, stored: str) -> BinaryIO:
        return (self.path / stored).open("rb")

    def _size(self, stored: str) -> int:
        return (self.path / stored).stat().st_size


class _Zip(Source):
    def __init__(self, path: Path) -> None:
        self._archive = open_zip(path, most_members=limits.MOST_MEMBERS)
        weakref.finalize(self, self._archive.close)
        # A damaged archive may have members without a name, on which ZipInfo.is_dir fails.
        names = [check_name(info.filename, path) for info in self._archive.infolist()]
        super().__init__(path, [name for name in names if name and not name.endswith("/")])

    def _open(self, stored: str) -> BinaryIO:
        info = self._archive.getinfo(stored)
        self.check_unpacked(stored, info.file_size, info.compress_size)
        return self._archive.open(info)  # type: ignore[return-value]

    def _size(self, stored: str) -> int:
        return self._archive.getinfo(stored).file_size


def _seems_tar(path: Path) -> bool:
    """Whether a file begins like a tar, packed or not.

    Looked at before any module may look for a beginning itself: to xz, zeros are padding, and gigabytes of them are read.
    """
    with path.open("rb") as file:
        head = file.read(512)
    return head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")) or head[257:262] == b"ustar"


def _open_tar(path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(path, "r:", errors="backslashreplace")
    except tarfile.ReadError:
        with tarfile.open(path) as packed:
            stream = packed.fileobj
            assert stream is not None
            stream.seek(0)
            largest = largest_unpacked(path.stat().st_size, limits.LARGEST_TAR)
            content = stream.read(largest + 1)
    if len(content) > largest:
        raise CorpusError(
            f"unpacks to more than {largest:,} bytes; refused.",
            path=path,
            remedy="Unpack it, and name the folder.",
        ) from None
    return tarfile.open(fileobj=io.BytesIO(content), errors="backslashreplace")


class _Tar(Source):
    def __init__(self, path: Path) -> None:
        self._archive = _open_tar(path)
        weakref.finalize(self, self._archive.close)
        self._infos: dict[str, tarfile.TarInfo] = {}
        links = []
        for number, info in enumerate(self._archive):
            if number == limits.MOST_MEMBERS:
                raise CorpusError(f"the archive has more than {limits.MOST_MEMBERS:,} members; refused.", path=path)
            name = check_name(info.name.removeprefix("./"), path)
            if info.isfile():
                self._infos[name] = info
            elif info.issym() or info.islnk():
                links.append(name)
        super().__init__(path, list(self._infos), links)

    def _open(self, stored: str) -> BinaryIO:
        info = self._infos[stored]
        if info.size > limits.LARGEST_MEMBER:
            raise CorpusError(f"claims to unpack to {info.size:,} bytes; refused.", path=self.place(stored))
        file = self._archive.extractfile(info)
        assert file is not None
        return file  # type: ignore[return-value]

    def _size(self, stored: str) -> int:
        return self._infos[stored].size


def open_source(path: str | Path) -> Source:
    """Open a file, a folder, a ``.zip`` or a ``.tar``, ``.tar.gz``, ``.tar.bz2``, ``.tar.xz``.

    Raises
    ------
    CorpusError
        If there is nothing at `path` or an archive is damaged.
    """
    place = Path(path)
    try:
        if place.is_dir():
            return _Folder(place)
        is_file = place.is_file()
    except OSError as error:  # a name that is too long, a folder that is nobody's to read
        raise CorpusError(f"cannot be read ({error.strerror}).", path=place) from None
    if not is_file and place.exists():
        raise CorpusError(
            "expected a file, a folder or an archive, found a pipe or a device.",
            path=place,
            remedy="A corpus is read several times: write it into a file first, and name that.",
        )
    if not is_file:
        neighbours = [p.name for p in place.parent.iterdir()] if place.parent.is_dir() else []
        raise CorpusError(f"there is no file or folder {str(place)!r}.{did_you_mean(place.name, neighbours)}")
    if place.suffix.lower() in _PACKED_DOCUMENTS:
        return _File(place)
    try:
        if zipfile.is_zipfile(place):
            return _Zip(place)
        if _seems_tar(place) and tarfile.is_tarfile(place):
            return _Tar(place)
    except (*_DAMAGED, ValueError, NotImplementedError) as error:
        raise CorpusError(f"the archive is damaged ({error}).", path=place) from None
    if place.suffix == ".zip" or place.name.endswith((".tar.gz", ".tgz", ".tar")):
        raise CorpusError(f"expected a {place.suffix} archive by its name, found something else.", path=place)
    return _File(place)
