"""What a store of sessions must do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from dialog_policy.errors import DialogPolicyError

__all__ = ["RefusedValueError", "Store", "StoreError", "Stored", "Write"]


class StoreError(DialogPolicyError):
    """The place where sessions are kept cannot be reached or is full."""


class RefusedValueError(DialogPolicyError):
    """The store answers, and cannot hold or look up a value that it was given."""


class Stored(NamedTuple):
    """A session as it lies in the store; `version` is another number after every write."""

    version: int
    data: bytes


class Write(NamedTuple):
    """One change of one session, made only if nobody else changed it meanwhile.

    Attributes
    ----------
    id
        The session's.
    before
        The version that this change was made from; 0: the session must not be there yet.
    after
        The new version, never used for this session before.
    data
        Its new content; None: it is deleted.
    expires
        Unix time after which it is gone.
    """

    id: str
    before: int
    after: int
    data: bytes | None
    expires: float


class Store(Protocol):
    """Keeps sessions, and beside them a few small values by name. Several servers may use one store: of two changes made from the same version, one is refused.

    Every method raises :class:`StoreError` where the store cannot be reached, and :class:`RefusedValueError` where it can and one
    of the values is at fault; nothing is changed then, and whoever asked for several sessions asks for each of them alone.
    """

    async def load(self, ids: Sequence[str]) -> list[Stored | None]:
        """Return sessions, None for each that is not there or has expired."""

    async def save(self, writes: Sequence[Write]) -> list[bool]:
        """Make changes, of sessions that differ; say of each whether it was made.

        Then what was made outlives this process, and so does what was loaded before; also where there is nothing to change.
        """

    async def load_value(self, name: str) -> bytes | None:
        """Return what :meth:`save_value` kept last under a name, None if nothing."""

    async def save_value(self, name: str, data: bytes) -> None:
        """Keep something that belongs to all servers of this store: it never expires and is not counted."""

    async def count(self) -> int:
        """Return how many sessions there are."""

    async def expire(self) -> int:
        """Remove what has expired; say how many that were."""

    async def close(self) -> None:
        """Let go of the store."""
