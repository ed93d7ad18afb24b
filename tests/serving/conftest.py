"""What the tests of the server share: a run, an application over it, a real Redis, a real PostgreSQL."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")
from starlette.testclient import TestClient

from dialog_policy.serving.app import create_app
from dialog_policy.serving.runs import Runs
from dialog_policy.serving.settings import Settings
from dialog_policy.serving.stores import MemoryStore


@pytest.fixture(scope="session")
def run(trained, tmp_path_factory):
    """Path of a run trained for a moment."""
    path = tmp_path_factory.mktemp("serving") / "quick"
    trained.save(path)
    return path


@pytest.fixture
def serving(run):
    """Return a client of an application: settings by name; `store`, `runs`, `corpus` and `retraining` as they are."""
    with contextlib.ExitStack() as stack:

        def start(*, store=None, runs=None, corpus=None, retraining=None, headers=None, **settings):
            runs = runs or Runs({"quick": run})
            app = create_app(runs, store or MemoryStore(), Settings(**settings), corpus=corpus, retraining=retraining)
            # The server's own errors are answers, as for any client.
            client = TestClient(app, headers=headers, raise_server_exceptions=False)
            return stack.enter_context(client)

        yield start


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory):
    """A Redis server of its own, emptied by nobody else."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed (apt-get install redis-server)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    command = [
        program,
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--dir",
        str(folder),
        "--save",
        "",
        "--appendonly",
        "no",
    ]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(10_000):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory):
    """A PostgreSQL server of its own, which ends with the tests."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = str(found[-1]) if found else shutil.which("initdb")
    if initdb is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    pytest.importorskip("asyncpg", reason="the extra postgres is not installed")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short: the name of its socket may have 107 bytes
    owner: dict[str, Any] = {}
    if os.geteuid() == 0:
        # PostgreSQL does not run as root.
        owner = {"user": "postgres", "group": "postgres", "extra_groups": []}
        shutil.chown(folder, "postgres", "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = str(folder / "data")
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, **owner}
    subprocess.run([initdb, "-D", data, "-U", "policy", "--auth=trust", "--no-sync"], check=True, **quiet)
    options = ["-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-c", "shared_buffers=8MB"]
    server = subprocess.Popen([str(Path(initdb).with_name("postgres")), *options], **quiet)
    try:
        ready = [str(Path(initdb).with_name("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(port)]
        while server.poll() is None and subprocess.run(ready, check=False).returncode:
            time.sleep(0.05)
        yield f"postgresql://policy@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)
