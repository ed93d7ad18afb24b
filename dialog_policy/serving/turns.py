"""Turns that wait are computed together and committed together."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from dialog_policy.features.turn_values import context_key
from dialog_policy.runtime import Request, Step
from dialog_policy.serving.errors import FullError, OverloadedError
from dialog_policy.serving.metrics import Metrics
from dialog_policy.serving.schemas import TurnRequest, TurnView
from dialog_policy.serving.sessions import OpenSession, SessionStore, busy, check_id
from dialog_policy.serving.stores import Stored, StoreError

__all__ = ["PendingTurn", "TurnQueue", "TurnResult"]

# Turns computed in one go: more would keep the others waiting and gain little.
_TOGETHER = 32
# A turn of more bytes, or of a session that takes more, is computed in a thread, one at a time: the others do not wait for it.
_LONG_TURN, _LONG_SESSION = 4_096, 32_768
# A session of more bytes is not gone on with.
_LARGEST_SESSION = 4 << 20
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

    @property
    def is_long(self) -> bool:
        """Whether it has so much text that it takes long."""
        return len(self.request.user or "") + len(context_key(self.request.context)) > _LONG_TURN

    def succeed(self, opened: OpenSession, number: int, *, repeated: bool) -> None:
        """Answer with a turn of the session."""
        # Nobody waits any more if the server is being stopped.
        if not self.result.done():
            self.result.set_result(TurnResult(opened.turn_view(number), repeated))

    def fail(self, error: BaseException) -> None:
        """Answer with an error."""
        if not self.result.done():
            self.result.set_exception(error)


class _Computed(NamedTuple):
    """What comes of a pending turn: a step that is to be saved, the number of the turn that had its key, or an error."""

    pending: PendingTurn
    opened: OpenSession | None = None
    number: int = -1
    step: Step | None = None
    error: Exception | None = None


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
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="long turns")

    async def __aenter__(self) -> TurnQueue:
        self._loop = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._loop.cancel()
        await asyncio.gather(self._loop, *self._tasks, return_exceptions=True)
        self._thread.shutdown()
        for pending in self._waiting:
            pending.result.cancel()

    async def put(self, pending: PendingTurn) -> TurnResult:
        """Answer a turn; no other turn of the same session may be waiting.

        Raises
        ------
        NotFoundError
            If no session can have this id.
        OverloadedError
            If too many are waiting.
        """
        check_id(pending.id)
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
                await self._load_and_compute(batch)
            except Exception as error:  # whatever it is, these are answered, and those that come are heard
                for pending in batch:
                    pending.fail(error)

    async def _load_and_compute(self, batch: list[PendingTurn]) -> None:
        try:
            stored = await self.sessions.store.load([pending.id for pending in batch])
        except Exception as error:
            if isinstance(error, StoreError) or len(batch) == 1:
                for pending in batch:
                    pending.fail(error)
                return
            # The store answers, and one of them is at fault: which one, they show when each is asked for alone.
            for pending in batch:
                await self._load_and_compute([pending])
            return
        short: list[tuple[PendingTurn, Stored | None]] = []
        for pending, kept in zip(batch, stored, strict=True):
            if pending.is_long or (kept is not None and self._takes_long(kept)):
                self._begin(self._compute_in_thread(pending, kept))
            else:
                short.append((pending, kept))
        # While these are being written, the next ones are computed: all are of different sessions.
        self._begin(self._commit(self._compute(short)))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _takes_long(self, stored: Stored) -> bool:
        return len(stored.data) > _LONG_SESSION or self.sessions.is_of_another_policy(stored)

    async def _compute_in_thread(self, pending: PendingTurn, stored: Stored | None) -> None:
        loop = asyncio.get_running_loop()
        await self._commit(await loop.run_in_executor(self._thread, self._compute, [(pending, stored)]))

    def _compute(self, batch: list[tuple[PendingTurn, Stored | None]]) -> list[_Computed]:
        """Compute turns; return what comes of each. Nobody is answered here: this may run in a thread."""
        # Whatever goes wrong with a turn is told to this one, not to those beside it.
        by_policy: dict[int, list[tuple[PendingTurn, OpenSession]]] = {}
        done: list[_Computed] = []
        for pending, stored in batch:
            try:
                if stored is not None and len(stored.data) > _LARGEST_SESSION:
                    raise FullError(
                        f"the session takes {len(stored.data):,} bytes, more than {_LARGEST_SESSION:,}. Begin another one."
                    )
                opened = self.sessions.resume(pending.id, stored)
                number = opened.record.answered(pending.key, pending.digest)
                if number is not None:
                    done.append(_Computed(pending, opened, number))
                    continue
                if len(opened.session) >= self.max_turns:
                    raise FullError(
                        f"the session has {len(opened.session)} turns, the maximum (--max-turns). Begin another one."
                    )
                by_policy.setdefault(id(opened.policy), []).append((pending, opened))
            except Exception as error:
                done.append(_Computed(pending, error=error))
        for pairs in by_policy.values():
            for computed in _steps(pairs):
                try:
                    if computed.opened is not None and computed.step is not None:
                        record = computed.opened.record
                        record.add(computed.step, computed.pending.key, computed.pending.digest)
                        record.session = computed.opened.session.to_bytes()
                    done.append(computed)
                except Exception as error:
                    done.append(_Computed(computed.pending, error=error))
        return done

    async def _commit(self, computed: list[_Computed]) -> None:
        """Save the sessions, then answer: nobody is told of a turn that could still be lost."""
        new: list[tuple[PendingTurn, OpenSession]] = []
        repeated: list[tuple[PendingTurn, OpenSession, int]] = []
        for pending, opened, number, step, error in computed:
            if opened is None:
                pending.fail(error or RuntimeError("a turn without a result"))
            elif step is None:
                repeated.append((pending, opened, number))
            else:
                new.append((pending, opened))
                self.metrics.decided(opened.run.name, fallback=step.fallback)
        if new:
            self.metrics.together.observe(len(new))
        outcomes = await self._save(new) if new else []
        for (pending, opened), outcome in zip(new, outcomes, strict=True):
            if isinstance(outcome, Exception):
                pending.fail(outcome)
            elif outcome:
                _answer(pending, opened, len(opened.record) - 1, repeated=False)
            else:
                await self._repeat(pending)
        for pending, opened, number in repeated:
            await self._confirm(pending, opened, number)

    async def _save(self, new: list[tuple[PendingTurn, OpenSession]]) -> list[bool | Exception]:
        """Save sessions; return whether each was saved, or what kept the store from it."""
        try:
            writes = [self.sessions.write(pending.id, opened.version, opened.record) for pending, opened in new]
            return list(await self.sessions.store.save(writes))
        except Exception as error:
            if isinstance(error, StoreError) or len(new) == 1:
                return [error for _ in new]
            # As for loading: what one of them has is refused.
            return [outcome for turn in new for outcome in await self._save([turn])]

    async def _repeat(self, pending: PendingTurn) -> None:
        """Answer a turn after another server was quicker: with the same request, perhaps, which then is answered."""
        try:
            opened = await self.sessions.open(pending.id)
            number = opened.record.answered(pending.key, pending.digest)
            if number is None:
                raise busy()
        except Exception as error:
            pending.fail(error)
            return
        await self._confirm(pending, opened, number)

    async def _confirm(self, pending: PendingTurn, opened: OpenSession, number: int) -> None:
        """Answer a turn that was made before, once it is as safe as if it was made now."""
        try:
            await self.sessions.store.save([])
        except Exception as error:
            pending.fail(error)
        else:
            _answer(pending, opened, number, repeated=True)


def _answer(pending: PendingTurn, opened: OpenSession, number: int, *, repeated: bool) -> None:
    try:
        pending.succeed(opened, number, repeated=repeated)
    except Exception as error:
        pending.fail(error)


def _steps(pairs: list[tuple[PendingTurn, OpenSession]]) -> Iterable[_Computed]:
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
            yield _Computed(pairs[0][0], error=error)
            return
        for pending, opened in pairs:
            try:
                # From what is stored: the attempt may have changed the session.
                again = opened._replace(session=opened.policy.resume(opened.record.session))
            except Exception as broken:
                yield _Computed(pending, error=broken)
                continue
            yield from _steps([(pending, again)])
        return
    for (pending, opened), step in zip(pairs, steps, strict=True):
        yield _Computed(pending, opened, step=step)
