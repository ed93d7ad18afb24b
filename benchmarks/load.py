"""A server under load: many conversations over a few connections on this machine, every answer checked.

Conversation number i follows the user's side of dialogue i of a corpus, and begins it again at its end. The client keeps count of
what was acknowledged; a turn that it sends again after an error carries the same idempotency key.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.client import ServerProcess, ask, connect, run_client
from benchmarks.machine import describe_machine, machine
from dialog_policy.corpus import Dialogue
from dialog_policy.errors import counted

__all__ = [
    "Conversation",
    "begin",
    "converse",
    "describe_load",
    "lost_turns",
    "measure_load",
]

# One turn of so many is sent twice, as after an answer that got lost.
_TWICE = 100
_PATIENCE_S = 60.0


class Conversation:
    """One conversation of the client.

    Attributes
    ----------
    id
        The session's.
    turns
        What the user says in one turn after the other, and the contexts.
    acknowledged
        How many turns the server has answered.
    """

    def __init__(self, number: int, dialogue: Dialogue) -> None:
        self.id = f"load-{number}"
        self.turns = [(turn.user, turn.context) for turn in dialogue.turns]
        self.acknowledged = 0
        self._bodies = [msgspec.json.encode({"user": user, "context": context}) for user, context in self.turns]

    def request(self) -> bytes:
        """Return the next turn's request."""
        number = self.acknowledged
        body = self._bodies[number % len(self._bodies)]
        head = f"POST /sessions/{self.id}/turns HTTP/1.1\r\nIdempotency-Key: {self.id}-{number}\r\n"
        return ask(head, body)

    def check(self, status: int, body: bytes) -> None:
        """Count an answered turn, if it is the one that was asked for."""
        answer = _answer(body) if status == 201 else None
        user, _ = self.turns[self.acknowledged % len(self.turns)]
        if answer is None or answer.turn != self.acknowledged or answer.user != user:
            raise AssertionError(f"{self.id}, turn {self.acknowledged}: {status} {body.decode(errors='replace')}")

    def missing(self, users: Sequence[str | None]) -> int:
        """Return by how many turns what the server has differs from what was acknowledged."""
        expected = [self.turns[n % len(self.turns)][0] for n in range(self.acknowledged)]
        differing = sum(a != b for a, b in zip(expected, users, strict=False))
        return differing + abs(len(expected) - len(users))


class _Answer(msgspec.Struct):
    turn: int
    user: str | None


class _Session(msgspec.Struct):
    turns: list[_Answer]


_answer = msgspec.json.Decoder(_Answer).decode
_session = msgspec.json.Decoder(_Session).decode


async def begin(port: int, conversations: Sequence[Conversation], connections: int) -> None:
    """Begin the sessions."""

    async def some(conversations: Sequence[Conversation]) -> None:
        connection = await connect(port)
        for conversation in conversations:
            body = msgspec.json.encode({"id": conversation.id})
            status, answer = await connection.ask(ask("POST /sessions HTTP/1.1\r\n", body))
            if status != 201:
                raise AssertionError(f"{status} {answer.decode(errors='replace')}")
        connection.close()

    await asyncio.gather(*(some(part) for part in _parts(conversations, connections)))


async def converse(
    port: int, conversations: Sequence[Conversation], *, connections: int, seconds: float, latencies: list[float]
) -> None:
    """Go on with all conversations by turns, as fast as the answers come, for some seconds.

    Parameters
    ----------
    port
        The server's, on this machine.
    conversations
        All begun; each belongs to one connection.
    connections
        How many; each has one request under way.
    seconds
        How long.
    latencies
        Seconds from request to answer are added here, of turns that were sent once.

    Raises
    ------
    ConnectionError
        If the server goes away.
    AssertionError
        If an answer is not the one to the request.
    """
    until = time.perf_counter() + seconds

    async def some(conversations: Sequence[Conversation], offset: int) -> None:
        connection = await connect(port)
        for number, conversation in enumerate(itertools.cycle(conversations)):
            request = conversation.request()
            sent = time.perf_counter()
            if sent >= until:
                break
            status, body = await connection.ask(request)
            latencies.append(time.perf_counter() - sent)
            conversation.check(status, body)
            if (number + offset) % _TWICE == 0:
                conversation.check(*(await connection.ask(request)))
            conversation.acknowledged += 1
        connection.close()

    await asyncio.gather(*(some(part, n) for n, part in enumerate(_parts(conversations, connections))))


