"""Two servers over a real Redis behind a real nginx: conversations go over both, nothing is lost."""

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")
from benchmarks.load import Conversation, begin, converse, lost_turns
from tests.conftest import REPOSITORY
from tests.serving.conftest import run  # noqa: F401 - a fixture

for _program in ("redis-server", "nginx"):
    if shutil.which(_program) is None:
        pytest.skip(f"{_program} is not installed (apt-get install redis-server nginx)", allow_module_level=True)


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.fixture
def cluster(run):  # noqa: F811
    ports = dict(zip(("PORT", "PORT_1", "PORT_2", "REDIS_PORT"), free_ports(4), strict=True))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        [str(REPOSITORY / "scripts" / "cluster" / "start"), str(run), "--rate", "0"],
        env={**os.environ, **{name: str(port) for name, port in ports.items()}, "PATH": path},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while not all(map(answers, ports.values())):
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.1)
        yield ports
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert not any(map(answers, ports.values()))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_conversations_go_over_both_servers_and_none_loses_a_turn(cluster, small):
    conversations = [Conversation(n, d) for n, d in zip(range(60), itertools.cycle(small), strict=False)]

    async def talk():
        await begin(cluster["PORT"], conversations, 6)
        await converse(cluster["PORT"], conversations, connections=6, seconds=2, latencies=[])
        # By turns with both servers themselves: what one has made the other goes on from.
        for name in ("PORT_1", "PORT_2", "PORT"):
            await converse(cluster[name], conversations, connections=3, seconds=0.5, latencies=[])
        return await lost_turns(cluster["PORT"], conversations)

    assert asyncio.run(talk()) == 0
    assert sum(conversation.acknowledged for conversation in conversations) > 100
