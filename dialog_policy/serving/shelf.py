"""Sessions taken from a store, ready to go on, and put back."""

from __future__ import annotations

import time
from typing import NamedTuple

from dialog_policy.runtime import Policy, Session
from dialog_policy.serving.errors import ConflictError, NotFoundError
from dialog_policy.serving.records import Record
from dialog_policy.serving.runs import Run, Runs
from dialog_policy.serving.stores import Store, Stored, Write

__all__ = ["BUSY", "Opened", "Shelf"]

BUSY = (
    "something else is being done with this session. Wait for its answer, then ask again; a repeated turn with the same "
    "Idempotency-Key gets the answer of the first."
)


class Opened(NamedTuple):
    """A stored session, ready to go on under a policy."""

    version: int
    record: Record
    run: Run
    policy: Policy
    session: Session


class Shelf:
    """Takes sessions from a store and puts them back.

    Parameters
    ----------
    store
        Where they are kept.
    runs
        The policies they go on under.
    expire_s
        Seconds after its last change when a session is gone.
    """

    def __init__(self, store: Store, runs: Runs, expire_s: float) -> None:
        self.store, self.runs, self.expire_s = store, runs, expire_s

    async def load(self, id: str) -> Stored:
        """Return a session as it is stored.

        Raises
        ------
        NotFoundError
            If there is none.
        """
        return self.there(id, (await self.store.load([id]))[0])

    def there(self, id: str, stored: Stored | None) -> Stored:
        """Return it, if there is one; errors as for :meth:`load`."""
        if stored is None:
            raise NotFoundError(f"there is no session {id!r}: it was never begun, was deleted, or has expired.")
        return stored

    async def open(self, id: str) -> Opened:
        """Return a session ready to go on; errors as for :meth:`load` and :meth:`resume`."""
        return self.resume(await self.load(id))

    def resume(self, stored: Stored) -> Opened:
        """Make a stored session ready to go on; one that went on under another policy is gone through again.

        Raises
        ------
        ConflictError
            If its run is not served.
        SessionError
            If the store holds something else.
        """
        record = Record.from_bytes(stored.data)
        if record.run not in self.runs:
            raise ConflictError(f"this session belongs to the run {record.run!r}, which is not served now.")
        run = self.runs[record.run]
        policy = run.policy
        return Opened(stored.version, record, run, policy, policy.resume(record.session))

    def write(self, id: str, before: int, record: Record) -> Write:
        """Return the change of a session from version `before` to `record`."""
        # Nanoseconds since 1970 never repeat in a session, also not after it was deleted and begun again.
        after = max(before + 1, time.time_ns())
        return Write(id, before, after, record.to_bytes(), time.time() + self.expire_s)

    async def save(self, id: str, before: int, record: Record) -> bool:
        """Change a session; return False if somebody else did so meanwhile."""
        return (await self.store.save([self.write(id, before, record)]))[0]
