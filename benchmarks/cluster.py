"""Several workers under load while one is killed, one is restarted and the run is exchanged: nothing may be lost or doubled.

``scripts/cluster/start`` runs as it is: workers over Redis or PostgreSQL, nginx before them, everything in processes of its own.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
import numpy as np

from benchmarks.client import ask, connect
from benchmarks.load import Conversation, begin, lost_turns
from benchmarks.services import free_port
from dialog_policy.corpus import Dialogue
from dialog_policy.runtime import Policy

__all__ = ["Cluster", "describe_cluster", "measure_cluster", "persevere"]

_START = Path(__file__).resolve().parent.parent / "scripts" / "cluster" / "start"
_WORKER = re.compile(r"worker (\d+): process (\d+), port \d+")
# Answers after which a client sends a turn again: another request of this session is under way, or nobody could answer.
_AGAIN = frozenset({409, 502, 503, 504})
_LOOK_S = 0.1
# One turn of so many is sent twice, as after an answer that got lost.
_TWICE = 100


class Cluster:
    """``scripts/cluster/start`` in a process of its own, at free ports; ready when all its workers are. Use as a context manager.

    Parameters
    ----------
    run
        The run to serve, as an argument of ``serve``.
    store
        ``redis``, ``postgres`` or a URL.
    workers
        How many.
    """

    def __init__(self, run: str, store: str, workers: int = 3) -> None:
        self.port, self.ports = free_port(), [free_port() for _ in range(workers)]
        ports = {f"PORT_{number}": str(port) for number, port in enumerate(self.ports, 1)}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        given = {"WORKERS": str(workers), "STORE": store, "STORE_PORT": str(free_port()), "PORT": str(self.port)}
        self.process = subprocess.Popen(
            [sys.executable, str(_START), run, "--rate", "0"],
            env={**os.environ, **ports, **given, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.pids: dict[int, int] = {}
        self._said = b""
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.terminate()
        code = self.process.wait()
        if error is None and code != 0:
            raise RuntimeError(f"scripts/cluster/start ended with {code}")

    def read_pids(self) -> dict[int, int]:
        """Return the process of each worker, by its number from 1."""
        assert self.process.stdout is not None
        self._said += self.process.stdout.read() or b""
        self.pids = {int(number): int(pid) for number, pid in _WORKER.findall(self._said.decode())}
        return self.pids

    async def model(self, number: int) -> dict[str, Any] | None:
        """Return what a worker says of its run; None if it does not answer."""
        try:
            connection = await connect(self.ports[number - 1])
            status, body = await connection.ask(ask("GET /model HTTP/1.1\r\n"))
        except OSError:
            return None
        connection.close()
        return msgspec.json.decode(body, type=dict[str, Any]) if status == 200 else None

    async def wait_until(self, condition: Callable[[dict[str, Any] | None], bool], numbers: Sequence[int]) -> None:
        """Wait until what each of some workers says of its run is as it should be."""
        for number in numbers:
            while not condition(await self.model(number)):
                if self.process.poll() is not None:
                    raise RuntimeError(f"scripts/cluster/start ended with {self.process.returncode}")
                await asyncio.sleep(_LOOK_S)

    async def wait(self) -> None:
        """Wait until all workers answer."""
        await self.wait_until(lambda model: model is not None, range(1, len(self.ports) + 1))

    async def stop_worker(self, number: int, how: signal.Signals) -> None:
        """End a worker; wait until another process answers in its place."""
        before = self.read_pids()[number]
        os.kill(before, how)
        while self.read_pids()[number] == before:
            await asyncio.sleep(_LOOK_S)
        await self.wait_until(lambda model: model is not None, [number])


async def persevere(
    port: int, conversations: Sequence[Conversation], *, connections: int, stop: asyncio.Event, latencies: list[float]
) -> Counter[str]:
    """Go on with all conversations by turns until told to stop; a turn that was not answered is sent again, with its key.

    Parameters
    ----------
    port
        Where the servers are reached, on this machine.
    conversations
        All begun; each belongs to one connection.
    connections
        How many, at most one a conversation; each has one request under way.
    stop
        Ends it, after the requests that are under way.
    latencies
        Seconds until a turn was answered are added here, however often it was sent.

    Returns
    -------
    Counter
        Why turns were sent again: a status, or ``"connection"``; how often.

    Raises
    ------
    AssertionError
        If an answer is not the one to the request.
    """
    again: Counter[str] = Counter()
    connected: dict[int, Any] = {}

    async def insist(request: bytes, place: int) -> tuple[int, bytes]:
        while True:
            try:
                if place not in connected:
                    connected[place] = await connect(port)
                status, body = await connected[place].ask(request)
            except OSError:
                connected.pop(place, None)
                again["connection"] += 1
            else:
                if status not in _AGAIN:
                    return status, body
                again[str(status)] += 1
            await asyncio.sleep(_LOOK_S)

    async def some(conversations: Sequence[Conversation], place: int) -> None:
        for number, conversation in enumerate(itertools.cycle(conversations)):
            if stop.is_set():
                break
            request = conversation.request()
            sent = time.perf_counter()
            conversation.check(*(await insist(request, place)))
            latencies.append(time.perf_counter() - sent)
            if (number + place) % _TWICE == 0:
                conversation.check(*(await insist(request, place)))
            conversation.acknowledged += 1

    try:
        await asyncio.gather(*(some(conversations[n::connections], n) for n in range(connections)))
    finally:
        for connection in connected.values():
            connection.close()
    return again


def measure_cluster(
    dialogues: Sequence[Dialogue],
    run: Path,
    newer: Path,
    *,
    store: str,
    folder: Path,
    sessions: int = 1_000,
    connections: int = 16,
    seconds: float = 5.0,
) -> dict[str, Any]:
    """Talk with three workers while one is killed, one is restarted and a newer run is rolled out; check all that they keep.

    Parameters
    ----------
    dialogues
        What users say.
    run, newer
        The run that is served, and the one that takes its place.
    store
        ``redis``, ``postgres`` or a URL.
    folder
        Where a copy of the run is served from.
    sessions
        Live sessions.
    connections
        Requests under way at a time.
    seconds
        How long turns are made before, between and after these events.

    Returns
    -------
    dict
        ``turns`` (acknowledged), ``wrong`` (lost, doubled or crossed), ``again`` (why turns were sent again, how often),
        ``p50_ms, p99_ms, max_ms`` until an answer, ``turns_per_s, sessions, connections``.

    Raises
    ------
    AssertionError
        If an answer is not the one to the request.
    """
    conversations = [Conversation(n, dialogue) for n, dialogue in zip(range(sessions), itertools.cycle(dialogues))]
    latencies: list[float] = []
    served = folder / "served"
    shutil.copytree(run, served)

    async def disturb(cluster: Cluster, stop: asyncio.Event) -> None:
        try:
            await asyncio.sleep(seconds)
            await cluster.stop_worker(1, signal.SIGKILL)
            await asyncio.sleep(seconds)
            await cluster.stop_worker(2, signal.SIGTERM)
            await asyncio.sleep(seconds)
            exchange(newer, served)
            cluster.process.send_signal(signal.SIGHUP)
            wanted = Policy.load(newer).id
            await cluster.wait_until(lambda model: model is not None and model["policy"] == wanted, (1, 2, 3))
            await asyncio.sleep(seconds)
        finally:
            stop.set()

    async def talk(cluster: Cluster) -> dict[str, Any]:
        await cluster.wait()
        await begin(cluster.port, conversations, connections)
        stop = asyncio.Event()
        began = time.perf_counter()
        again, _ = await asyncio.gather(
            persevere(cluster.port, conversations, connections=connections, stop=stop, latencies=latencies),
            disturb(cluster, stop),
        )
        spent = time.perf_counter() - began
        turns = sum(conversation.acknowledged for conversation in conversations)
        return {
            "turns": turns,
            "wrong": await lost_turns(cluster.port, conversations),
            "again": dict(again),
            **{f"p{q}_ms": float(np.quantile(latencies, q / 100)) * 1e3 for q in (50, 99)},
            "max_ms": max(latencies) * 1e3,
            "turns_per_s": turns / spent,
            "sessions": sessions,
            "connections": connections,
        }

    with Cluster(str(served), store) as cluster:
        return asyncio.run(talk(cluster))


def exchange(newer: Path, place: Path) -> None:
    """Put a run in the place of another one, as a deployment does: beside it first, then renamed."""
    shutil.copytree(newer, place.with_name(f"{place.name}.new"))
    place.rename(place.with_name(f"{place.name}.old"))
    place.with_name(f"{place.name}.new").rename(place)


def describe_cluster(result: dict[str, Any]) -> str:
    """Return a result as text for the terminal."""
    again = ", ".join(f"{count} × {reason}" for reason, count in sorted(result["again"].items())) or "none"
    return (
        f"{result['turns']:,} turns acknowledged; {result['wrong']} lost, doubled or in another session\n"
        f"{result['turns_per_s']:,.0f} turns/s; {result['p50_ms']:.1f} ms median, {result['p99_ms']:.1f} ms p99, "
        f"{result['max_ms']:.0f} ms at the most; {result['connections']} requests at a time, {result['sessions']:,} sessions\n"
        f"sent again: {again}"
    )
