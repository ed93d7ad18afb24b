"""A training and a server over a long time: what of memory, threads, descriptors and sessions grows, and how fast.

Both run in a process of their own, which is looked at from outside once a second.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from benchmarks.client import Connection, ServerProcess, ask, connect, run_client
from benchmarks.machine import describe_machine, machine
from dialog_policy.corpus import Dialogue

__all__ = ["Sample", "describe_soak", "growth", "soak_server", "soak_training"]

# A share of the time that belongs to warming up: what is loaded once, caches that fill.
_WARM = 0.25
# Growth between the first and the last part after that, as a share of the memory, below which memory counts as flat.
_FLAT = 0.02


class Sample(NamedTuple):
    """A process at one moment.

    Attributes
    ----------
    seconds
        Since the beginning.
    rss_mb
        Resident memory, MiB.
    threads, descriptors
        How many it has.
    done
        Epochs that a training has finished, turns that a server has answered.
    sessions
        Sessions that a server has.
    """

    seconds: float
    rss_mb: float
    threads: int
    descriptors: int
    done: int
    sessions: int = 0


def soak_training(corpus: str, *, seconds: float, options: Sequence[str] = ()) -> dict[str, Any]:
    """Train, one epoch after the other, until the time is over.

    Parameters
    ----------
    corpus
        What is trained on.
    seconds
        How long, from the end of the first epoch.
    options
        What follows ``dialog-policy train CORPUS``.

    Returns
    -------
    dict
        As :func:`growth` says, with ``kind`` and ``machine``.
    """
    about = machine("tensorflow", "keras")
    with tempfile.TemporaryDirectory() as folder:
        endless = ("--set", "epochs=100000", "--set", "patience=100000")
        main = "from dialog_policy.cli import main; main()"
        command = [sys.executable, "-c", main, "train", corpus, "--out", f"{folder}/run", *endless, *options]
        table = Path(folder) / "run.partial" / "logs" / "training.csv"
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                while not _epochs(table):
                    if process.poll() is not None:
                        raise RuntimeError(f"the training ended with {process.returncode}: {' '.join(command)}")
                    time.sleep(0.1)
                samples: list[Sample] = []
                began = time.monotonic()
                while (spent := time.monotonic() - began) < seconds:
                    samples.append(_sample(process.pid, spent, _epochs(table)))
                    time.sleep(min(1.0, seconds / 20))
            finally:
                process.send_signal(signal.SIGKILL)
    return {"kind": "training", **growth(samples), "machine": about}


def _epochs(table: Path) -> int:
    """How many epochs the log of a training has."""
    return max(0, table.read_bytes().count(b"\n") - 1) if table.exists() else 0


class _Talk:
    """What all connections share: turns that were answered, sessions that were begun and that are left, when a turn is due."""

    def __init__(self) -> None:
        self.turns = self.begun = self.sessions = 0
        self.interval = self.due = 0.0

    async def pace(self) -> None:
        """Wait until the next turn is due."""
        self.due = max(self.due + self.interval, time.perf_counter() - 1.0)
        await asyncio.sleep(max(0.0, self.due - time.perf_counter()))


class _Client:
    """A connection that is opened again, as every client of HTTP does, where the server has closed it while it was idle."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: Connection | None = None

    async def ask(self, head: str, body: Any, expected: int) -> None:
        request = ask(head, b"" if body is None else msgspec.json.encode(body))
        try:
            self._connection = self._connection or await connect(self._port)
            status, answer = await self._connection.ask(request)
        except ConnectionError:
            self._connection = await connect(self._port)
            status, answer = await self._connection.ask(request)
        if status != expected:
            raise AssertionError(f"{head.strip()}: {status} {answer.decode(errors='replace')}")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


async def _converse(port: int, dialogues: Sequence[Dialogue], number: int, talk: _Talk, stop: asyncio.Event) -> None:
    """Have one conversation after the other; each is removed when it is over."""
    client = _Client(port)
    for count, dialogue in enumerate(itertools.cycle(dialogues)):
        name = f"soak-{number}-{count}"
        await client.ask("POST /sessions HTTP/1.1\r\n", {"id": name}, 201)
        talk.begun += 1
        talk.sessions += 1
        for turn in dialogue.turns:
            await talk.pace()
            # With a number, so that no utterance was ever heard before: what a policy remembers fills up, and is let go of.
            said = {"user": f"{turn.user or ''} {talk.turns}", "context": turn.context}
            await client.ask(f"POST /sessions/{name}/turns HTTP/1.1\r\n", said, 201)
            talk.turns += 1
            if stop.is_set():
                break
        await client.ask(f"DELETE /sessions/{name} HTTP/1.1\r\n", None, 204)
        talk.sessions -= 1
        if stop.is_set():
            break
    client.close()


