"""Sessions in Redis: for several servers that share them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

from dialog_policy.errors import OptionError, require
from dialog_policy.serving.stores.store import RefusedValueError, Stored, StoreError, Write

__all__ = ["RedisStore"]

_T = TypeVar("_T")

# Compares and sets in one step. KEYS: the session, the index. ARGV: before, after, data ("" deletes), expiry in ms, id.
_SAVE = """
if (redis.call('HGET', KEYS[1], 'version') or '0') ~= ARGV[1] then return 0 end
if ARGV[3] == '' then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[2], ARGV[5])
else
  redis.call('HSET', KEYS[1], 'version', ARGV[2], 'data', ARGV[3])
  redis.call('PEXPIREAT', KEYS[1], ARGV[4])
  redis.call('ZADD', KEYS[2], ARGV[4], ARGV[5])
end
return 1
"""
# In braces: a Redis cluster keeps all keys with it in one slot, where a script may touch them together.
_PREFIX = "{dialog-policy}"
_TIMEOUT_S = 5.0


class RedisStore:
    """Keeps each session as a hash that Redis expires, and beside them an index by expiry, to count them.

    How much outlives Redis itself is for its own settings to say (``appendonly``, ``appendfsync``).

    Parameters
    ----------
    url
        As redis-py takes it: ``redis://user:password@host:port/db``, ``rediss://…``, ``unix://…``.
    prefix
        Before the names of all keys.
    """

    def __init__(self, url: str, prefix: str = _PREFIX) -> None:
        redis = require("redis.asyncio", extra="serve", purpose="keeping sessions in Redis")
        self._errors: tuple[type[Exception], ...] = (redis.RedisError, OSError, asyncio.TimeoutError)
        try:
            self._redis: Any = redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)
        except ValueError as error:
            raise OptionError(f"--store: expected a URL such as redis://localhost:6379/0; {error}.") from None
        self._prefix, self._index = f"{prefix}:session:", f"{prefix}:sessions"
        self._values = f"{prefix}:values"

    async def load(self, ids: Sequence[str]) -> list[Stored | None]:
        """Return sessions."""
        pipeline = self._redis.pipeline(transaction=False)
        for name in ids:
            pipeline.hmget(self._prefix + name, "version", "data")
        return [self._stored(row) for row in await self._answer(pipeline.execute(raise_on_error=False))]

    def _stored(self, row: Any) -> Stored | None:
        """Return what Redis has of a session. What cannot be one is a session without content, and fails alone."""
        if isinstance(row, Exception):
            if str(row).startswith("WRONGTYPE"):
                return Stored(0, b"")
            raise _unreachable(row)
        version, data = row
        return None if version is None else Stored(int(version), data or b"") if version.isdigit() else Stored(0, b"")

    async def save(self, writes: Sequence[Write]) -> list[bool]:
        """Make changes, in one exchange with Redis."""
        pipeline = self._redis.pipeline(transaction=False)
        for name, before, after, data, expires in writes:
            keys = self._prefix + name, self._index
            pipeline.eval(_SAVE, len(keys), *keys, before, after, data or b"", int(expires * 1000), name)
        return [bool(made) for made in await self._answer(pipeline.execute())]

    async def load_value(self, name: str) -> bytes | None:
        """Return a value."""
        value: bytes | None = await self._answer(self._redis.hget(self._values, name))
        return value

    async def save_value(self, name: str, data: bytes) -> None:
        """Keep a value."""
        await self._answer(self._redis.hset(self._values, name, data))

    async def count(self) -> int:
        """Count."""
        return int(await self._answer(self._redis.zcard(self._index)))

    async def expire(self) -> int:
        """Remove what has expired from the index; the sessions themselves Redis removes."""
        return int(await self._answer(self._redis.zremrangebyscore(self._index, 0, int(time.time() * 1000))))

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _answer(self, reply: Awaitable[_T]) -> _T:
        try:
            return await reply
        except UnicodeError as error:
            raise RefusedValueError(f"Redis, where sessions are kept, refuses a value: {error}.") from None
        except self._errors as error:
            raise _unreachable(error) from None


def _unreachable(error: Exception) -> StoreError:
    return StoreError(f"Redis, where sessions are kept, does not answer: {str(error).rstrip('.')}.")
