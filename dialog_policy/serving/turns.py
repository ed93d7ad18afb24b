"""Turns that wait are computed together and committed together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from dialog_policy.runtime import Request, Step
from dialog_policy.serving.errors import OverloadedError, UnprocessableError
from dialog_policy.serving.metrics import Metrics
from dialog_policy.serving.schemas import TurnRequest, TurnView
from dialog_policy.serving.sessions import OpenSession, SessionStore, busy
from dialog_policy.serving.stores import Stored

__all__ = ["PendingTurn", "TurnQueue", "TurnResult"]

# Turns computed in one go: more would keep the others waiting and gain little.
_TOGETHER = 32
# Turns that may wait; more are refused, so that those that wait are answered in time.
_LONGEST = 2_000


class TurnResult(NamedTuple):
    """An answered turn; `repeated`: an earlier request with the same key had made it."""

    turn: TurnView
    repeated: bool


class PendingTurn(NamedTuple):
    """A turn that waits for its result."""

    id: str
    request: TurnRequest
    key: str | None
    digest: bytes
    result: asyncio.Future[TurnResult]

    def succeed(self, opened: OpenSession, number: int, *, repeated: bool) -> None:
        """Answer with a turn of the session."""
        # Nobody waits any more if the server is being stopped.
        if not self.result.done():
            self.result.set_result(TurnResult(opened.turn_view(number), repeated))

    def fail(self, error: BaseException) -> None:
        """Answer with an error."""
        if not self.result.done():
            self.result.set_exception(error)


class TurnQueue:
    """Answers turns of different sessions, many in one go. Use as an asynchronous context manager.

    Parameters
    ----------
    sessions
        The sessions.
    max_turns
        Turns of a session.
    metrics
        Counts turns.
    """

    def __init__(self, sessions: SessionStore, max_turns: int, metrics: Metrics) -> None:
        self.sessions, self.max_turns, self.metrics = sessions, max_turns, metrics
        self._waiting: list[PendingTurn] = []
        self._has_some = asyncio.Event()
        self._commits: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> TurnQueue:
        self._loop = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._loop.cancel()
        await asyncio.gather(self._loop, *self._commits, return_exceptions=True)
        for pending in self._waiting:
            pending.result.cancel()

    async def put(self, pending: PendingTurn) -> TurnResult:
        """Answer a turn; no other turn of the same session may be waiting.

        Raises
        ------
        OverloadedError
            If too many are waiting.
        """
        if len(self._waiting) >= _LONGEST:
            raise OverloadedError("too many turns are waiting; try again in a moment.", headers={"Retry-After": "1"})
        self._waiting.append(pending)
        self._has_some.set()
        return await pending.result

    async def _work(self) -> None:
        while True:
            await self._has_some.wait()
            batch, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
            if not self._waiting:
                self._has_some.clear()
            try:
                stored = await self.sessions.store.load([pending.id for pending in batch])
                computed = self._compute(batch, stored)
            except Exception as error:
                for pending in batch:
                    pending.fail(error)
                continue
            # While these are being written, the next ones are computed: all are of different sessions.
            task = asyncio.create_task(self._commit(computed))
            self._commits.add(task)
            task.add_done_callback(self._commits.discard)

    def _compute(self, batch: list[PendingTurn], stored: list[Stored | None]) -> list[tuple[PendingTurn, OpenSession]]:
        """Answer what needs no computing and compute the rest; return what is to be committed now."""
        # Whatever goes wrong with a turn is told to this one, not to those beside it.
        by_policy: dict[int, list[tuple[PendingTurn, OpenSession]]] = {}
        for pending, bytes_ in zip(batch, stored, strict=True):
            try:
                opened = self.sessions.resume(pending.id, bytes_)
                number = opened.record.answered(pending.key, pending.digest)
                if number is not None:
                    pending.succeed(opened, number, repeated=True)
                    continue
                if len(opened.session) >= self.max_turns:
                    raise UnprocessableError(
                        f"the session has {len(opened.session)} turns (--max-turns): begin another one."
                    )
                by_policy.setdefault(id(opened.policy), []).append((pending, opened))
            except Exception as error:
                pending.fail(error)
        computed = []
        for pairs in by_policy.values():
            for pending, opened, step in _steps(pairs):
                try:
                    opened.record.add(step, pending.key, pending.digest)
                    opened.record.session = opened.session.to_bytes()
                except Exception as error:
                    pending.fail(error)
                    continue
                self._count(opened.run.name, step)
                computed.append((pending, opened))
        self.metrics.together.observe(len(computed))
        return computed

    def _count(self, run: str, step: Step) -> None:
        self.metrics.turns.labels(run).inc()
        if step.fallback:
            self.metrics.fallbacks.labels(run).inc()

    async def _commit(self, computed: list[tuple[PendingTurn, OpenSession]]) -> None:
        """Save the sessions, then answer: nobody is told of a turn that could still be lost."""
        try:
            writes = [self.sessions.write(pending.id, opened.version, opened.record) for pending, opened in computed]
            made = await self.sessions.store.save(writes)
        except Exception as error:
            for pending, _ in computed:
                pending.fail(error)
            return
        for (pending, opened), is_made in zip(computed, made, strict=True):
            try:
                if is_made:
                    pending.succeed(opened, len(opened.record) - 1, repeated=False)
                else:
                    await self._repeat(pending)
            except Exception as error:
                pending.fail(error)

    async def _repeat(self, pending: PendingTurn) -> None:
        """Answer a turn after another server was quicker: with the same request, perhaps, which then is answered."""
        opened = await self.sessions.open(pending.id)
        number = opened.record.answered(pending.key, pending.digest)
        if number is None:
            raise busy()
        pending.succeed(opened, number, repeated=True)


def _steps(pairs: list[tuple[PendingTurn, OpenSession]]) -> Iterable[tuple[PendingTurn, OpenSession, Step]]:
    """Compute a turn of each session of one policy; a request that is wrong, in whatever way, fails alone."""
    requests = [
        Request(opened.session, turn.user, turn.context, turn.allowed, turn.allow_none)
        for (_, turn, *_), opened in pairs
    ]
    respond_many = pairs[0][1].policy.respond_many
    try:
        steps = respond_many(requests)
    except Exception as error:
        if len(pairs) == 1:
            pairs[0][0].fail(error)
            return
        for pending, opened in pairs:
            # From what is stored: the attempt may have changed the session.
            again = opened._replace(session=opened.policy.resume(opened.record.session))
            yield from _steps([(pending, again)])
        return
    for (pending, opened), step in zip(pairs, steps, strict=True):
        yield pending, opened, step
