"""Conversations and what can be done with them, one change at a time for each."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Iterable, Iterator

from dialog_policy.corpus import Dialogue
from dialog_policy.errors import DialogPolicyError
from dialog_policy.runtime import PREDICTED
from dialog_policy.serving.errors import ConflictError, TooManyError
from dialog_policy.serving.logs import log
from dialog_policy.serving.metrics import Metrics
from dialog_policy.serving.records import SessionRecord
from dialog_policy.serving.runs import Runs
from dialog_policy.serving.schemas import SessionView, TurnRequest
from dialog_policy.serving.sessions import OpenSession, SessionStore, busy
from dialog_policy.serving.settings import Settings
from dialog_policy.serving.stores import Store, Write
from dialog_policy.serving.turns import PendingTurn, TurnQueue, TurnResult

__all__ = ["Conversations"]

_SWEEP_S = 60.0
# To count the sessions of a full store takes longer than a turn: seconds for which a count is good.
_COUNTED_S = 1.0


class Conversations:
    """All conversations of a server. Use as an asynchronous context manager.

    Parameters
    ----------
    runs
        The policies.
    store
        Where sessions are kept; closed at the end.
    settings
        Limits.
    metrics
        Counts turns.
    """

    def __init__(self, runs: Runs, store: Store, settings: Settings, metrics: Metrics) -> None:
        self.runs, self.store, self.settings, self.metrics = runs, store, settings, metrics
        self._sessions = SessionStore(store, runs, settings.expire_s)
        self._turns = TurnQueue(self._sessions, settings.max_turns, metrics)
        # Sessions that a request is changing, with the turn if it is one.
        self._busy: dict[str, PendingTurn | None] = {}
        self._count, self._count_until, self._counting = 0, -math.inf, asyncio.Lock()

    async def __aenter__(self) -> Conversations:
        await self._turns.__aenter__()
        self._sweeping = asyncio.create_task(self._sweep_for_ever())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._sweeping.cancel()
        await asyncio.gather(self._sweeping, return_exceptions=True)
        await self._turns.__aexit__()
        await self.store.close()

    async def create(self, id: str, run: str | None) -> SessionView:
        """Begin a session.

        Raises
        ------
        NotFoundError
            If there is no such run.
        ConflictError
            If there is a session of this id.
        TooManyError
            If there are too many sessions.
        """
        served = self.runs.named(run)
        if await self.count() >= self.settings.max_sessions:
            raise TooManyError(
                f"there are {self.settings.max_sessions} sessions (--max-sessions). Delete some, or wait until some expire.",
                retry_after_s=60,
            )
        policy = served.policy
        session = policy.start()
        record = SessionRecord.new(served.name, session)
        with self._alone(id):
            if not await self._sessions.save(id, 0, record):
                raise ConflictError(f"there is a session {id!r} already.")
        self._count += 1
        return OpenSession(id, 0, record, served, policy, session).view()

    async def count(self) -> int:
        """Return how many sessions there are: as the store had it within the last second, and what was begun and deleted here since."""
        async with self._counting:
            loop = asyncio.get_running_loop()
            if loop.time() >= self._count_until:
                count = await self.store.count()
                if count >= self.settings.max_sessions:
                    await self.store.expire()
                    count = await self.store.count()
                self._count, self._count_until = count, loop.time() + _COUNTED_S
            return self._count

    async def ready(self) -> None:
        """Ask the store, by something that it finds at once; :class:`StoreError` if it does not answer."""
        await self.store.load_value("ready")

    async def read(self, id: str) -> SessionView:
        """Return a session; :class:`NotFoundError` if there is none."""
        opened = await self._sessions.open(id)
        return await asyncio.to_thread(opened.view)

    async def dialogue(self, id: str) -> Dialogue:
        """Return a session as a dialogue of a corpus; :class:`NotFoundError` if there is none."""
        opened = await self._sessions.open(id)
        return await asyncio.to_thread(opened.session.to_dialogue, id)

    async def delete(self, id: str) -> None:
        """Remove a session; :class:`NotFoundError` if there is none."""
        with self._alone(id):
            stored = await self._sessions.load(id)
            if not (await self.store.save([Write(id, stored.version, 0, None, 0.0)]))[0]:
                raise busy()
        self._count -= 1

    async def respond(self, id: str, request: TurnRequest, key: str | None) -> TurnResult:
        """Go on by a turn.

        Raises
        ------
        NotFoundError
            If there is no such session.
        ConflictError
            If another request is changing it, or the turn that had this key was taken back.
        UnprocessableError
            If the key came with another request.
        FullError
            If the session has too many turns.
        OverloadedError
            If too many turns are waiting.
        OptionError
            If an allowed action is unknown.
        """
        digest = request.digest()
        current = self._busy.get(id)
        if current is not None and key is not None and (current.key, current.digest) == (key, digest):
            return (await asyncio.shield(current.result))._replace(repeated=True)
        pending = PendingTurn(id, request, key, digest, asyncio.get_running_loop().create_future())
        with self._alone(id, pending):
            return await self._turns.put(pending)

    async def correct(self, id: str, turn: int, actions: Iterable[str] | None, system: str | None) -> SessionView:
        """Say what the bot really did in a turn; what follows an earlier turn is computed again, its own turns stand.

        Raises
        ------
        NotFoundError, ConflictError
            If there is no such session or turn, or another request is changing it.
        OptionError
            If an action is unknown.
        """
        with self._alone(id):
            opened = await self._corrected(id, turn, actions, system)
            opened.record.correct(turn)
            view = await self._keep(opened)
        self.metrics.corrections.labels(opened.run.name).inc()
        return view

    async def preview(self, id: str, turn: int, actions: Iterable[str] | None, system: str | None) -> str | None:
        """Return the reply that a correction of a turn would give, and change nothing; errors as for :meth:`correct`."""
        return (await self._corrected(id, turn, actions, system)).session.turns[turn].system or None

    async def undo(self, id: str, turn: int) -> SessionView:
        """Take back a turn and all later ones; errors as for :meth:`correct`."""
        with self._alone(id):
            opened = await self._sessions.open(id)
            opened.check_turn(turn)
            await asyncio.to_thread(opened.session.undo, len(opened.session) - turn)
            opened.record.cut(turn)
            return await self._keep(opened)

    async def _corrected(self, id: str, turn: int, actions: Iterable[str] | None, system: str | None) -> OpenSession:
        opened = await self._sessions.open(id)
        opened.check_turn(turn)
        text = PREDICTED if system is None else system
        # In a thread: with many turns to replay this takes a while.
        await asyncio.to_thread(opened.session.observe, actions, text, turn=turn)
        return opened

    @contextlib.contextmanager
    def _alone(self, id: str, pending: PendingTurn | None = None) -> Iterator[None]:
        """Refuse other changes of this session meanwhile; other servers are kept out by the store's versions."""
        if id in self._busy:
            raise busy()
        self._busy[id] = pending
        try:
            yield
        finally:
            del self._busy[id]

    async def _keep(self, opened: OpenSession) -> SessionView:
        opened.record.session = await asyncio.to_thread(opened.session.to_bytes)
        if not await self._sessions.save(opened.id, opened.version, opened.record):
            raise busy()
        return await asyncio.to_thread(opened.view)

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            # A store that cannot be reached is told to those who ask for sessions; the next sweep may reach it again.
            try:
                await self.store.expire()
            except DialogPolicyError:
                continue
            except Exception:  # whatever it is: what users said must go in time
                log("removing expired sessions failed", failed=True)
