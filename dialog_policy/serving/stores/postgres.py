"""Sessions in PostgreSQL: for several servers that share them and a database that is there anyway."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from dialog_policy.errors import OptionError, require
from dialog_policy.serving.stores.store import RefusedValueError, Stored, StoreError, Write

__all__ = ["PostgresStore"]

_TABLE = "dialog_policy_sessions"
# The server's clock decides what has expired: several servers agree on it.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS {table}
    (id text PRIMARY KEY, version bigint NOT NULL, expires double precision NOT NULL, data bytea NOT NULL);
CREATE INDEX IF NOT EXISTS {table}_by_expiry ON {table} (expires);
CREATE TABLE IF NOT EXISTS {table}_values (name text PRIMARY KEY, data bytea NOT NULL);
"""
_ARE_THERE = "SELECT to_regclass($1) IS NOT NULL AND to_regclass($2) IS NOT NULL"
_NOW = "extract(epoch FROM clock_timestamp())"
_LOAD = f"SELECT id, version, data FROM {{table}} WHERE id = ANY($1::text[]) AND expires > {_NOW}"
_WRITES = (
    "unnest($1::text[], $2::bigint[], $3::bigint[], $4::bytea[], $5::float8[]) AS w (id, before, after, data, expires)"
)
# Rows are locked in the order of their ids, so that two servers that write the same sessions wait for each other but never both.
_CREATE = f"""
INSERT INTO {{table}} AS t (id, version, expires, data) SELECT id, after, expires, data FROM {_WRITES} ORDER BY id
ON CONFLICT (id) DO UPDATE SET version = excluded.version, expires = excluded.expires, data = excluded.data
WHERE t.expires <= {_NOW} RETURNING t.id
"""
_LOCKED = f"""
WITH locked AS (
    SELECT t.id, w.after, w.data, w.expires FROM {{table}} t JOIN {_WRITES} ON t.id = w.id AND t.version = w.before
    ORDER BY t.id FOR UPDATE OF t
)
"""
_CHANGE = f"""{_LOCKED}
UPDATE {{table}} t SET version = l.after, expires = l.expires, data = l.data FROM locked l
WHERE t.id = l.id AND t.expires > {_NOW} RETURNING t.id
"""
_DELETE = f"{_LOCKED} DELETE FROM {{table}} t USING locked l WHERE t.id = l.id RETURNING t.id"
_EXPIRE = f"WITH gone AS (DELETE FROM {{table}} WHERE expires <= {_NOW} RETURNING 1) SELECT count(*) FROM gone"
_LOAD_VALUE = "SELECT data FROM {table}_values WHERE name = $1"
_SAVE_VALUE = """
INSERT INTO {table}_values (name, data) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET data = excluded.data
"""
_TIMEOUT_S = 5.0
_CONNECTIONS = 4


class PostgresStore:
    """Keeps each session as a row of one table, which is made at the first use, as is a small one for values.

    Where this user may make no tables, somebody else must have made them. Every change is committed before it counts; how much a crash of the database's machine may cost is for its own settings to
    say (``synchronous_commit``).

    Parameters
    ----------
    url
        As asyncpg takes it: ``postgresql://user:password@host:port/database``.
    table
        Name of the table.

    Raises
    ------
    MissingExtraError
        If asyncpg is not installed.
    """

    def __init__(self, url: str, table: str = _TABLE) -> None:
        if not table.isidentifier():
            raise OptionError(f"expected a table's name of letters, digits and _; found {table!r}.")
        self._asyncpg: Any = require("asyncpg", extra="postgres", purpose="keeping sessions in PostgreSQL")
        self._errors = (
            self._asyncpg.PostgresError,
            self._asyncpg.InterfaceError,
            self._asyncpg.InternalClientError,  # a connection that is cut in the middle of a query
            OSError,
            asyncio.TimeoutError,
        )
        # Values that asyncpg cannot encode are a ValueError of its own.
        self._refusals = (ValueError, self._asyncpg.DataError, self._asyncpg.ProgramLimitExceededError)
        self._url, self._table = url, table
        self._pool: Any = None
        self._opening = asyncio.Lock()

    async def load(self, ids: Sequence[str]) -> list[Stored | None]:
        """Return sessions."""
        rows = await self._fetch(_LOAD, list(ids))
        there = {row["id"]: Stored(row["version"], row["data"]) for row in rows}
        return [there.get(name) for name in ids]

    async def save(self, writes: Sequence[Write]) -> list[bool]:
        """Make changes, each kind of them in one exchange with the database."""
        made: set[str] = set()
        deletes = [write for write in writes if write.data is None]
        creates = [write for write in writes if write.data is not None and write.before == 0]
        changes = [write for write in writes if write.data is not None and write.before != 0]
        for statement, some in ((_CREATE, creates), (_CHANGE, changes), (_DELETE, deletes)):
            if some:
                rows = await self._fetch(statement, *map(list, zip(*some, strict=True)))
                made.update(row["id"] for row in rows)
        return [write.id in made for write in writes]

    async def load_value(self, name: str) -> bytes | None:
        """Return a value."""
        rows = await self._fetch(_LOAD_VALUE, name)
        return rows[0]["data"] if rows else None

    async def save_value(self, name: str, data: bytes) -> None:
        """Keep a value."""
        await self._fetch(_SAVE_VALUE, name, data)

    async def count(self) -> int:
        """Count."""
        ((n,),) = await self._fetch("SELECT count(*) FROM {table}")
        return int(n)

    async def expire(self) -> int:
        """Remove what has expired."""
        ((n,),) = await self._fetch(_EXPIRE)
        return int(n)

    async def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.close()

    async def _fetch(self, statement: str, *values: Any) -> list[Any]:
        try:
            pool = self._pool or await self._open()
            return list(await pool.fetch(statement.format(table=self._table), *values))
        except self._refusals as error:
            raise RefusedValueError(f"PostgreSQL, where sessions are kept, refuses a value: {error}.") from None
        except self._errors as error:
            # asyncpg's messages name hosts and tables, never the password.
            reason = str(error).rstrip(".") or type(error).__name__
            problem = "cannot be used" if isinstance(error, self._asyncpg.PostgresError) else "does not answer"
            raise StoreError(f"PostgreSQL, where sessions are kept, {problem}: {reason}.") from None

    async def _open(self) -> Any:
        """Connect and make the table, once, whoever asks first."""
        async with self._opening:
            if self._pool is None:
                try:
                    pool = await self._asyncpg.create_pool(
                        self._url, min_size=1, max_size=_CONNECTIONS, timeout=_TIMEOUT_S, command_timeout=_TIMEOUT_S
                    )
                except ValueError as error:
                    raise StoreError(
                        f"--store: expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE; {error}."
                    ) from None
                try:
                    await self._make_table(pool)
                except BaseException:
                    pool.terminate()
                    raise
                self._pool = pool
        return self._pool

    async def _make_table(self, pool: Any) -> None:
        try:
            await pool.execute(_SCHEMA.format(table=self._table))
        except (self._asyncpg.UniqueViolationError, self._asyncpg.DuplicateTableError):
            # Another server made it in the same moment.
            await pool.execute(_SCHEMA.format(table=self._table))
        except self._asyncpg.InsufficientPrivilegeError as error:
            # Whoever may use tables that somebody else made need not be allowed to make some.
            if await pool.fetchval(_ARE_THERE, self._table, f"{self._table}_values"):
                return
            raise StoreError(
                f"PostgreSQL, where sessions are kept, lets this user make no tables: {error}. "
                "Make the user the database's owner (ALTER DATABASE … OWNER TO …)."
            ) from None
