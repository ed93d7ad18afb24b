"""Sessions in one SQLite file: survives restarts, kills and power cuts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from dialog_policy.serving.stores.disk import Disk
from dialog_policy.serving.stores.store import RefusedValueError, Stored, StoreError, Write

__all__ = ["SqliteStore"]

_T = TypeVar("_T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (id TEXT PRIMARY KEY, version INTEGER NOT NULL, expires REAL NOT NULL, data BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS by_expiry ON sessions (expires);
CREATE TABLE IF NOT EXISTS "values" (name TEXT PRIMARY KEY, data BLOB NOT NULL);
"""
# The sign keeps SQLite from looking them up by their expiry.
_LOAD = "SELECT id, version, data FROM sessions WHERE id IN ({}) AND +expires > ?"
_CREATE = """
INSERT INTO sessions (version, expires, data, id) VALUES (?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET version = excluded.version, expires = excluded.expires, data = excluded.data WHERE expires <= ?
"""
_CHANGE = "UPDATE sessions SET version = ?, expires = ?, data = ? WHERE id = ? AND version = ? AND expires > ?"
_DELETE = "DELETE FROM sessions WHERE id = ? AND version = ?"
_EXPIRE = "DELETE FROM sessions WHERE rowid IN (SELECT rowid FROM sessions WHERE expires <= ? LIMIT 100)"
_LOAD_VALUE = 'SELECT data FROM "values" WHERE name = ?'
_SAVE_VALUE = 'INSERT INTO "values" (name, data) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET data = excluded.data'
# Seconds to wait for another process that has the file locked, and between two attempts.
_PATIENCE_S, _AGAIN_S = 5.0, 0.001
# Bytes in the write-ahead log after which it is copied to the file, and what a write takes besides its data: about two pages.
_COPY_AFTER = 4 << 20
_OVERHEAD = 8_192
# Bytes that the file of the log keeps when it begins anew.
_LOG_LIMIT = 16 << 20
# Sessions that one statement looks up; SQLite takes 999 parameters at least.
_AT_ONCE = 500


