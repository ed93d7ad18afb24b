"""A training on a real Ray cluster of two nodes, of which a process is killed on the way."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.distributed import compare
from dialog_policy.corpus.write import write_corpus
from dialog_policy.runtime import Policy
from tests.cli.commands import run as command
from tests.conftest import REPOSITORY

FEW = ["hidden=4", "batch_size=5", "max_lengths=1", "smallest_dev=2", "patience=1000", "epochs=60",
       *(f'{part}=[{{kind="bits",max_terms=30}}]' for part in ("user", "system", "context"))]  # fmt: skip


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip("ray", reason="Ray is not installed (extra `ray`)")
    pytest.importorskip("jax", reason="JAX is not installed (extra `jax`)")
    from ray.cluster_utils import Cluster

    os.environ["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), *filter(None, sys.path)])
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


@pytest.fixture(scope="module")
def corpus(small, tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "few.jsonl"
    write_corpus([*list(small.split("train"))[:9], *list(small.split("dev"))[:5]], path)
    return path


def arguments(corpus, run, *options):
    return ["train", str(corpus), "--split", "all", "--dev", "dev", "--out", str(run), *options, "--set", *FEW]


def arrays(run):
    policy = Policy.load(run)
    named = {f"network/{name}": array for name, array in policy.run.arrays("network.safetensors").items()}
    return {"losses": np.array([row["loss"] for row in policy.info["history"]]), "accuracies": np.zeros(1), **named}


def member(run, rank):
    """Process id of a process of this training."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_text().split("\0")
        except OSError:
            continue
        if str(run) in words and "--rank" in words and words[words.index("--rank") + 1] == str(rank):
            return int(path.parent.name)
    raise AssertionError("there is no such process")


def start(*words):
    return subprocess.Popen(
        [sys.executable, "-c", "from dialog_policy.cli import main; main()", *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=REPOSITORY,
    )  # fmt: skip


def test_a_killed_process_is_started_again_and_the_result_is_the_same(cluster, corpus, tmp_path):
    alone = start(*arguments(corpus, tmp_path / "alone", "--backend", "jax"))
    assert alone.wait() == 0, alone.stdout.read()
    training = start(*arguments(corpus, tmp_path / "run", "--ray", cluster.address))
    while not (tmp_path / "run.partial" / "training.safetensors").exists():
        assert training.poll() is None, training.stdout.read()
        time.sleep(0.1)
    os.kill(member(tmp_path / "run", 1), signal.SIGKILL)
    output = training.communicate()[0]
    assert training.returncode == 0, output
    assert "A process was lost; all are started again." in output
    assert "Trained on" in output
    found = compare(arrays(tmp_path / "alone"), [arrays(tmp_path / "run")])
    assert found["losses"] < 1e-4
    assert found["arrays"] < 1e-4
    words = arguments(tmp_path / "nothing.jsonl", tmp_path / "other", "--ray", cluster.address, "--processes", "1")
    missing = start(*words)
    said = missing.communicate()[0]
    assert missing.returncode == 2, said
    assert "nothing.jsonl" in said.splitlines()[-1]


@pytest.mark.parametrize("options", [["--processes", "2", "--rank", "0"], ["--processes", "2", "--distributed"]])
def test_ray_starts_the_processes_itself(options, tmp_path):
    said = command("train", "none.jsonl", "--out", tmp_path / "run", "--ray", "local", *options, code=2).output
    assert "--ray starts all processes itself" in " ".join(said.split())
