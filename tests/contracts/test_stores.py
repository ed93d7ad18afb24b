"""Every store of sessions keeps the promises of :mod:`dialog_policy.testing`: memory, SQLite, a real Redis; and some of its own."""

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")
from dialog_policy.serving.stores import MemoryStore, SqliteStore, Stored, StoreError, Write
from dialog_policy.testing import parametrize_with_checks, store_checks
from tests.serving.conftest import redis_url  # noqa: F401 - a fixture

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