class SqliteStore:
    """Keeps sessions in one file, with a write-ahead log.

    Nothing counts before it is on the disk. SQLite itself would hold the file locked while it waits for the disk
    (``synchronous=FULL``), and every other server with it. So a transaction only appends to the log, in tens of microseconds
    and on the event loop (``synchronous=NORMAL``), and a thread then waits until the log is on the disk: the same two steps in
    the same order, the second one without the lock. What is to be written meanwhile shares the next transaction, so that many
    conversations pay for one write to the disk. If the disk fails, what is in the log may be lost behind that place, and
    nothing counts any more until the server is started again.

    While another process has the file locked, the event loop goes on, and the statement is tried again every millisecond:
    SQLite's own waiting would stop the loop.

    The log is copied to the file beside the commits, not within one of them as SQLite does by itself: nobody waits for it. Only
    what was written meanwhile is copied between two commits, a small rest, after which the log begins anew. What a killed
    process left in the log is copied at the start.

    Parameters
    ----------
    path
        The file. It holds what users said: one that is made here may be read by its owner only.
    copy_after
        Bytes in the log after which it is copied.

    Raises
    ------
    StoreError
        If it cannot be opened.
    """

    def __init__(self, path: Path, *, copy_after: int = _COPY_AFTER) -> None:
        self.path, self.copy_after = path, copy_after
        self._copying = ThreadPoolExecutor(1, thread_name_prefix="sessions")
        self._pending: list[tuple[Sequence[Write], asyncio.Future[list[bool]]]] = []
        self._flush: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()
        self._copy: asyncio.Task[None] | None = None
        self._uncopied = 0
        self._failure: OSError | None = None
        if not path.parent.is_dir():
            raise StoreError(
                f"sessions cannot be kept in {path}: there is no folder {path.parent}. Make it, or name another file by --store."
            )
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._writer, self._reader, self._copier = (self._connect() for _ in range(3))
            self._writer.execute(f"PRAGMA busy_timeout = {int(_PATIENCE_S * 1e3)}")
            self._writer.executescript(_SCHEMA)
            self._writer.execute("PRAGMA busy_timeout = 0")
            self._copier.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            # SQLite removes the log when its last connection is closed, so this is its file for as long as the store is open.
            self._log = os.open(f"{self._writer.execute('PRAGMA database_list').fetchone()[2]}-wal", os.O_RDWR)
            self._disk = Disk(self._log)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"sessions cannot be kept in {path}: {error}. --store names another file.") from None

    def _connect(self) -> sqlite3.Connection:
        # The isolation level None: transactions begin where this class says so.
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        for pragma in (
            "busy_timeout = 0",
            "journal_mode = WAL",
            "synchronous = NORMAL",
            "wal_autocheckpoint = 0",
            f"journal_size_limit = {_LOG_LIMIT}",
        ):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    async def load(self, ids: Sequence[str]) -> list[Stored | None]:
        """Return sessions."""
        now = time.time()
        found: dict[str, Stored] = {}
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            statement = _LOAD.format(",".join("?" * len(some)))
            with self._as_store_error():
                rows = await self._when_free(lambda: self._reader.execute(statement, (*some, now)).fetchall())  # noqa: B023
            # SQLite's columns take values of every type: what cannot be a session is one without content, and fails alone.
            for name, version, data in rows:
                found[name] = Stored(version, data if isinstance(data, bytes) else b"")
        return [found.get(name) for name in ids]

    async def save(self, writes: Sequence[Write]) -> list[bool]:
        """Make changes, in one transaction with others that wait."""
        done: asyncio.Future[list[bool]] = asyncio.get_running_loop().create_future()
        self._pending.append((writes, done))
        if self._flush is None or self._flush.done():
            self._flush = asyncio.create_task(self._write_pending())
        return await done

    async def _write_pending(self) -> None:
        while self._pending:
            waiting, self._pending = self._pending, []
            await self._write_together(waiting)

    async def _write_together(self, waiting: list[tuple[Sequence[Write], asyncio.Future[list[bool]]]]) -> None:
        try:
            outcomes = iter(await self._write([write for some, _ in waiting for write in some]))
        except Exception as error:  # whatever it is, nobody is left waiting
            if not isinstance(error, StoreError) and len(waiting) > 1:
                for one in waiting:
                    await self._write_together([one])
                return
            for _, done in waiting:
                if not done.done():
                    done.set_exception(error)
            return
        for some, done in waiting:
            results = [next(outcomes) for _ in some]
            if not done.done():
                done.set_result(results)

    async def _write(self, writes: Sequence[Write]) -> list[bool]:
        # Also where there is nothing to write: what was read may be another server's, which still waits for the disk.
        now = time.time()
        results = await self._change(lambda: [self._execute(write, now) for write in writes]) if writes else []
        await self._wait_for_disk()
        self._uncopied += sum(len(write.data or b"") + _OVERHEAD for write in writes)
        if self._uncopied >= self.copy_after and (self._copy is None or self._copy.done()):
            self._uncopied = 0
            self._copy = asyncio.create_task(self._copy_log())
        return results

    async def _change(self, work: Callable[[], _T]) -> _T:
        """Do something in a transaction. It counts after :meth:`_wait_for_disk`."""
        with self._as_store_error():
            async with self._writing:
                await self._when_free(partial(self._writer.execute, "BEGIN IMMEDIATE"))
                try:
                    result = work()
                    self._writer.execute("COMMIT")
                except BaseException:
                    if self._writer.in_transaction:
                        self._writer.execute("ROLLBACK")
                    raise
        return result

    async def _wait_for_disk(self) -> None:
        """Wait until all that was written so far is on the disk."""
        with self._as_store_error():
            if self._failure is not None:
                raise self._failure.with_traceback(None)
            try:
                await self._disk.wait()
            except OSError as error:
                # The system forgets what it could not write, and the next attempt would seem to succeed.
                self._failure = error
                raise

    async def _copy_log(self) -> None:
        # What cannot be copied now, the log keeps: nothing is lost, the next attempt or the next start copies it.
        with contextlib.suppress(sqlite3.Error):
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._copying, self._copy_some)
            async with self._writing:
                await loop.run_in_executor(self._copying, self._copy_some)

    def _copy_some(self) -> None:
        self._copier.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def _execute(self, write: Write, now: float) -> bool:
        name, before, after, data, expires = write
        if data is None:
            cursor = self._writer.execute(_DELETE, (name, before))
        elif before == 0:
            cursor = self._writer.execute(_CREATE, (after, expires, data, name, now))
        else:
            cursor = self._writer.execute(_CHANGE, (after, expires, data, name, before, now))
        return cursor.rowcount == 1

    async def load_value(self, name: str) -> bytes | None:
        """Return a value."""
        with self._as_store_error():
            row = await self._when_free(lambda: self._reader.execute(_LOAD_VALUE, (name,)).fetchone())
        return None if row is None else bytes(row[0])

    async def save_value(self, name: str, data: bytes) -> None:
        """Keep a value."""
        await self._change(lambda: self._writer.execute(_SAVE_VALUE, (name, data)))
        await self._wait_for_disk()

    async def count(self) -> int:
        """Count."""
        with self._as_store_error():
            counting = partial(self._reader.execute, "SELECT count(*) FROM sessions")
            return int((await self._when_free(lambda: counting().fetchone()))[0])

    async def expire(self) -> int:
        """Remove what has expired, some at a time, so that nobody waits long."""
        now, removed = (time.time(),), 0
        while some := await self._change(lambda: self._writer.execute(_EXPIRE, now).rowcount):
            removed += some
        return removed

    async def close(self) -> None:
        """Write what waits, close the file."""
        if self._flush is not None:
            await self._flush
        if self._copy is not None:
            await self._copy
        self._disk.close()
        os.close(self._log)
        for connection in (self._reader, self._copier, self._writer):
            connection.close()
        self._copying.shutdown()

    async def _when_free(self, work: Callable[[], _T]) -> _T:
        """Do something as soon as no other process has the file locked."""
        until = time.monotonic() + _PATIENCE_S
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        while True:
            try:
                return work()
            except sqlite3.OperationalError as error:
                # Python 3.10 does not tell the code of an error.
                if "locked" not in str(error) or time.monotonic() >= until:
                    raise
            await asyncio.sleep(_AGAIN_S)

    @contextlib.contextmanager
    def _as_store_error(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"the store of sessions {self.path} could not be written to the disk: {error}. Once that is mended, start the server again."
            ) from None
        except (sqlite3.DataError, OverflowError, UnicodeError) as error:
            raise RefusedValueError(f"the store of sessions {self.path} refuses a value: {error}.") from None
        except sqlite3.Error as error:
            raise StoreError(f"the store of sessions {self.path} cannot be used: {error}.") from None
