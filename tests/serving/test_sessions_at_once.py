"""Turns at once, servers that share a store, and a store that refuses, is damaged or away: every request is answered."""

import asyncio
import concurrent.futures
import contextlib
import logging
import sqlite3

import msgspec
import pytest

from dialog_policy.runtime import Policy
from dialog_policy.serving.conversations import Conversations
from dialog_policy.serving.errors import ConflictError, TooManyError
from dialog_policy.serving.metrics import Metrics
from dialog_policy.serving.runs import Runs
from dialog_policy.serving.schemas import TurnRequest
from dialog_policy.serving.sessions import SessionStore
from dialog_policy.serving.settings import Settings
from dialog_policy.serving.stores import MemoryStore, RefusedValueError, SqliteStore, StoreError, Write
from tests.serving.test_sessions_api import begin, say


def test_sessions_are_counted_once_a_second(run, monkeypatch):
    now, counted = 0.0, 0

    async def count(self, real=MemoryStore.count):
        nonlocal counted
        counted += 1
        return await real(self)

    monkeypatch.setattr(MemoryStore, "count", count)

    async def work(one, two):
        loop = asyncio.get_running_loop()
        with monkeypatch.context() as patch:
            patch.setattr(loop, "time", lambda: now)
            await asyncio.gather(*(one.create(name, None) for name in "abcd"))
            with pytest.raises(ConflictError, match="already"):
                await one.create("a", None)
            assert (await one.count(), counted) == (4, 1)
            for _ in range(3):  # full
                await one.create("e", None)
                with pytest.raises(TooManyError, match="--max-sessions"):
                    await one.create("f", None)
                await one.delete("e")
            assert counted == 1
            # What another server does is seen a second later.
            await two.create("g", None)
            await two.delete("a")
            await two.delete("b")
            assert await one.count() == 4
            nonlocal now
            now += 1.0
            assert (await one.count(), await one.count()) == (3, 3)

    two_servers(run, work, max_sessions=5)
    assert counted == 3


def test_a_full_store_is_swept_before_a_session_is_refused(run):
    async def work(one, two):
        await one.create("a", None)
        (stored,) = await one.store.load(["a"])
        await one.store.save([Write("a", stored.version, stored.version + 1, stored.data, 0.0)])
        await two.create("b", None)
        assert await two.count() == 1

    two_servers(run, work, max_sessions=1)


def test_of_turns_at_once_in_one_conversation_one_wins(serving):
    client = serving()
    begin(client)
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        requests = [threads.submit(client.post, "/sessions/s/turns", json={"user": f"hello {n}"}) for n in range(40)]
        answers = [future.result() for future in requests]
    won = [answer.json() for answer in answers if answer.status_code == 201]
    assert {answer.status_code for answer in answers} <= {201, 409}
    turns = client.get("/sessions/s").json()["turns"]
    assert sorted(t["turn"] for t in won) == list(range(len(turns)))
    assert {t["user"] for t in won} == {t["user"] for t in turns}


def two_servers(run, work, **settings):
    """Two servers over one store."""
    shared = MemoryStore()

    async def within():
        runs = Runs({"quick": run})
        one, two = (Conversations(runs, shared, Settings(**settings), Metrics()) for _ in range(2))
        async with one, two:
            await work(one, two)

    asyncio.run(within())


def test_two_servers_do_not_both_win(run):
    async def work(one, two):
        await one.create("s", None)
        for number in range(20):
            requests = (
                server.respond("s", TurnRequest(f"hello from {n}"), None) for n, server in enumerate((one, two))
            )
            answers = await asyncio.gather(*requests, return_exceptions=True)
            lost = [answer for answer in answers if isinstance(answer, Exception)]
            assert [type(error) for error in lost] == [ConflictError]
            assert len((await one.read("s")).turns) == number + 1

    two_servers(run, work)


def test_two_servers_count_a_repeated_turn_once(run):
    async def work(one, two):
        await one.create("s", None)
        requests = (server.respond("s", TurnRequest("hello"), "key") for server in (one, two, one, two))
        answers = await asyncio.gather(*requests)
        assert len({msgspec.json.encode(answer.turn) for answer in answers}) == 1
        assert sorted(answer.repeated for answer in answers) == [False, True, True, True]
        assert len((await one.read("s")).turns) == 1

    two_servers(run, work)


