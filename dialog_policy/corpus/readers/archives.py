"""Archives, and what it is that stands at a path."""

from __future__ import annotations

import io
import tarfile
import weakref
import zipfile
from pathlib import Path
from typing import BinaryIO

from dialog_policy.corpus.readers import limits
from dialog_policy.corpus.readers.limits import check_name, largest_unpacked
from dialog_policy.corpus.readers.source import DAMAGED, File, Folder, Source
from dialog_policy.errors import CorpusError, did_you_mean
from dialog_policy.files import open_zip

__all__ = ["open_source"]

# Documents that are zip archives themselves.
_PACKED_DOCUMENTS = (".xlsx", ".xlsm", ".ods")


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
            return Folder(place)
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
        return File(place)
    try:
        if zipfile.is_zipfile(place):
            return _Zip(place)
        if _seems_tar(place) and tarfile.is_tarfile(place):
            return _Tar(place)
    except (*DAMAGED, ValueError, NotImplementedError) as error:
        raise CorpusError(f"the archive is damaged ({error}).", path=place) from None
    if place.suffix == ".zip" or place.name.endswith((".tar.gz", ".tgz", ".tar")):
        raise CorpusError(f"expected a {place.suffix} archive by its name, found something else.", path=place)
    return File(place)
