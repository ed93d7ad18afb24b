"""Two questions to a running server: who waits for somebody else's long turns, and what a reload leaves in memory."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.client import ServerProcess, ask, connect, run_client
from benchmarks.load import Conversation, begin, converse
from benchmarks.machine import machine
from dialog_policy.corpus import Dialogue, Turn

__all__ = ["measure_long_turns", "measure_reloads"]

_LONG = 62_000


def measure_long_turns(run: str, store: str, *, long_turns: int = 7, seconds: float = 5.0) -> dict[str, Any]:
    """Measure how long a client waits for the answer to "hi" while others send long turns.

    Parameters
    ----------
    run
        The run to serve.
    store
        As ``--store``.
    long_turns
        How many sessions send turns of 62 kB whose results share their first word, one after the other.
    seconds
        How long "hi" is said alone, and then beside the long turns.

    Returns
    -------
    dict
        ``alone`` and ``beside``: ``p50_ms, p99_ms, max_ms`` and ``turns``; ``long_turns`` that were answered meanwhile, and
        ``machine``.
    """
    about = machine()
    hi = Conversation(0, Dialogue(id="hi", turns=(Turn(user="hi", context={}, actions=None, system=""),)))

    def longs(n: int) -> Dialogue:
        # Every turn has other values, so that nothing is known from the turn before.
        turns = []
        for number in range(20):
            records: list[dict[str, str]] = []
            size = 0
            while size < _LONG:
                records.append({"name": f"results {n} {number} {len(records)}", "area": f"results {len(records)}"})
                size += len(msgspec.json.encode(records[-1])) + 1
            turns.append(Turn(user="more", context={"results": records[:-1]}, actions=None, system=""))
        return Dialogue(id=f"long-{n}", turns=tuple(turns))

    others = [Conversation(n, longs(n)) for n in range(1, long_turns + 1)]

    async def talk(port: int) -> dict[str, Any]:
        await begin(port, [hi, *others], 1)
        alone: list[float] = []
        beside: list[float] = []
        await converse(port, [hi], connections=1, seconds=seconds, latencies=alone)
        await asyncio.gather(
            converse(port, [hi], connections=1, seconds=seconds, latencies=beside),
            converse(port, others, connections=long_turns, seconds=seconds, latencies=[]),
        )
        answered = sum(conversation.acknowledged for conversation in others)
        return {"alone": _waited(alone), "beside": _waited(beside), "long_turns": answered, "machine": about}

    limits = ("--max-body", "131072", "--max-turns", "100000", "--rate", "0")
    with ServerProcess(run, "--store", store, *limits) as server:
        result: dict[str, Any] = run_client(talk(server.port))
    return result


def _waited(latencies: list[float]) -> dict[str, float]:
    quantiles = {f"p{q}_ms": float(np.quantile(latencies, q / 100)) * 1e3 for q in (50, 99)}
    return {**quantiles, "max_ms": max(latencies) * 1e3, "turns": len(latencies)}


def measure_reloads(run: str, *, reloads: int = 100) -> dict[str, Any]:
    """Measure the resident memory of a server after each of many reloads of its run.

    Parameters
    ----------
    run
        The run.
    reloads
        How many.

    Returns
    -------
    dict
        ``rss_mb``: before the first reload and after each one; ``seconds`` of a reload (median) and ``machine``.
    """
    about = machine()

    async def reload(port: int, pid: int) -> dict[str, Any]:
        connection = await connect(port)
        resident, spent = [_resident_mb(pid)], []
        for _ in range(reloads):
            start = time.perf_counter()
            status, body = await connection.ask(ask("POST /reload HTTP/1.1\r\n", b"{}"))
            if status != 200:
                raise AssertionError(f"{status} {body.decode(errors='replace')}")
            spent.append(time.perf_counter() - start)
            resident.append(_resident_mb(pid))
        connection.close()
        return {"rss_mb": resident, "seconds": float(np.median(spent)), "machine": about}

    with ServerProcess(run, "--store", "memory", "--rate", "0") as server:
        result: dict[str, Any] = run_client(reload(server.port, server.process.pid))
    return result


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
