"""One process at a time for a run or another file: a lock that ends with its process, and says who holds it."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from dialog_policy.errors import RunError
from dialog_policy.files.place import check_output, parent_of, refusals, unlink

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["locked"]

# Windows locks bytes, and nobody may read those: one far behind what is written.
_LOCKED_BYTE = 1 << 30
# How often a lock is tried that somebody else holds.
_PAUSE_S = 0.02


class _Holder(msgspec.Struct):
    """Who holds a lock."""

    purpose: str
    pid: int
    host: str
    since: str


@contextlib.contextmanager
def locked(path: str | os.PathLike[str], purpose: str, *, patience_s: float = 0.0) -> Iterator[None]:
    """Let only one process (and one thread of it) at a time write what has the name `path`.

    The lock is a file ``.NAME.lock`` beside it, which the operating system releases when the process ends, however it ends, and
    which is removed afterwards. On a file system that knows no locks there is none.

    Parameters
    ----------
    path
        What is written. It need not exist. A symbolic link stands for what it points to.
    purpose
        What it is held for, as others are told: ``"training"``.
    patience_s
        How many seconds to wait for it where another process or thread holds it.

    Raises
    ------
    RunError
        If it is still held: by whom, for what and since when.
    OptionError
        If nothing can be written there.
    """
    target = check_output(path, folder=Path(path).is_dir() or not Path(path).exists())
    file = target.with_name(f".{target.name}.lock")
    with contextlib.ExitStack() as stack:
        with refusals(Path(path)):
            stack.enter_context(parent_of(target))
            descriptor = _acquire(file, patience_s)
        if descriptor is None:
            raise RunError(
                f"{path} is being written by another process{_described(file)}. Wait for it, or name another place."
            )
        stack.callback(os.close, descriptor)
        # Removed while it is held: whoever waits for this very file looks again whether it still has the name.
        stack.callback(unlink, file)
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        with refusals(Path(path)):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, msgspec.json.encode(_Holder(purpose, os.getpid(), socket.gethostname(), now)))
        yield


def _acquire(file: Path, patience_s: float) -> int | None:
    """Return a descriptor that holds the lock, None if another one does all the time."""
    end = time.monotonic() + patience_s
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if sys.platform == "win32":
                os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
                os.lseek(descriptor, 0, os.SEEK_SET)
            else:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
                os.close(descriptor)
                if time.monotonic() >= end:
                    return None
                time.sleep(_PAUSE_S)
                continue
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(file)):
                return descriptor
        os.close(descriptor)


def _described(file: Path) -> str:
    try:
        holder = msgspec.json.decode(file.read_bytes(), type=_Holder)
    except (OSError, msgspec.DecodeError):  # it has just been taken or released
        return ""
    since = datetime.fromisoformat(holder.since).strftime("%Y-%m-%d %H:%M:%S")
    return f" ({holder.purpose}, process {holder.pid} on {holder.host}, since {since})"
