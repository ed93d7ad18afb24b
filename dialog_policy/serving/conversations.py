"""Sessions and what can be done with them, one thing at a time for each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from dialog_policy.corpus import Dialogue
from dialog_policy.errors import DialogPolicyError
from dialog_policy.runtime import PREDICTED
from dialog_policy.serving.errors import ConflictError, NotFoundError, TooManyError
from dialog_policy.serving.metrics import Metrics
from dialog_policy.serving.records import Record, TurnRequest
from dialog_policy.serving.runs import Runs
from dialog_policy.serving.settings import Settings
from dialog_policy.serving.shelf import BUSY, Opened, Shelf
from dialog_policy.serving.stores import Store, Write
from dialog_policy.serving.turns import Asked, Turned, TurnQueue

__all__ = ["Conversations"]

_SWEEP_S = 60.0


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
        self._shelf = Shelf(store, runs, settings.expire_s)
        self._turns = TurnQueue(self._shelf, settings.max_turns, metrics)
        # Sessions that something is being done with, and the turn if it is one.
        self._busy: dict[str, Asked | None] = {}

    async def __aenter__(self) -> Conversations:
        await self._turns.__aenter__()
        self._sweeping = asyncio.create_task(self._sweep_for_ever())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._sweeping.cancel()
        await asyncio.gather(self._sweeping, return_exceptions=True)
        await self._turns.__aexit__()
        await self.store.close()

    async def create(self, id: str, run: str | None) -> dict[str, Any]:
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
        chosen = self.runs.named(run)
        if await self.store.count() >= self.settings.max_sessions:
            await self.store.expire()
            if await self.store.count() >= self.settings.max_sessions:
                raise TooManyError(
                    f"there are {self.settings.max_sessions} sessions (--max-sessions). Delete some, or wait until some expire.",
                    retry_after_s=60,
                )
        policy = chosen.policy
        session = policy.start()
        record = Record.new(chosen.name, session)
        with self._alone(id):
            if not await self._shelf.save(id, 0, record):
                raise ConflictError(f"there is a session {id!r} already.")
        return record.describe(id, policy, session)

    async def read(self, id: str) -> dict[str, Any]:
        """Return a session as clients see it; :class:`NotFoundError` if there is none."""
        found = await self._shelf.open(id)
        return found.record.describe(id, found.policy, found.session)

    async def dialogue(self, id: str) -> Dialogue:
        """Return a session as a dialogue of a corpus; :class:`NotFoundError` if there is none."""
        return (await self._shelf.open(id)).session.to_dialogue(id)

    async def delete(self, id: str) -> None:
        """Remove a session; :class:`NotFoundError` if there is none."""
        with self._alone(id):
            stored = await self._shelf.load(id)
            if not (await self.store.save([Write(id, stored.version, 0, None, 0.0)]))[0]:
                raise ConflictError(BUSY, headers={"Retry-After": "1"})

    async def respond(self, id: str, request: TurnRequest, key: str | None) -> Turned:
        """Go on by a turn.

        Raises
        ------
        NotFoundError
            If there is no such session.
        ConflictError
            If something else is being done with it, or the turn that had this key was taken back.
        UnprocessableError
            If the key came with another request, or the session has too many turns.
        OverloadedError
            If too many turns are waiting.
        OptionError
            If an allowed action is unknown.
        """
        digest = request.digest()
        current = self._busy.get(id)
        if current is not None and key is not None and (current.key, current.digest) == (key, digest):
            return (await asyncio.shield(current.answer))._replace(repeated=True)
        asked = Asked(id, request, key, digest, asyncio.get_running_loop().create_future())
        with self._alone(id, asked):
            return await self._turns.put(asked)

    async def correct(self, id: str, turn: int, actions: Iterable[str] | None, system: str | None) -> dict[str, Any]:
        """Say what the bot really did in a turn; what follows an earlier turn is computed again, its own turns stand.

        Raises
        ------
        NotFoundError, ConflictError
            If there is no such session or turn, or something else is being done with it.
        OptionError
            If an action is unknown.
        """
        with self._alone(id):
            found = await self._shelf.open(id)
            _check_turn(found, turn)
            said = PREDICTED if system is None else system
            # In a thread: with many turns to go through again this takes a while.
            await asyncio.to_thread(found.session.observe, actions, said, turn=turn)
            found.record.answers[turn].corrected = True
            told = await self._keep(id, found)
        self.metrics.corrections.labels(found.run.name).inc()
        return told

    async def undo(self, id: str, turn: int) -> dict[str, Any]:
        """Take back a turn and all later ones; errors as for :meth:`correct`."""
        with self._alone(id):
            found = await self._shelf.open(id)
            _check_turn(found, turn)
            await asyncio.to_thread(found.session.undo, len(found.session) - turn)
            found.record.cut(turn)
            return await self._keep(id, found)

    @contextlib.contextmanager
    def _alone(self, id: str, asked: Asked | None = None) -> Iterator[None]:
        """Refuse whatever else is wanted of this session meanwhile; other servers are kept out by the store's versions."""
        if id in self._busy:
            raise ConflictError(BUSY, headers={"Retry-After": "1"})
        self._busy[id] = asked
        try:
            yield
        finally:
            del self._busy[id]

    async def _keep(self, id: str, found: Opened) -> dict[str, Any]:
        found.record.session = found.session.to_bytes()
        if not await self._shelf.save(id, found.version, found.record):
            raise ConflictError(BUSY, headers={"Retry-After": "1"})
        return found.record.describe(id, found.policy, found.session)

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            # A store that cannot be reached is told to those who ask for sessions; the next sweep may find it again.
            with contextlib.suppress(DialogPolicyError):
                await self.store.expire()


def _check_turn(found: Opened, turn: int) -> None:
    count = len(found.session)
    if not 0 <= turn < count:
        has = f"turns 0 to {count - 1}" if count else "no turn yet"
        raise NotFoundError(f"there is no turn {turn}; the session has {has}.")
