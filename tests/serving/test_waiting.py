"""Nobody waits for somebody else's long turn, or for another process that has the store locked."""

import asyncio
import contextlib
import os
import sqlite3
import threading
import time

import msgspec
import pytest

from dialog_policy.runtime import Policy
from dialog_policy.serving.conversations import Conversations
from dialog_policy.serving.errors import FullError, UnprocessableError
from dialog_policy.serving.metrics import Metrics
from dialog_policy.serving.records import SessionRecord
from dialog_policy.serving.runs import Runs
from dialog_policy.serving.schemas import TurnRequest
from dialog_policy.serving.settings import Settings
from dialog_policy.serving.stores import MemoryStore, SqliteStore, StoreError, Write

LONG = "results " * 2_000


def serve(run, work, store=None):
    async def within():
        store_ = store() if store else MemoryStore()
        async with Conversations(Runs({"quick": run}), store_, Settings(), Metrics()) as conversations:
            return await work(conversations, store_)

    return asyncio.run(within())


@pytest.mark.parametrize(
    "turn", [TurnRequest(LONG), TurnRequest("hi", {"results": [{"name": f"results {n}"} for n in range(500)]})]
)
def test_others_are_answered_while_a_long_turn_is_computed(run, monkeypatch, turn):
    begun, may_end = threading.Event(), threading.Event()

    def respond_many(self, requests, real=Policy.respond_many):
        requests = list(requests)
        if any((request.user, request.context) == (turn.user, turn.context) for request in requests):
            assert len(requests) == 1
            begun.set()
            assert may_end.wait(60)
        return real(self, requests)

    monkeypatch.setattr(Policy, "respond_many", respond_many)

    async def work(conversations, _):
        for name in "abc":
            await conversations.create(name, None)
        long = asyncio.create_task(conversations.respond("a", turn, "key"))
        await asyncio.to_thread(begun.wait, 60)
        # A second long one waits for the first, a short one does not.
        second = asyncio.create_task(conversations.respond("b", turn, None))
        for number in range(3):
            assert (await conversations.respond("c", TurnRequest("hi"), None)).turn.turn == number
        assert not long.done()
        assert not second.done()
        may_end.set()
        assert [(await task).turn.turn for task in (long, second)] == [0, 0]
        assert (await conversations.respond("a", turn, "key")).repeated

    serve(run, work)


def test_what_goes_wrong_in_a_long_turn_is_said(run):
    async def work(conversations, store):
        await conversations.create("a", None)
        with pytest.raises(Exception, match="nothing like it"):
            await conversations.respond("a", TurnRequest(LONG, {}, ["nothing like it"]), None)
        with pytest.raises(Exception, match="no session 'b'"):
            await conversations.respond("b", TurnRequest(LONG), None)
        stored = (await store.load(["a"]))[0]
        record = SessionRecord.from_bytes(stored.data)
        record.session += bytes(5 << 20)
        await store.save([Write("a", stored.version, stored.version + 1, record.to_bytes(), time.time() + 60)])
        with pytest.raises(FullError, match="Begin another one"):
            await conversations.respond("a", TurnRequest("hi"), None)

    serve(run, work)


def test_while_the_file_is_locked_the_event_loop_goes_on(run, tmp_path):
    path = tmp_path / "sessions.sqlite"

    async def work(conversations, _):
        await conversations.create("a", None)
        other = sqlite3.connect(path, isolation_level=None)
        with contextlib.closing(other):
            other.execute("BEGIN IMMEDIATE")
            turn = asyncio.create_task(conversations.respond("a", TurnRequest("hi"), None))
            for _ in range(50):  # others read meanwhile; a loop that waits for the file would not come back here
                assert (await conversations.read("a")).id == "a"
                await asyncio.sleep(0.001)
            assert not turn.done()
            other.execute("ROLLBACK")
            assert (await turn).turn.turn == 0

    serve(run, work, lambda: SqliteStore(path))


def test_a_file_that_stays_locked_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("dialog_policy.serving.stores.sqlite._PATIENCE_S", 0.01)
    path = tmp_path / "sessions.sqlite"

    async def work():
        store = SqliteStore(path)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for attempt in (store.save([Write("a", 0, 1, b"x", time.time() + 60)]), store.expire()):
                with pytest.raises(StoreError, match="locked"):
                    await attempt
            other.execute("ROLLBACK")
        assert await store.save([Write("a", 0, 1, b"x", time.time() + 60)]) == [True]
        assert await store.expire() == 0
        await store.close()

    asyncio.run(work())


