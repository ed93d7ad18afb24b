"""Zip archives whose directory of members is bounded before it is read."""

from __future__ import annotations

import io
import os
import zipfile

__all__ = ["open_zip"]

# Bytes that a member takes in the directory, with a long name and what writers put beside it.
_ENTRY = 1_024
# The end of an archive is read at once, with the longest comment that there can be.
_END = 1 << 17


def open_zip(path: str | os.PathLike[str], *, most_members: int) -> zipfile.ZipFile:
    """Open a zip archive for reading.

    Parameters
    ----------
    path
        The archive.
    most_members
        So many members an archive of its kind may have; a directory that takes more room than these would is refused unread.

    Raises
    ------
    zipfile.BadZipFile
        If it is no archive, or has more members.
    OSError
        If it cannot be read.
    """
    try:
        with _Bounded(path, most=max(most_members * _ENTRY, _END)) as file, zipfile.ZipFile(file) as archive:
            count = len(archive.infolist())
    except (ValueError, NotImplementedError) as error:  # a name that is no text, a version to come
        raise zipfile.BadZipFile(str(error)) from None
    if count > most_members:
        raise zipfile.BadZipFile(f"it has {count:,} members, more than {most_members:,}")
    return zipfile.ZipFile(path)


class _Bounded(io.FileIO):
    """A file of which not more than `most` bytes can be read at once."""

    def __init__(self, path: str | os.PathLike[str], *, most: int) -> None:
        super().__init__(os.fspath(path), "rb")
        self.most = most

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self.most:
            raise zipfile.BadZipFile(f"its list of members takes {size:,} bytes, more than {self.most:,}")
        return super().read(-1 if size is None else size) or b""