def soak_server(
    run: str, dialogues: Sequence[Dialogue], *, seconds: float, connections: int = 16, share: float = 0.5
) -> dict[str, Any]:
    """Serve conversations at a share of the load that the server can bear, until the time is over.

    Parameters
    ----------
    run
        The run to serve.
    dialogues
        What users say.
    seconds
        How long. What the server can bear is found out in a twentieth of it before that.
    connections
        Requests under way at a time, at the most.
    share
        Of the turns a second that it can bear.

    Returns
    -------
    dict
        As :func:`growth` says, with ``kind``, ``begun`` (sessions), ``most_turns_per_s, turns_per_s`` and ``machine``.
    """
    about = machine("uvloop", "uvicorn")

    async def talk(server: ServerProcess) -> dict[str, Any]:
        async def for_some(limit: float, interval: float, sample: Callable[[float, _Talk], None]) -> _Talk:
            talked, stop = _Talk(), asyncio.Event()
            talked.interval, talked.due = interval, time.perf_counter()
            # Each begins somewhere else, so that all that the dialogues say has been said while the caches still may fill.
            starts = [n * len(dialogues) // connections for n in range(connections)]
            parts = [[*dialogues[start:], *dialogues[:start]] for start in starts]
            talkers = [asyncio.create_task(_converse(server.port, p, n, talked, stop)) for n, p in enumerate(parts)]
            began = time.monotonic()
            while (spent := time.monotonic() - began) < limit and not any(task.done() for task in talkers):
                sample(spent, talked)
                await asyncio.sleep(min(1.0, limit / 20))
            stop.set()
            await asyncio.gather(*talkers)
            return talked

        quick = max(0.5, seconds / 20)
        most = (await for_some(quick, 0.0, lambda spent, talked: None)).turns / quick
        samples: list[Sample] = []
        pid = server.process.pid
        talked = await for_some(
            seconds, 1 / (share * most),
            lambda spent, talked: samples.append(_sample(pid, spent, talked.turns, talked.sessions)),
        )  # fmt: skip
        speed = {"most_turns_per_s": most, "turns_per_s": talked.turns / seconds}
        return {"begun": talked.begun, **speed, **growth(samples)}

    with (
        tempfile.TemporaryDirectory() as folder,
        ServerProcess(run, "--store", f"{folder}/sessions.sqlite", "--rate", "0") as server,
    ):
        result: dict[str, Any] = run_client(talk(server))
    return {"kind": "serving", **result, "machine": about}


def growth(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return what grows in a row of samples, of which the first quarter is left out.

    Returns
    -------
    dict
        ``seconds``, ``done``; ``rss_mb`` with ``first, last`` (medians of the first and the last third of what is left), ``greatest``
        and ``slope_per_hour`` (least squares, MiB); ``threads, descriptors, sessions``: least and greatest of each; ``flat``:
        whether memory grew by no more than 2 % and the least number of threads and of descriptors did not grow from the first third
        to the last. What leaks never goes away and raises the least; what comes and goes, like idle connections, changes the greatest.
    """
    kept = [sample for sample in samples if sample.seconds >= _WARM * samples[-1].seconds]
    third = max(1, len(kept) // 3)
    first, last = kept[:third], kept[-third:]
    memory = np.array([sample.rss_mb for sample in kept])
    before, after = (float(np.median([sample.rss_mb for sample in part])) for part in (first, last))
    slope = np.polyfit([sample.seconds for sample in kept], memory, 1)[0] if len(kept) > 1 else 0.0
    counts = {
        name: {"least": min(values), "greatest": max(values)}
        for name in ("threads", "descriptors", "sessions")
        if (values := [getattr(sample, name) for sample in kept])
    }
    steady = all(
        min(getattr(sample, name) for sample in last) <= min(getattr(sample, name) for sample in first)
        for name in ("threads", "descriptors")
    )
    return {
        "seconds": samples[-1].seconds,
        "done": samples[-1].done,
        "rss_mb": {
            "first": before,
            "last": after,
            "greatest": float(memory.max()),
            "slope_per_hour": float(slope) * 3_600,
        },
        **counts,
        "flat": bool(after <= before * (1 + _FLAT) and steady),
    }


def describe_soak(result: dict[str, Any]) -> str:
    """Return a result as text for the terminal."""
    memory = result["rss_mb"]
    ranges = ", ".join(
        f"{result[name]['least']} to {result[name]['greatest']} {name}"
        for name in ("threads", "descriptors", "sessions")
        if result[name]["greatest"]
    )
    done = (
        f"{result['done']:,} epochs"
        if result["kind"] == "training"
        else f"{result['done']:,} turns of {result['begun']:,} sessions, {result['turns_per_s']:,.0f} a second of at most {result['most_turns_per_s']:,.0f}"
    )
    return (
        f"{result['kind']}, {result['seconds']:,.0f} s: {done}\n"
        f"memory {memory['first']:,.1f} MB in the first third, {memory['last']:,.1f} in the last, {memory['greatest']:,.1f} at the most, "
        f"{memory['slope_per_hour']:+,.1f} an hour\n{ranges}; {'flat' if result['flat'] else 'NOT FLAT'}\n"
        f"{describe_machine(result['machine'])}"
    )


def _sample(pid: int, seconds: float, done: int, sessions: int = 0) -> Sample:
    process = Path(f"/proc/{pid}")
    pages = int((process / "statm").read_text().split()[1])
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    descriptors = len(list((process / "fd").iterdir()))
    rss = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return Sample(seconds, rss, int(status["Threads"]), descriptors, done, sessions)
