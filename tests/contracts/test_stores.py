"""Every store of sessions keeps the promises of :mod:`dialog_policy.testing`, and some of its own: memory, SQLite, Redis, PostgreSQL."""

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")
from dialog_policy.errors import OptionError
from dialog_policy.serving.stores import MemoryStore, SqliteStore, Stored, StoreError, Write, open_store
from dialog_policy.testing import parametrize_with_checks, store_checks
from tests.serving.conftest import postgres_url, redis_url  # noqa: F401 - fixtures

_PLACE = tempfile.TemporaryDirectory()
_FOLDER = Path(_PLACE.name)
CHECKS = [
    *store_checks("memory", lambda name: MemoryStore(), lasts=False),
    *store_checks("sqlite", lambda name: SqliteStore(_FOLDER / f"{name}.sqlite")),
]


@parametrize_with_checks(CHECKS)
def test_contract(check):
    check()


def _redis(name):
    from dialog_policy.serving.stores.redis import RedisStore

    return RedisStore(_redis.url, f"{{test-{name}}}")


@parametrize_with_checks(store_checks("redis", _redis))
def test_contract_of_redis(check, redis_url):  # noqa: F811
    _redis.url = redis_url
    check()


def _postgres(name):
    from dialog_policy.serving.stores.postgres import PostgresStore

    return PostgresStore(_postgres.url, f"test_{name.replace('-', '_')}")


@parametrize_with_checks(store_checks("postgres", _postgres))
def test_contract_of_postgres(check, postgres_url):  # noqa: F811
    _postgres.url = postgres_url
    check()


def run(opened, work):
    async def within():
        store = opened()
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(within())


def write(id, before, after, data=b"x", expires_in=60.0):
    return Write(id, before, after, data, time.time() + expires_in)


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


def test_a_user_who_may_make_no_tables_is_told_so_and_may_use_those_that_are_there(postgres_url):  # noqa: F811
    import asyncpg

    from dialog_policy.serving.stores.postgres import PostgresStore

    async def work():
        admin = await asyncpg.connect(postgres_url)
        await admin.execute("CREATE ROLE guest LOGIN")
        url = postgres_url.replace("//policy@", "//guest@")
        guest = PostgresStore(url, "of_another")
        with pytest.raises(StoreError, match=r"no tables: permission denied.*owner"):
            await guest.count()
        owner = PostgresStore(postgres_url, "of_another")
        assert await owner.count() == 0
        with pytest.raises(StoreError, match="cannot be used: permission denied for table"):
            await guest.count()
        await admin.execute("GRANT ALL ON of_another, of_another_values TO guest")
        assert await guest.save([write("s", 0, 1)]) == [True]
        assert await owner.load(["s"]) == [Stored(1, b"x")]
        for opened in (guest, owner, admin):
            await opened.close()

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
