"""Sessions opened from the store, to go on under a policy, and put back."""

from __future__ import annotations

import time
from typing import NamedTuple

from dialog_policy.errors import SessionError
from dialog_policy.runtime import Policy, Session, SessionTurn
from dialog_policy.serving.errors import ConflictError, NotFoundError
from dialog_policy.serving.records import SessionRecord, StoredAnswer
from dialog_policy.serving.runs import Run, Runs
from dialog_policy.serving.schemas import ID_RULE, SESSION_ID, SessionView, TurnView
from dialog_policy.serving.stores import Store, Stored, Write

__all__ = ["OpenSession", "SessionStore", "busy", "check_id"]

# Versions are nanoseconds since 1970; a store that holds more than 64 bits can count is damaged.
_LARGEST_VERSION = 2**62


def busy() -> ConflictError:
    """Return the error of a request that met another one in the same session."""
    return ConflictError(
        "another request is changing this session. Wait for its answer, then ask again; a repeated turn with the same "
        "Idempotency-Key gets the answer of the first.",
        headers={"Retry-After": "1"},
    )


def check_id(id: str) -> None:
    """Refuse what cannot be the id of a session before a store is asked for it: not every store takes every text.

    Raises
    ------
    NotFoundError
        If no session can have this id.
    """
    if not SESSION_ID.fullmatch(id):
        raise NotFoundError(f"there is no session {id[:200]!r}: an id has {ID_RULE}.")


class OpenSession(NamedTuple):
    """A stored session, ready to go on under a policy."""

    id: str
    version: int
    record: SessionRecord
    run: Run
    policy: Policy
    session: Session

    def view(self) -> SessionView:
        """Return the session as clients see it."""
        views = [_turn_view(n, turn, self.record.answer(n)) for n, turn in enumerate(self.session.turns)]
        return SessionView(self.id, self.record.run, self.policy.id, views)

    def turn_view(self, number: int) -> TurnView:
        """Return a turn as clients see it."""
        session = self.session
        turn = session.last if number == len(session) - 1 else session.turns[number]
        return _turn_view(number, turn, self.record.answer(number))

    def check_turn(self, turn: int) -> None:
        """Raise :class:`NotFoundError` if there is no such turn."""
        count = len(self.session)
        if not 0 <= turn < count:
            has = f"turns 0 to {count - 1}" if count > 1 else "turn 0 only" if count else "no turns yet"
            raise NotFoundError(f"there is no turn {turn}; the session has {has}.")


class SessionStore:
    """Opens sessions and puts them back.

    Parameters
    ----------
    store
        The store of bytes where they are kept.
    runs
        The policies that they go on under.
    expire_s
        Seconds after its last change when a session expires.
    """

    def __init__(self, store: Store, runs: Runs, expire_s: float) -> None:
        self.store, self.runs, self.expire_s = store, runs, expire_s

    async def load(self, id: str) -> Stored:
        """Return a session's bytes.

        Raises
        ------
        NotFoundError
            If there is no such session.
        """
        check_id(id)
        return _existing(id, (await self.store.load([id]))[0])

    async def open(self, id: str) -> OpenSession:
        """Return a session ready to go on; errors as for :meth:`load` and :meth:`resume`."""
        return self.resume(id, await self.load(id))

    def resume(self, id: str, stored: Stored | None) -> OpenSession:
        """Make a stored session ready to go on; one that went on under another policy is replayed under this one.

        Raises
        ------
        NotFoundError
            If there is none.
        ConflictError
            If its run is not served.
        SessionError
            If the store holds something else.
        """
        stored = _existing(id, stored)
        if not (isinstance(stored.version, int) and 0 < stored.version < _LARGEST_VERSION):
            raise SessionError(f"the stored session {id!r} is damaged: its version is {stored.version!r}.")
        record = SessionRecord.from_bytes(stored.data)
        if record.run not in self.runs:
            raise ConflictError(
                f"this session belongs to the run {record.run!r}, and served are {', '.join(self.runs)}. It goes on once a run "
                f"is served by that name: dialog-policy serve {record.run}=RUN."
            )
        run = self.runs[record.run]
        policy = run.policy
        session = policy.resume(record.session)
        if len(session) != len(record):
            raise SessionError(
                f"the stored session {id!r} is damaged: it has {len(session)} turns and {len(record)} answers."
            )
        return OpenSession(id, stored.version, record, run, policy, session)

    def is_of_another_policy(self, stored: Stored) -> bool:
        """Whether a session was saved under a policy that is not served any more: all its turns are computed again then."""
        return not any(bytes.fromhex(run.policy.id) in stored.data for run in self.runs.values())

    def write(self, id: str, before: int, record: SessionRecord) -> Write:
        """Return the change of a session from version `before` to `record`."""
        # Nanoseconds since 1970 never repeat in a session, also not after it was deleted and begun again.
        after = max(before + 1, time.time_ns())
        return Write(id, before, after, record.to_bytes(), time.time() + self.expire_s)

    async def save(self, id: str, before: int, record: SessionRecord) -> bool:
        """Change a session; return False if another request did so meanwhile."""
        return (await self.store.save([self.write(id, before, record)]))[0]


def _turn_view(number: int, turn: SessionTurn, answer: StoredAnswer) -> TurnView:
    return TurnView(
        turn=number,
        user=turn.user,
        context=turn.context,
        actions=None if turn.actions is None else sorted(turn.actions),
        predicted=sorted(turn.predicted),
        confidence=answer.confidence,
        fallback=answer.fallback,
        probabilities=answer.probabilities,
        reply=turn.system or None,
        corrected=answer.corrected,
    )


def _existing(id: str, stored: Stored | None) -> Stored:
    if stored is None:
        raise NotFoundError(f"there is no session {id!r}: it was never begun, was deleted, or has expired.")
    return stored
