"""Turns that wait are computed together and committed together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from dialog_policy.errors import DialogPolicyError
from dialog_policy.runtime import Request, Step
from dialog_policy.serving.errors import ConflictError, OverloadedError, UnprocessableError
from dialog_policy.serving.metrics import Metrics
from dialog_policy.serving.records import TurnRequest, describe_turn
from dialog_policy.serving.shelf import BUSY, Opened, Shelf
from dialog_policy.serving.stores import Stored

__all__ = ["Asked", "TurnQueue", "Turned"]

# Turns computed in one go: more would keep the others waiting and gain little.
_TOGETHER = 32
# Turns that may wait; more are refused, so that those that wait are answered in time.
_LONGEST = 2_000


class Turned(NamedTuple):
    """An answered turn; `repeated`: an earlier request with the same key had made it."""

    turn: Mapping[str, Any]
    repeated: bool


class Asked(NamedTuple):
    """A turn that waits for its answer."""

    id: str
    request: TurnRequest
    key: str | None
    digest: bytes
    answer: asyncio.Future[Turned]


class TurnQueue:
    """Answers turns of different sessions, many in one go. Use as an asynchronous context manager.

    Parameters
    ----------
    shelf
        The sessions.
    max_turns
        Turns of a session.
    metrics
        Counts turns.
    """

    def __init__(self, shelf: Shelf, max_turns: int, metrics: Metrics) -> None:
        self.shelf, self.max_turns, self.metrics = shelf, max_turns, metrics
        self._waiting: list[Asked] = []
        self._has_some = asyncio.Event()
        self._commits: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> TurnQueue:
        self._loop = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._loop.cancel()
        await asyncio.gather(self._loop, *self._commits, return_exceptions=True)
        for asked in self._waiting:
            asked.answer.cancel()

    async def put(self, asked: Asked) -> Turned:
        """Answer a turn; no other turn of the same session may be waiting.

        Raises
        ------
        OverloadedError
            If too many are waiting.
        """
        if len(self._waiting) >= _LONGEST:
            raise OverloadedError("too many turns are waiting; try again in a moment.", headers={"Retry-After": "1"})
        self._waiting.append(asked)
        self._has_some.set()
        return await asked.answer

    async def _work(self) -> None:
        while True:
            await self._has_some.wait()
            batch, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
            if not self._waiting:
                self._has_some.clear()
            try:
                stored = await self.shelf.store.load([asked.id for asked in batch])
                opened = self._compute(batch, stored)
            except Exception as error:
                _fail(batch, error)
                continue
            # While these are being written, the next ones are computed: all are of different sessions.
            task = asyncio.create_task(self._commit(opened))
            self._commits.add(task)
            task.add_done_callback(self._commits.discard)

    def _compute(self, batch: list[Asked], stored: list[Stored | None]) -> list[tuple[Asked, Opened]]:
        """Answer what needs no computing, compute the rest: what is to be committed now."""
        by_policy: dict[int, list[tuple[Asked, Opened]]] = {}
        for asked, there in zip(batch, stored, strict=True):
            with _failing(asked):
                found = self._take_up(asked, there)
                if found is not None:
                    by_policy.setdefault(id(found.policy), []).append((asked, found))
        done = []
        for pairs in by_policy.values():
            for asked, found, step in _steps(pairs):
                self._count(found.run.name, step)
                found.record.add(step, asked.key, asked.digest)
                found.record.session = found.session.to_bytes()
                done.append((asked, found))
        self.metrics.together.observe(len(done))
        return done

    def _take_up(self, asked: Asked, stored: Stored | None) -> Opened | None:
        """Open a session for a turn; None if the request has been answered before."""
        found = self.shelf.resume(self.shelf.there(asked.id, stored))
        number = found.record.answered(asked.key, asked.digest)
        if number is not None:
            _answer(asked, _turned(found, number, repeated=True))
            return None
        if len(found.session) >= self.max_turns:
            raise UnprocessableError(f"the session has {len(found.session)} turns (--max-turns): begin another one.")
        return found

    def _count(self, run: str, step: Step) -> None:
        self.metrics.turns.labels(run).inc()
        if step.fallback:
            self.metrics.fallbacks.labels(run).inc()

    async def _commit(self, opened: list[tuple[Asked, Opened]]) -> None:
        """Save the sessions, then answer: nobody is told of a turn that could still be lost."""
        try:
            writes = [self.shelf.write(asked.id, found.version, found.record) for asked, found in opened]
            made = await self.shelf.store.save(writes)
        except Exception as error:
            _fail([asked for asked, _ in opened], error)
            return
        for (asked, found), is_made in zip(opened, made, strict=True):
            if is_made:
                _answer(asked, _turned(found, len(found.record.answers) - 1, repeated=False))
            else:
                await self._lost(asked)

    async def _lost(self, asked: Asked) -> None:
        """Another server was quicker: with the same request, perhaps, which then is answered."""
        try:
            found = await self.shelf.open(asked.id)
            number = found.record.answered(asked.key, asked.digest)
            if number is None:
                raise ConflictError(BUSY, headers={"Retry-After": "1"})
            _answer(asked, _turned(found, number, repeated=True))
        except Exception as error:
            _fail([asked], error)


def _steps(pairs: list[tuple[Asked, Opened]]) -> Iterator[tuple[Asked, Opened, Step]]:
    """Compute a turn of each session of one policy; a request that is wrong fails alone."""
    requests = [Request(f.session, a.request.user, a.request.context, a.request.allowed) for a, f in pairs]
    respond_many = pairs[0][1].policy.respond_many
    try:
        steps = respond_many(requests)
    except DialogPolicyError as error:
        if len(pairs) == 1:
            _fail([pairs[0][0]], error)
            return
        for pair in pairs:
            yield from _steps([pair])
        return
    for (asked, found), step in zip(pairs, steps, strict=True):
        yield asked, found, step


def _turned(found: Opened, number: int, *, repeated: bool) -> Turned:
    return Turned(describe_turn(number, found.session.turns[number], found.record.answers[number]), repeated)


def _answer(asked: Asked, turned: Turned) -> None:
    # Nobody waits any more if the server is being stopped.
    if not asked.answer.done():
        asked.answer.set_result(turned)


def _fail(batch: Iterable[Asked], error: BaseException) -> None:
    for asked in batch:
        if not asked.answer.done():
            asked.answer.set_exception(error)


@contextlib.contextmanager
def _failing(asked: Asked) -> Iterator[None]:
    """Tell an error to this request, not to those beside it."""
    try:
        yield
    except Exception as error:
        _fail([asked], error)
