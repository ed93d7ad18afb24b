"""Where sessions are kept: one small interface; memory, one SQLite file, Redis."""

from __future__ import annotations

from pathlib import Path

from dialog_policy.errors import OptionError
from dialog_policy.serving.stores.memory import MemoryStore
from dialog_policy.serving.stores.sqlite import SqliteStore
from dialog_policy.serving.stores.store import Store, Stored, StoreError, Write

__all__ = ["MemoryStore", "SqliteStore", "Store", "StoreError", "Stored", "Write", "open_store"]


def open_store(where: str) -> Store:
    """Open a store.

    Parameters
    ----------
    where
        ``memory``; ``redis://…``, ``rediss://…`` or ``unix://…`` as redis-py takes them; else the path of an SQLite file.

    Raises
    ------
    OptionError
        If it is another kind of URL.
    MissingExtraError
        If Redis is wanted and redis-py is not installed.
    StoreError
        If the SQLite file cannot be opened.
    """
    if where == "memory":
        return MemoryStore()
    scheme, colon, _ = where.partition("://")
    if not colon:
        return SqliteStore(Path(where))
    if scheme not in ("redis", "rediss", "unix"):
        raise OptionError(
            f"expected a store as memory, redis://HOST:PORT/DB or the path of an SQLite file; found {where!r}."
        )
    from dialog_policy.serving.stores.redis import RedisStore

    return RedisStore(where)