def test_no_turn_is_answered_before_it_is_on_the_disk(run, tmp_path, monkeypatch):
    """Neither by the server that computed it, nor by another one that finds it in the file and is asked the same again."""
    may_end = threading.Event()
    monkeypatch.setattr("dialog_policy.serving.stores.disk._to_disk", lambda file: may_end.wait(60) and os.fsync(file))

    async def work(first, store):
        async with Conversations(first.runs, SqliteStore(store.path), Settings(), Metrics()) as second:
            may_end.set()
            await first.create("a", None)
            may_end.clear()
            asked = [asyncio.create_task(first.respond("a", TurnRequest("hi"), "key"))]
            while not len(SessionRecord.from_bytes((await store.load(["a"]))[0].data)):
                await asyncio.sleep(0.001)
            asked.append(asyncio.create_task(second.respond("a", TurnRequest("hi"), "key")))
            # Everything else goes on, on both servers.
            assert [len((await server.read("a")).turns) for server in (first, second) * 20] == [1] * 40
            assert not any(task.done() for task in asked)
            may_end.set()
            assert [(await task).repeated for task in asked] == [False, True]

    serve(run, work, lambda: SqliteStore(tmp_path / "sessions.sqlite"))


def test_after_the_disk_failed_nothing_counts_until_the_server_starts_again(run, tmp_path, monkeypatch):
    path = tmp_path / "sessions.sqlite"

    def fail(file):
        raise OSError(5, "Input/output error")

    async def fails(conversations, _):
        await conversations.create("a", None)
        with monkeypatch.context() as broken:
            broken.setattr("dialog_policy.serving.stores.disk._to_disk", fail)
            with pytest.raises(StoreError, match=r"could not be written to the disk.*start the server again"):
                await conversations.respond("a", TurnRequest("hi"), "key")
        for attempt in (conversations.respond("a", TurnRequest("hi"), "key"), conversations.read("a")):
            with pytest.raises(StoreError, match="Input/output error"):
                await attempt

    async def goes_on(conversations, _):
        assert (await conversations.respond("a", TurnRequest("hi"), "key")).turn.turn == 0
        assert (await conversations.respond("a", TurnRequest("hi"), "another")).turn.turn == 1

    serve(run, fails, lambda: SqliteStore(path))
    serve(run, goes_on, lambda: SqliteStore(path))


def test_rows_of_the_format_before_go_on(run):
    """As version 1 stored them: keys and probabilities as text, the session as JSON."""
    from tests.runtime.test_session import version_2

    async def work(conversations, store):
        await conversations.create("a", None)
        request = TurnRequest("hello")
        first = await conversations.respond("a", request, "one")
        stored = (await store.load(["a"]))[0]
        record = SessionRecord.from_bytes(stored.data)
        session = conversations.runs.named(None).policy.resume(record.session)
        answer = [first.turn.confidence, first.turn.fallback, msgspec.json.encode(first.turn.probabilities)]
        answers = [[*answer, "one", request.digest(), False]]
        old = [1, record.run, record.created, msgspec.json.encode(version_2(session)), answers, ["spent"]]
        await store.save(
            [Write("a", stored.version, stored.version + 1, msgspec.msgpack.encode(old), time.time() + 60)]
        )
        again = await conversations.respond("a", request, "one")
        assert again.repeated
        assert again.turn.probabilities == pytest.approx(first.turn.probabilities, abs=2e-5)
        with pytest.raises(UnprocessableError, match="another request"):
            await conversations.respond("a", TurnRequest("bye"), "one")
        with pytest.raises(Exception, match="taken back"):
            await conversations.respond("a", TurnRequest("bye"), "spent")
        assert (await conversations.respond("a", TurnRequest("bye"), "two")).turn.turn == 1
        assert [turn.user for turn in (await conversations.read("a")).turns] == ["hello", "bye"]

    serve(run, work)


def test_a_row_grows_little(run):
    """Twenty turns more of what was said before; texts, contexts and actions are compressed."""

    async def work(conversations, store):
        await conversations.create("a", None)
        sizes = []
        for number in range(50):
            context = {"results": [{"name": "The Oak", "price": f"{number} euros"}]} if number % 4 == 0 else {}
            said = f"a table for {number} in the north, please, at {number} o'clock"
            await conversations.respond("a", TurnRequest(said, context), f"load-{number}")
            sizes.append(len((await store.load(["a"]))[0].data))
        assert sizes[29] < 6_000  # the network of the tests is sure of nothing: each turn has many probabilities
        assert (sizes[49] - sizes[29]) / 20 < 150

    serve(run, work)