async def lost_turns(port: int, conversations: Sequence[Conversation], connections: int = 8) -> int:
    """Read all sessions from the server; return how many turns are lost, doubled or in another session."""

    async def some(conversations: Sequence[Conversation]) -> int:
        connection = await connect(port)
        wrong = 0
        for conversation in conversations:
            status, body = await connection.ask(ask(f"GET /sessions/{conversation.id} HTTP/1.1\r\n"))
            if status != 200:
                raise AssertionError(f"{status} {body.decode(errors='replace')}")
            wrong += conversation.missing([turn.user for turn in _session(body).turns])
        connection.close()
        return wrong

    return sum(await asyncio.gather(*(some(part) for part in _parts(conversations, connections))))


def _parts(conversations: Sequence[Conversation], count: int) -> Iterator[Sequence[Conversation]]:
    return (part for n in range(count) if (part := conversations[n::count]))


def measure_load(
    dialogues: Sequence[Dialogue],
    run: str,
    *,
    store: str,
    sessions: int = 10_000,
    connections: int = 16,
    servers: int = 1,
    seconds: float = 30.0,
) -> dict[str, Any]:
    """Start servers over one store, talk with them, check all that they keep.

    Parameters
    ----------
    dialogues
        What users say.
    run
        The run to serve.
    store
        As ``--store``.
    sessions
        Live sessions.
    connections
        Requests under way at a time.
    servers
        How many; each conversation belongs to one of them.
    seconds
        How long turns are timed, after a tenth of it that is not.

    Returns
    -------
    dict
        ``turns_per_s``, ``p50_ms, p99_ms, max_ms``, ``turns`` (acknowledged), ``wrong`` (lost, doubled or crossed), ``sessions,
        connections, servers, begun_per_s``, ``server_us_per_turn``, the servers' processor time (NaN where the system does not
        tell), and ``machine``.
    """
    conversations = [Conversation(n, dialogue) for n, dialogue in zip(range(sessions), itertools.cycle(dialogues))]
    latencies: list[float] = []

    about = machine("uvloop", "uvicorn", "msgspec")

    async def talk(started: Sequence[ServerProcess]) -> dict[str, Any]:
        # Each conversation belongs to one of the servers, as behind a proxy that tells them apart by address.
        parts = [(server.port, conversations[n :: len(started)]) for n, server in enumerate(started)]
        each = max(1, connections // len(started))

        async def go_on(seconds: float, latencies: list[float]) -> None:
            await asyncio.gather(
                *(converse(port, own, connections=each, seconds=seconds, latencies=latencies) for port, own in parts)
            )

        began = time.perf_counter()
        await asyncio.gather(*(begin(port, own, each) for port, own in parts))
        begun = time.perf_counter() - began
        await go_on(seconds / 10, [])
        before = sum(conversation.acknowledged for conversation in conversations)
        began, computed = time.perf_counter(), sum(_processor_time(server.process.pid) for server in started)
        await go_on(seconds, latencies)
        spent = time.perf_counter() - began
        computed = sum(_processor_time(server.process.pid) for server in started) - computed
        turns = sum(conversation.acknowledged for conversation in conversations)
        wrong = sum(await asyncio.gather(*(lost_turns(port, own) for port, own in parts)))
        return {
            "turns_per_s": (turns - before) / spent,
            **{f"p{q}_ms": float(np.quantile(latencies, q / 100)) * 1e3 for q in (50, 99)},
            "max_ms": max(latencies) * 1e3,
            "turns": turns,
            "wrong": wrong,
            "sessions": sessions,
            "connections": connections,
            "servers": len(started),
            "begun_per_s": sessions / begun,
            "server_us_per_turn": computed / (turns - before) * 1e6,
            "machine": about,
        }

    with contextlib.ExitStack() as stack:
        arguments = (run, "--store", store, "--rate", "0")
        started = [stack.enter_context(ServerProcess(*arguments)) for _ in range(servers)]
        result: dict[str, Any] = run_client(talk(started))
    return result


def _processor_time(pid: int) -> float:
    """Seconds that a process has computed so far; NaN where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return math.nan
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def describe_load(result: dict[str, Any]) -> str:
    """Return a result as text for the terminal."""
    return (
        f"{result['turns_per_s']:,.0f} turns/s; {result['p50_ms']:.1f} ms median, {result['p99_ms']:.1f} ms p99, "
        f"{result['max_ms']:.0f} ms at the most; {result['connections']} requests at a time, {result['sessions']:,} live sessions, "
        f"{counted(result['servers'], 'server')}\n"
        f"{result['server_us_per_turn']:,.0f} µs of processor time a turn in the server\n"
        f"{result['turns']:,} turns acknowledged; {result['wrong']} lost, doubled or in another session\n"
        f"{describe_machine(result['machine'])}"
    )
