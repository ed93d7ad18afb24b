"""Stores and evaluations on a real Ray cluster of two nodes."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from dialog_policy import load_corpus
from dialog_policy.errors import CorpusError, OptionError
from dialog_policy.evaluation import evaluate, judging
from dialog_policy.on_ray.tasks import RayTasks
from dialog_policy.policy.config import make_config
from dialog_policy.runtime import Policy, predicting
from dialog_policy.store import prepare
from tests.conftest import QUICK, REPOSITORY

ray = pytest.importorskip("ray", reason="Ray is not installed (extra `ray`)")
CONFIG = make_config({**{part: QUICK[part] for part in ("user", "system", "context")}, "smallest_dev": 5})


@pytest.fixture(scope="module")
def cluster():
    """The address of a cluster of two nodes with a processor each."""
    from ray.cluster_utils import Cluster

    os.environ["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), *filter(None, sys.path)])
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    yield cluster.address
    ray.shutdown()
    cluster.shutdown()


def killed_once(task):
    """Kill the process that does the third task, the first time."""
    number, marker = task
    if number == 2:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
            os.kill(os.getpid(), signal.SIGKILL)
    return number**2, ray.get_runtime_context().get_node_id()


def refused(task):
    raise CorpusError("it is damaged.", path=task, turn=3)


def test_a_task_whose_process_is_killed_is_done_again(cluster, tmp_path):
    with RayTasks(cluster) as executor:
        assert executor.processes == 2
        done = list(executor.map(killed_once, [(number, str(tmp_path / "killed")) for number in range(12)]))
        assert [result for result, _ in done] == [number**2 for number in range(12)]
        with pytest.raises(CorpusError, match=r"a\.parquet, turn 3 .*: it is damaged") as error:
            list(executor.map(refused, ["a.parquet"]))
        assert error.value.turn == 3
    assert (tmp_path / "killed").exists()


def test_a_store_and_figures_are_those_of_one_process(cluster, small, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(judging, "DIALOGUES_TOGETHER", 30)
    monkeypatch.setattr(predicting, "_CHUNK", 30)
    trained.save(tmp_path / "run")
    one = prepare(small, tmp_path / "one", config=CONFIG, turns_a_shard=200)
    policy = Policy.load(tmp_path / "run", threads=1)
    with RayTasks(cluster) as executor:
        two = prepare(small, tmp_path / "two", config=CONFIG, turns_a_shard=200, executor=executor)
        figures = evaluate(policy, load_corpus(tmp_path / "two"), executor=executor, resamples=20)
    assert (two.path / "store.json").read_bytes() == (one.path / "store.json").read_bytes()
    assert figures.to_json() == evaluate(policy, small, resamples=20).to_json()


def test_a_cluster_that_is_not_there(monkeypatch):
    def init(address, **options):
        raise ConnectionError("nobody there")

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(OptionError, match=r"no Ray cluster at '10\.0\.0\.1:6379' \(nobody there\)"):
        RayTasks("10.0.0.1:6379")


def test_the_commands_start_one_of_their_own(small, tmp_path):
    from dialog_policy.corpus.write import write_corpus

    write_corpus(small, tmp_path / "small.jsonl")
    words = ["prepare", tmp_path / "small.jsonl", tmp_path / "S", "--split", "none", "--ray", "local"]
    command = [sys.executable, "-c", "from dialog_policy.cli import main; main()", *map(str, words)]
    told = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert "60 dialogues" in told.stderr
