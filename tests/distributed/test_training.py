"""Two processes train what one trains; the rest of the strategies, and four processes, are in scripts/distributed."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from benchmarks.distributed import compare, free_port, train_together
from dialog_policy.corpus.write import write_corpus
from dialog_policy.network.checkpoint import epochs_done
from dialog_policy.runtime import Policy
from tests.conftest import REPOSITORY

pytest.importorskip("jax", reason="JAX is not installed (extra `jax`)")
BITS = {part: [{"kind": "bits", "max_terms": 30}] for part in ("user", "system", "context")}
MAIN = "from dialog_policy.cli import main; main()"


@pytest.fixture(scope="module")
def corpus(small, tmp_path_factory):
    """A few dialogues of two lengths: a network is compiled for each, in every process."""
    path = tmp_path_factory.mktemp("corpus") / "few.jsonl"
    write_corpus([*list(small.split("train"))[:9], *list(small.split("dev"))[:5]], path)
    return path


def test_two_processes_have_the_losses_and_weights_of_one(corpus, tmp_path):
    settings = BITS | {"hidden": 4, "batch_size": 5, "max_lengths": 1, "epochs": 5, "smallest_dev": 2, "averaging": 0.5}
    what = {"corpus": str(corpus), "dev": "dev", "steps": 10, "settings": settings}
    one = train_together(tmp_path, 1, what)[0]
    both = train_together(tmp_path, 2, what)
    assert len(one["losses"]) == 10
    assert len(np.unique(one["losses"])) == 10
    found = compare(one, both)
    assert found["losses"] < 1e-5
    assert found["arrays"] < 1e-5
    assert found["accuracies"] == 0
    assert compare(both[0], both[1:]) == {"losses": 0, "accuracies": 0, "arrays": 0}, "all have the same bytes"


class Command:
    """``train --distributed`` in a process of its own."""

    def __init__(self, corpus, run, rank, processes, port, epochs, *options):
        bits = [f'{part}=[{{kind="bits",max_terms=30}}]' for part in BITS]
        few = [
            "hidden=4",
            "batch_size=5",
            "max_lengths=1",
            "smallest_dev=2",
            "patience=1000",
            f"epochs={epochs}",
            *bits,
        ]
        self.process = subprocess.Popen(
            [
                sys.executable, "-c", MAIN, "train", str(corpus), "--split", "all", "--dev", "dev", "--out", str(run), "--distributed",
                "--coordinator", f"localhost:{port}", "--processes", str(processes), "--rank", str(rank), *options, "--set", *few,
            ],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY, env={**os.environ, "KERAS_BACKEND": "jax"},
        )  # fmt: skip

    def ends(self):
        output, errors = self.process.communicate()
        return self.process.returncode, output, errors


def waits_for(path, *commands):
    while not path.exists():
        for command in commands:
            assert command.process.poll() is None, command.ends()
        time.sleep(0.05)


def test_a_lost_process_ends_the_other_and_one_goes_on_alone(corpus, tmp_path):
    run, port = tmp_path / "run", free_port()
    both = [Command(corpus, run, rank, 2, port, 300) for rank in range(2)]  # a checkpoint every 30 epochs
    waits_for(tmp_path / "run.partial" / "training.safetensors", *both)
    both[0].process.send_signal(signal.SIGKILL)
    both[0].ends()
    code, output, errors = both[1].ends()
    assert (code, output) == (2, "")
    message = r"Error: process 0 of 2 \(.*, process id \d+\) was lost: its connection was closed\. The training has ended\..*--resume"
    assert re.search(message, errors), errors
    assert "Traceback" not in errors
    assert "stack trace" not in errors
    assert not run.exists()
    done = epochs_done(tmp_path / "run.partial" / "training.safetensors")
    alone = Command(corpus, run, 0, 1, port, done + 2, "--resume")
    assert alone.ends()[0] == 0
    assert len(Policy.load(run).info["history"]) == done + 2


def test_processes_that_differ_are_refused(corpus, tmp_path):
    port = free_port()
    both = [Command(corpus, tmp_path / "run", rank, 2, port, rank + 1) for rank in range(2)]
    for command in both:
        code, _, errors = command.ends()
        assert code == 2
        assert re.search(r"Error: the settings of process 1 of 2 \(.*\) differ from those of process 0", errors), errors
    assert list(tmp_path.iterdir()) == []