def test_one_wrong_request_does_not_spoil_those_beside_it(run):
    async def work(one, _):
        for name in "abc":
            await one.create(name, None)
        requests = {
            "a": TurnRequest("hi"),
            "b": TurnRequest("hi", {}, ["nothing like it"]),
            "x": TurnRequest("hi"),
            "c": TurnRequest("hi"),
        }
        answers = await asyncio.gather(*(one.respond(n, r, None) for n, r in requests.items()), return_exceptions=True)
        response = [a.turn.turn if not isinstance(a, Exception) else type(a).__name__ for a in answers]
        assert response == [0, "OptionError", "NotFoundError", 0]

    two_servers(run, work)


@pytest.mark.parametrize("asked", ["load", "save"])
@pytest.mark.parametrize("error", [RefusedValueError("not this one"), UnicodeError("nor this")])
def test_what_the_store_refuses_of_one_turn_fails_that_turn_alone(run, monkeypatch, asked, error):
    def refusing(real):
        async def refuse(self, some):
            if any("b" in (one, getattr(one, "id", None)) and getattr(one, "before", 1) for one in some):
                raise error
            return await real(self, some)

        return refuse

    monkeypatch.setattr(MemoryStore, asked, refusing(getattr(MemoryStore, asked)))

    async def work(one, _):
        for name in "abcd":
            await one.create(name, None)
        for repeated in (False, True):
            answers = await asyncio.gather(
                *(one.respond(name, TurnRequest("hi"), "key") for name in "abcd"), return_exceptions=True
            )
            assert answers[1] is error
            assert [(a.turn.turn, a.repeated) for a in (answers[0], *answers[2:])] == [(0, repeated)] * 3

    two_servers(run, work)


@pytest.mark.parametrize("error", [OverflowError("int too large to convert to float"), MemoryError(), KeyError("x")])
def test_an_error_that_nobody_expected_fails_its_own_request_only(run, monkeypatch, error):
    """Those computed beside it are answered as if they were alone, also if the attempt had begun to change their sessions."""

    def respond_many(self, requests, real=Policy.respond_many):
        requests = list(requests)
        if any(request.user == "boom" for request in requests):
            for request in requests:
                if request.user != "boom":
                    real(self, [request])
            raise error
        return real(self, requests)

    monkeypatch.setattr(Policy, "respond_many", respond_many)

    async def work(one, _):
        for name in "abcd":
            await one.create(name, None)
        users = {"a": "hello", "b": "boom", "c": "hello", "d": "hello"}
        for number in range(3):
            answers = await asyncio.gather(
                *(one.respond(name, TurnRequest(user), None) for name, user in users.items()), return_exceptions=True
            )
            assert answers[1] is error
            assert [answer.turn.turn for answer in (answers[0], *answers[2:])] == [number] * 3
        assert [len((await one.read(name)).turns) for name in "abcd"] == [3, 0, 3, 3]

    two_servers(run, work)


def test_what_fails_while_turns_are_taken_up_stops_no_later_turn(run, monkeypatch):
    failing = iter([True, False])

    def is_of_another_policy(self, stored, real=SessionStore.is_of_another_policy):
        if next(failing):
            raise KeyError("nobody expected this")
        return real(self, stored)

    async def work(one, _):
        await one.create("a", None)
        monkeypatch.setattr(SessionStore, "is_of_another_policy", is_of_another_policy)
        with pytest.raises(KeyError):
            await asyncio.wait_for(one.respond("a", TurnRequest("hello"), None), 60)
        assert (await asyncio.wait_for(one.respond("a", TurnRequest("hello"), None), 60)).turn.turn == 0

    two_servers(run, work)


