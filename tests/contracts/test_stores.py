"""Every store of sessions keeps the same promises: memory, SQLite, a real Redis, a real PostgreSQL."""

import asyncio
import itertools
import subprocess
import sys
import time

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")
from dialog_policy.errors import OptionError
from dialog_policy.serving.stores import MemoryStore, SqliteStore, Stored, StoreError, Write, open_store
from tests.serving.conftest import postgres_url, redis_url  # noqa: F401 - fixtures

SOON = 60.0
_numbers = itertools.count()


@pytest.fixture(params=["memory", "sqlite", "redis", "postgres"])
def opened(request, tmp_path):
    """Return a function that opens the store; what one has written the next one finds, but for the one in memory."""
    if request.param == "memory":
        return MemoryStore
    if request.param == "sqlite":
        return lambda: SqliteStore(tmp_path / "sessions.sqlite")
    if request.param == "postgres":
        from dialog_policy.serving.stores.postgres import PostgresStore

        url, table = request.getfixturevalue("postgres_url"), f"test_{next(_numbers)}"
        return lambda: PostgresStore(url, table)
    from dialog_policy.serving.stores.redis import RedisStore

    url, prefix = request.getfixturevalue("redis_url"), f"{{test-{next(_numbers)}}}"
    return lambda: RedisStore(url, prefix)


def run(opened, work):
    async def within():
        store = opened()
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(within())


def write(id, before, after, data=b"x", expires_in=SOON):
    return Write(id, before, after, data, time.time() + expires_in)


def test_what_is_saved_is_there_and_everything_else_is_not(opened):
    async def work(store):
        # Bytes of every kind, ids of every kind.
        data = bytes(range(256))
        assert await store.save([write("a", 0, 7, data), write("+49:1~b@c", 0, 8, b"\0")]) == [True, True]
        assert await store.load(["+49:1~b@c", "none", "a"]) == [Stored(8, b"\0"), None, Stored(7, data)]
        assert await store.count() == 2

    run(opened, work)


def test_of_two_changes_from_one_version_the_first_is_made(opened):
    async def work(store):
        assert await store.save([write("a", 0, 1)]) == [True]
        assert await store.save([write("a", 0, 2, b"again")]) == [False]
        assert await store.save([write("a", 1, 3, b"first"), write("b", 5, 6)]) == [True, False]
        assert await store.save([write("a", 1, 4, b"second")]) == [False]
        assert await store.load(["a", "b"]) == [Stored(3, b"first"), None]

    run(opened, work)


def test_many_who_change_at_once_do_not_overwrite_each_other(opened):
    """Each adds one to a number in each of three sessions, by reading, adding, and trying again if somebody was quicker."""

    async def work(store):
        names, clock = ["a", "b", "c"], itertools.count(10)
        await store.save([write(name, 0, next(clock), b"0") for name in names])

        async def add(name):
            while True:
                (there,) = await store.load([name])
                more = str(int(there.data) + 1).encode()
                if (await store.save([write(name, there.version, next(clock), more)]))[0]:
                    return

        await asyncio.gather(*(add(name) for name in names * 15))
        assert [there.data for there in await store.load(names)] == [b"15"] * 3

    run(opened, work)


def test_deleted_sessions_can_begin_again(opened):
    async def work(store):
        await store.save([write("a", 0, 1)])
        assert await store.save([write("a", 2, 3, None)]) == [False]
        assert await store.save([write("a", 1, 3, None)]) == [True]
        assert (await store.load(["a"]), await store.count()) == ([None], 0)
        assert await store.save([write("a", 0, 4, b"new")]) == [True]

    run(opened, work)


def test_sessions_expire(opened):
    async def work(store):
        await store.save([write("short", 0, 1, expires_in=0.2), write("long", 0, 1)])
        await asyncio.sleep(0.3)
        assert await store.load(["short", "long"]) == [None, Stored(1, b"x")]
        # Nobody goes on with it, whoever had read it before; but it can begin again.
        assert await store.save([write("short", 1, 2)]) == [False]
        assert await store.expire() == 1
        assert await store.count() == 1
        assert await store.save([write("short", 0, 3)]) == [True]

    run(opened, work)


def test_an_expired_session_begins_again_also_before_it_is_swept_out(opened):
    async def work(store):
        await store.save([write("a", 0, 1, expires_in=0.1)])
        await asyncio.sleep(0.2)
        assert await store.save([write("a", 0, 2, b"new")]) == [True]
        assert await store.load(["a"]) == [Stored(2, b"new")]

    run(opened, work)


def test_another_process_finds_what_was_saved(opened):
    if opened is MemoryStore:
        pytest.skip("memory is this process'")
    assert run(opened, lambda store: store.save([write("a", 0, 1)])) == [True]
    assert run(opened, lambda store: store.load(["a"])) == [Stored(1, b"x")]


