"""Sessions in this process' memory: for tests and trials; gone when it ends."""

from __future__ import annotations

import time
from collections.abc import Sequence

from dialog_policy.serving.stores.store import Stored, Write

__all__ = ["MemoryStore"]


class MemoryStore:
    """Keeps sessions in a dict."""

    def __init__(self) -> None:
        self._sessions: dict[str, tuple[float, Stored]] = {}
        self._values: dict[str, bytes] = {}

    def _find(self, id: str) -> Stored | None:
        expires, stored = self._sessions.get(id, (0.0, None))
        return stored if expires > time.time() else None

    async def load(self, ids: Sequence[str]) -> list[Stored | None]:
        """Return sessions."""
        return [self._find(name) for name in ids]

    async def save(self, writes: Sequence[Write]) -> list[bool]:
        """Make changes."""
        return [self._save(write) for write in writes]

    def _save(self, write: Write) -> bool:
        stored = self._find(write.id)
        if (stored.version if stored else 0) != write.before:
            return False
        if write.data is None:
            self._sessions.pop(write.id, None)
        else:
            self._sessions[write.id] = write.expires, Stored(write.after, write.data)
        return True

    async def load_value(self, name: str) -> bytes | None:
        """Return a value."""
        return self._values.get(name)

    async def save_value(self, name: str, data: bytes) -> None:
        """Keep a value."""
        self._values[name] = data

    async def count(self) -> int:
        """Count."""
        return len(self._sessions)

    async def expire(self) -> int:
        """Remove what has expired."""
        now = time.time()
        expired = [name for name, (expires, _) in self._sessions.items() if expires <= now]
        for name in expired:
            del self._sessions[name]
        return len(expired)

    async def close(self) -> None:
        """Forget everything."""
        self._sessions.clear()
        self._values.clear()