def test_expired_sessions_are_removed_whatever_the_store_raised_before(run, monkeypatch):
    asked = asyncio.Event()
    raising = iter([KeyError("x"), StoreError("away")])

    async def expire(_):
        for error in raising:
            raise error
        asked.set()

    monkeypatch.setattr("dialog_policy.serving.conversations._SWEEP_S", 0.0)
    monkeypatch.setattr(MemoryStore, "expire", expire)

    async def work(one, _):
        await asyncio.wait_for(asked.wait(), 60)

    two_servers(run, work)


def test_numbers_beyond_every_float_fail_alone_or_are_taken(serving):
    client = serving()
    begin(client)
    answer = client.post(
        "/sessions/s/turns", content='{"user": "hi", "context": {"n": ' + "9" * 400 + "}}",
        headers={"Content-Type": "application/json"},
    )  # fmt: skip
    assert answer.json().get("error") or answer.status_code == 201
    assert say(client, "hello")["turn"] == int(answer.status_code == 201)


def test_sessions_survive_a_restart(serving, tmp_path):
    begin(before := serving(store=SqliteStore(tmp_path / "s.sqlite")))
    say(before, "hello", key="one")
    response = before.get("/sessions/s").json()
    after = serving(store=SqliteStore(tmp_path / "s.sqlite"))
    assert after.get("/sessions/s").json() == response
    assert say(after, "hello", key="one")["turn"] == 0
    assert say(after, "a table please")["turn"] == 1


def test_a_store_that_cannot_be_reached_is_503(serving, caplog):
    from dialog_policy.serving.stores.redis import RedisStore

    caplog.set_level(logging.INFO, "dialog_policy.serving")
    client = serving(store=RedisStore("redis://127.0.0.1:1/0"))
    for answer in (
        client.get("/ready"),
        client.post("/sessions"),
        client.post("/sessions/s/turns", json={"user": "hello"}),
    ):
        assert answer.status_code == 503
        assert "does not answer" in answer.json()["error"]
    reasons = [record.reason for record in caplog.records if getattr(record, "route", "") == "/sessions/{id}/turns"]
    assert "does not answer" in reasons[0]
    assert client.get("/health").status_code == 200
    # The figures of this server are needed most now.
    figures = client.get("/metrics")
    assert figures.status_code == 200
    assert 'dialog_policy_requests_total{method="POST",route="/sessions",status="503"} 1.0' in figures.text
    assert "dialog_policy_sessions NaN" in figures.text


def test_a_damaged_session_is_an_error_in_the_log(serving, caplog):
    store = MemoryStore()
    asyncio.run(store.save([Write("s", 0, 1, b"\xc1", 2**33)]))
    assert serving(store=store).get("/sessions/s").status_code == 500
    (failed,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert (failed.msg, "not a session" in failed.reason) == ("failed", True)


@pytest.mark.parametrize(
    ("version", "data"),
    [(2**63 - 1, None), (0, None), (-5, None), ("many", None), (1.5, None), (7, "text"), (7, 12), (7, b"\xc1")],
)
def test_a_damaged_row_fails_its_own_session_only_and_everyone_is_answered(tmp_path, run, version, data):
    """Also the largest version that SQLite can hold, after which there is no other."""

    async def work():
        store = SqliteStore(tmp_path / "sessions.sqlite")
        async with Conversations(Runs({"quick": run}), store, Settings(), Metrics()) as conversations:
            for name in "abc":
                await conversations.create(name, None)
            with contextlib.closing(sqlite3.connect(tmp_path / "sessions.sqlite")) as file, file:
                file.execute(
                    "UPDATE sessions SET version = ?, data = coalesce(?, data) WHERE id = 'b'", (version, data)
                )
            answers = await asyncio.gather(
                *(conversations.respond(name, TurnRequest("hi"), None) for name in "abc"), return_exceptions=True
            )
            # Nobody is kept out for ever.
            again = await asyncio.gather(conversations.respond("b", TurnRequest("hi"), None), return_exceptions=True)
            assert type(again[0]).__name__ == "SessionError"
        return [getattr(answer, "turn", answer) for answer in answers]

    first, damaged, last = asyncio.run(work())
    assert (first.turn, type(damaged).__name__, last.turn) == (0, "SessionError", 0)
