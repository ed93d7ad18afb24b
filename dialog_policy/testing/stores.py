"""What a store of sessions promises: :class:`~dialog_policy.serving.stores.Store`."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from dialog_policy.serving.stores import RefusedValueError, Store, Stored, Write
from dialog_policy.testing.check import Check, check, checks_of, same

__all__ = ["store_checks"]

_T = TypeVar("_T")
_Open = Callable[[str], Store]
_PROMISES: list[Callable[..., None]] = []
_LASTING: list[Callable[..., None]] = []
_SOON = 60.0


def store_checks(name: str, open_store: _Open, *, lasts: bool = True) -> list[Check]:
    """Return the checks of a store of sessions.

    Parameters
    ----------
    name
        Of the store.
    open_store
        Opens the store at a place of the given name; one that was never named before is empty.
    lasts
        Whether what is saved is there when the store is opened again.
    """
    return checks_of(name, [*_PROMISES, *(_LASTING if lasts else [])], open_store)


def _use(store: Store, work: Callable[[Store], Awaitable[_T]]) -> _T:
    async def within() -> _T:
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(within())


def _write(id: str, before: int, after: int, data: bytes | None = b"x", expires_in: float = _SOON) -> Write:
    return Write(id, before, after, data, time.time() + expires_in)


@check(_PROMISES)
def _saved(open_store: _Open) -> None:
    """What is saved is there, and everything else is not."""

    async def work(store: Store) -> None:
        data = bytes(range(256))
        same(await store.save([_write("a", 0, 7, data), _write("+49:1~b@c", 0, 8, b"\0")]), [True, True], "save")
        same(await store.load(["+49:1~b@c", "none", "a"]), [Stored(8, b"\0"), None, Stored(7, data)], "load")
        same(await store.count(), 2, "count")
        same(await store.load([]), [], "load of nothing")
        same(await store.save([]), [], "save of nothing")

    _use(open_store("saved"), work)


@check(_PROMISES)
def _first_wins(open_store: _Open) -> None:
    """Of two changes from one version the first is made."""

    async def work(store: Store) -> None:
        same(await store.save([_write("a", 0, 1)]), [True], "a beginning")
        same(await store.save([_write("a", 0, 2, b"again")]), [False], "a second beginning")
        same(await store.save([_write("a", 1, 3, b"first"), _write("b", 5, 6)]), [True, False], "two changes")
        same(await store.save([_write("a", 1, 4, b"second")]), [False], "a change of an old version")
        same(await store.load(["a", "b"]), [Stored(3, b"first"), None], "load")

    _use(open_store("first"), work)


@check(_PROMISES)
def _many(open_store: _Open) -> None:
    """Many who change at once do not overwrite each other."""

    async def work(store: Store) -> None:
        names, clock = ["a", "b", "c"], itertools.count(10)
        await store.save([_write(name, 0, next(clock), b"0") for name in names])

        async def add(name: str) -> None:
            while True:
                (there,) = await store.load([name])
                assert there is not None, f"{name} is gone"
                more = str(int(there.data) + 1).encode()
                if (await store.save([_write(name, there.version, next(clock), more)]))[0]:
                    return

        await asyncio.gather(*(add(name) for name in names * 15))
        same([there and there.data for there in await store.load(names)], [b"15"] * 3, "sums")

    _use(open_store("many"), work)


@check(_PROMISES)
def _deleted(open_store: _Open) -> None:
    """Deleted sessions can begin again."""

    async def work(store: Store) -> None:
        await store.save([_write("a", 0, 1)])
        same(await store.save([_write("a", 2, 3, None)]), [False], "deletion of another version")
        same(await store.save([_write("a", 1, 3, None)]), [True], "deletion")
        same((await store.load(["a"]), await store.count()), ([None], 0), "what is left")
        same(await store.save([_write("a", 0, 4, b"new")]), [True], "a new beginning")

    _use(open_store("deleted"), work)


@check(_PROMISES)
def _expired(open_store: _Open) -> None:
    """Sessions expire, and are swept out."""

    async def work(store: Store) -> None:
        await store.save([_write("short", 0, 1, expires_in=0.2), _write("long", 0, 1)])
        await asyncio.sleep(0.3)
        same(await store.load(["short", "long"]), [None, Stored(1, b"x")], "load")
        # Nobody goes on with it, whoever had read it before; but it can begin again.
        same(await store.save([_write("short", 1, 2)]), [False], "a change of what has expired")
        same(await store.expire(), 1, "expire")
        same(await store.count(), 1, "count")
        same(await store.save([_write("short", 0, 3)]), [True], "a new beginning")

    _use(open_store("expired"), work)


@check(_PROMISES)
def _expired_not_swept(open_store: _Open) -> None:
    """An expired session begins again also before it is swept out."""

    async def work(store: Store) -> None:
        await store.save([_write("a", 0, 1, expires_in=0.1)])
        await asyncio.sleep(0.2)
        same(await store.save([_write("a", 0, 2, b"new")]), [True], "a new beginning")
        same(await store.load(["a"]), [Stored(2, b"new")], "load")

    _use(open_store("unswept"), work)


@check(_PROMISES)
def _refused(open_store: _Open) -> None:
    """An id that it cannot hold is refused or not there, and what is asked for beside it is done."""

    async def work(store: Store) -> None:
        await store.save([_write("a", 0, 1)])
        for number, name in enumerate(("a\0b", "\ud800", "x" * 100_000, "", "\n", "\U0001f600" * 99)):
            with contextlib.suppress(RefusedValueError):
                same(await store.load([name]), [None], f"load of {name[:9]!r}")
            version = number + 1
            outcomes = await asyncio.gather(
                store.save([_write("a", version, version + 1)]),
                store.save([_write(name, 9, 10)]),
                store.save([_write(f"b{number}", 0, 1)]),
                return_exceptions=True,
            )
            assert isinstance(outcomes[1], RefusedValueError) or outcomes[1] == [False], repr(outcomes[1])
            same((outcomes[0], outcomes[2]), ([True], [True]), f"saves beside {name[:9]!r}")

    _use(open_store("refused"), work)


@check(_PROMISES)
def _values(open_store: _Open) -> None:
    """Values are kept beside the sessions: they are no sessions, neither by count nor by id, and the last one stays."""

    async def work(store: Store) -> None:
        same(await store.load_value("wanted:a"), None, "a value that was never kept")
        await store.save_value("wanted:a", bytes(range(256)))
        await store.save_value("wanted:b", b"other")
        await store.save_value("wanted:a", b"new")
        same([await store.load_value(f"wanted:{name}") for name in "ab"], [b"new", b"other"], "values")
        same((await store.load(["wanted:a"]), await store.count(), await store.expire()), ([None], 0, 0), "sessions")

    _use(open_store("values"), work)


@check(_LASTING)
def _values_last(open_store: _Open) -> None:
    """A value that was kept is there when the store is opened again."""
    _use(open_store("values-last"), lambda store: store.save_value("wanted", b"new"))
    same(_use(open_store("values-last"), lambda store: store.load_value("wanted")), b"new", "value")


@check(_LASTING)
def _lasts(open_store: _Open) -> None:
    """What was saved is there when the store is opened again."""
    same(_use(open_store("lasts"), lambda store: store.save([_write("a", 0, 1)])), [True], "save")
    same(_use(open_store("lasts"), lambda store: store.load(["a"])), [Stored(1, b"x")], "load")
