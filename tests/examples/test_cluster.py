"""Three workers behind a real nginx, over a real Redis and a real PostgreSQL: nothing is lost, whatever happens to them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")
from benchmarks.cluster import describe_cluster, measure_cluster
from benchmarks.services import MissingServiceError, answers, find_postgres, find_redis, free_port
from tests.conftest import REPOSITORY
from tests.serving.conftest import run  # noqa: F401 - a fixture
from tests.serving.test_rollout import newer  # noqa: F401 - a fixture

if shutil.which("nginx") is None:
    pytest.skip("nginx is not installed (apt-get install nginx)", allow_module_level=True)


@pytest.mark.parametrize(("store", "find"), [("redis", find_redis), ("postgres", find_postgres)])
def test_a_kill_a_restart_and_a_newer_run_lose_and_double_nothing(store, find, run, newer, small, tmp_path):  # noqa: F811
    try:
        find()
    except MissingServiceError as missing:
        pytest.skip(str(missing))
    if store == "postgres":
        pytest.importorskip("asyncpg", reason="the extra postgres is not installed")
    result = measure_cluster(
        list(small), run, newer, store=store, folder=tmp_path, sessions=30, connections=4, seconds=0.3
    )
    assert result["wrong"] == 0, describe_cluster(result)
    assert result["turns"] > 50


def test_a_run_that_is_not_there_ends_it_with_2_and_leaves_nobody_behind(tmp_path, monkeypatch):
    ports = {name: free_port() for name in ("PORT", "PORT_1", "PORT_2")}
    for name, value in {**ports, "WORKERS": 2, "STORE": "memory"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    start = [sys.executable, REPOSITORY / "scripts" / "cluster" / "start", tmp_path / "none"]
    done = subprocess.run(start, capture_output=True, text=True, check=False)
    assert (done.returncode, "found no run" in done.stderr) == (2, True), done.stderr
    assert not any(map(answers, ports.values()))
