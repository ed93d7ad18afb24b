"""What the tests of the server share: a run, an application over it, a real Redis, a real PostgreSQL."""

import contextlib

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")
from starlette.testclient import TestClient

from benchmarks.services import MissingServiceError, postgres_server, redis_server
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
def redis_url():
    """A Redis server of its own, emptied by nobody else."""
    try:
        with redis_server() as url:
            yield url
    except MissingServiceError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def postgres_url():
    """A PostgreSQL server of its own, which ends with the tests."""
    pytest.importorskip("asyncpg", reason="the extra postgres is not installed")
    try:
        with postgres_server() as url:
            yield url
    except MissingServiceError as missing:
        pytest.skip(str(missing))
