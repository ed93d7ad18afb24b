"""Where sessions are kept: one small interface; memory, one SQLite file, Redis, PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from dialog_policy.errors import OptionError
from dialog_policy.serving.stores.memory import MemoryStore
from dialog_policy.serving.stores.sqlite import SqliteStore
from dialog_policy.serving.stores.store import RefusedValueError, Store, Stored, StoreError, Write

__all__ = ["MemoryStore", "RefusedValueError", "SqliteStore", "Store", "StoreError", "Stored", "Write", "open_store"]


def open_store(where: str) -> Store:
    """Open a store.

    Parameters
    ----------
    where
        ``memory``; ``redis://…``, ``rediss://…`` or ``unix://…`` as redis-py takes them; ``postgresql://…``; else the path of an SQLite file.

    Raises
    ------
    OptionError
        If it is another kind of URL.
    MissingExtraError
        If Redis or PostgreSQL is wanted and its driver is not installed.
    StoreError
        If the SQLite file cannot be opened.
    """
    if where == "memory":
        return MemoryStore()
    scheme, colon, _ = where.partition("://")
    if not colon:
        return SqliteStore(Path(where))
    if scheme in ("redis", "rediss", "unix"):
        from dialog_policy.serving.stores.redis import RedisStore

        return RedisStore(where)
    if scheme in ("postgresql", "postgres"):
        from dialog_policy.serving.stores.postgres import PostgresStore

        return PostgresStore(where)
    # What stands after the scheme may be a password.
    raise OptionError(
        "expected a store as memory, redis://HOST:PORT/DB, postgresql://USER@HOST:PORT/DATABASE or the path of an SQLite "
        f"file; found a URL that begins with {scheme + '://'!r}."
    )
