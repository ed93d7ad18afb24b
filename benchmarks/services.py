"""Servers that the harnesses and tests need beside the package's own, for as long as a block takes: Redis, PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = [
    "MissingServiceError",
    "answers",
    "find_postgres",
    "find_redis",
    "free_port",
    "postgres_server",
    "redis_server",
]


class MissingServiceError(Exception):
    """A program that is needed is not installed."""


def free_port() -> int:
    """Return a port of this machine that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def answers(port: int) -> bool:
    """Whether somebody listens at a port of this machine."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def find_redis() -> str:
    """Return the path of redis-server; :class:`MissingServiceError` if there is none."""
    program = shutil.which("redis-server")
    if program is None:
        raise MissingServiceError("redis-server is not installed (apt-get install redis-server)")
    return program


def find_postgres() -> Path:
    """Return the folder of PostgreSQL's programs; :class:`MissingServiceError` if there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = str(found[-1]) if found else shutil.which("initdb")
    if initdb is None:
        raise MissingServiceError("PostgreSQL is not installed (apt-get install postgresql)")
    return Path(initdb).parent


def _wait(server: subprocess.Popen[bytes], port: int, name: str) -> None:
    while not answers(port):
        if server.poll() is not None:
            raise RuntimeError(f"{name} ended with {server.returncode} instead of listening at port {port}")
        time.sleep(0.05)


@contextlib.contextmanager
def redis_server(port: int | None = None, *, is_durable: bool = False) -> Iterator[str]:
    """Run an empty Redis; yield its URL.

    Parameters
    ----------
    port
        Where it listens; None: any port that is free.
    is_durable
        Whether every write is on the disk before it is acknowledged.

    Raises
    ------
    MissingServiceError
        If it is not installed.
    """
    program = find_redis()
    port = port or free_port()
    durable = ["--appendonly", "yes", "--appendfsync", "always"] if is_durable else ["--appendonly", "no"]
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", *durable]
        # Ctrl-C is for whoever started this, who ends the server last.
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            _wait(server, port, "redis-server")
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.wait()


@contextlib.contextmanager
def postgres_server(port: int | None = None) -> Iterator[str]:
    """Run an empty PostgreSQL; yield the URL of a database.

    Parameters
    ----------
    port
        Where it listens; None: any port that is free.

    Raises
    ------
    MissingServiceError
        If it is not installed.
    """
    programs = find_postgres()
    port = port or free_port()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short: the name of its socket may have 107 bytes
    owner: dict[str, Any] = {}
    if os.geteuid() == 0:
        # PostgreSQL does not run as root.
        owner = {"user": "postgres", "group": "postgres", "extra_groups": []}
        shutil.chown(folder, "postgres", "postgres")
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, **owner}
    data = str(folder / "data")
    try:
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "policy", "--auth=trust", "--no-sync"], check=True, **quiet
        )
        options = ["-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-c", "shared_buffers=8MB"]
        server = subprocess.Popen([programs / "postgres", *options], start_new_session=True, **quiet)
        try:
            ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
            while subprocess.run(ready, check=False).returncode:
                if server.poll() is not None:
                    raise RuntimeError(f"postgres ended with {server.returncode} instead of listening at port {port}")
                time.sleep(0.05)
            yield f"postgresql://policy@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