def test_a_place_that_holds_no_sessions_is_named(tmp_path):
    (tmp_path / "book.sqlite").write_text("once upon a time, long before there were any databases")
    with pytest.raises(StoreError, match=r"book\.sqlite.*not a database"):
        SqliteStore(tmp_path / "book.sqlite")


def test_redis_that_is_gone_is_said():
    from dialog_policy.serving.stores.redis import RedisStore

    with pytest.raises(StoreError, match="does not answer"):
        run(lambda: RedisStore("redis://127.0.0.1:1/0"), lambda store: store.count())


def test_postgres_that_is_gone_is_said_without_its_password():
    pytest.importorskip("asyncpg", reason="the extra postgres is not installed")
    store = open_store("postgresql://someone:secret@127.0.0.1:1/sessions")
    with pytest.raises(StoreError, match="PostgreSQL, where sessions are kept, does not answer") as error:
        run(lambda: store, lambda store: store.count())
    assert "secret" not in str(error.value)


def test_postgres_that_restarts_is_connected_to_again(postgres_url):  # noqa: F811
    import asyncpg

    async def work():
        store = open_store(postgres_url)
        assert await store.save([write("restarted", 0, 1)]) == [True]
        admin = await asyncpg.connect(postgres_url)
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        await admin.close()
        for _ in range(10):
            try:
                assert await store.load(["restarted"]) == [Stored(1, b"x")]
                break
            except StoreError:  # the connection that was cut; the next one is new
                continue
        else:
            raise AssertionError("never connected again")
        await store.close()

    asyncio.run(work())


def test_many_servers_make_the_table_at_once(postgres_url):  # noqa: F811
    from dialog_policy.serving.stores.postgres import PostgresStore

    async def work():
        stores = [PostgresStore(postgres_url, "made_together") for _ in range(8)]
        assert await asyncio.gather(*(store.count() for store in stores)) == [0] * 8
        for store in stores:
            await store.close()

    asyncio.run(work())


def test_another_kind_of_url_is_refused_without_printing_it():
    with pytest.raises(OptionError, match="postgresql://USER@HOST") as error:
        open_store("mysql://someone:secret@host/db")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(("copy_after", "begins_anew"), [(4 << 20, True), (10**12, False)])
def test_the_write_ahead_log_begins_anew_while_sessions_go_on(tmp_path, copy_after, begins_anew):
    names = [f"s{number}" for number in range(50)]
    rounds = 60

    async def work():
        store = SqliteStore(tmp_path / "sessions.sqlite", copy_after=copy_after)
        for version in range(rounds):
            await store.save([write(name, version, version + 1, bytes([version]) * 3_000) for name in names])
        log = (tmp_path / "sessions.sqlite-wal").stat().st_size
        await store.close()
        again = SqliteStore(tmp_path / "sessions.sqlite")
        assert await again.load(names) == [Stored(rounds, bytes([rounds - 1]) * 3_000)] * len(names)
        await again.close()
        return log

    written = rounds * len(names) * 3_000
    assert (asyncio.run(work()) < written / 2) == begins_anew


def test_large_sessions_do_not_let_the_log_grow_without_end(tmp_path):
    """A few writes of megabytes are copied as soon as many writes of kilobytes."""

    async def work():
        store = SqliteStore(tmp_path / "sessions.sqlite")
        for version in range(60):
            await store.save([write("a", version, version + 1, b"x" * 2_000_000)])
        log = (tmp_path / "sessions.sqlite-wal").stat().st_size
        await store.close()
        return log

    assert asyncio.run(work()) < 60 * 2_000_000 / 2


def test_what_a_killed_server_left_in_the_log_is_copied_at_the_start(tmp_path):
    killed = (
        "import asyncio, os, pathlib, sys\n"
        "from dialog_policy.serving.stores import SqliteStore, Write\n"
        "async def work():\n"
        "    store = SqliteStore(pathlib.Path(sys.argv[1]), copy_after=10**12)\n"
        "    await store.save([Write(f's{n}', 0, 1, b'x' * 100_000, 1e12) for n in range(30)])\n"
        "    os._exit(9)\n"
        "asyncio.run(work())\n"
    )
    path = tmp_path / "sessions.sqlite"
    subprocess.run([sys.executable, "-c", killed, str(path)], check=False)
    log = path.with_name("sessions.sqlite-wal")
    assert log.stat().st_size > 3_000_000

    async def work():
        store = SqliteStore(path)
        size = log.stat().st_size
        assert await store.count() == 30
        await store.close()
        return size

    assert asyncio.run(work()) == 0
