"""What the tests of the server share: a run, an application over it, a real Redis."""

import contextlib
import shutil
import socket
import subprocess
import time

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
