"""The network's contract on the JAX backend, which needs a process of its own, and a training there."""

import os
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

pytest.importorskip("jax", reason="JAX is not installed (extra `jax`)")
ENVIRONMENT = {**os.environ, "KERAS_BACKEND": "jax"}


MAIN = "from dialog_policy.cli import main; main()"
# Importing TensorFlow takes as long as everything else that a short training on JAX does.
WITHOUT_TENSORFLOW = f"import atexit, sys; atexit.register(lambda: print('tensorflow' in sys.modules)); {MAIN}"


def run(*arguments):
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, env=ENVIRONMENT, check=False)


@pytest.mark.parametrize("contract", ["network", "embedding"])
def test_the_contract_holds(contract):
    # Compiling takes long there: one layer, since two are the same loop twice; of the losses those of several actions a turn, whose
    # gradients go through the same recurrence.
    chosen = "not mixed and not layers and not (loss_and_gradients and True)"
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen, f"tests/contracts/test_{contract}.py")
    assert done.returncode == 0, done.stdout[-3000:]


def test_a_policy_trained_there_is_like_any_other(tmp_path):
    settings = ["hidden=8", "epochs=2", "batch_size=8", "max_lengths=2", "dropout=0.0"]
    bits = [f'{part}=[{{kind="bits", max_terms=50}}]' for part in ("user", "system", "context")]
    corpus = "corpora/desk.jsonl"
    command = [
        "-c",
        WITHOUT_TENSORFLOW,
        "train",
        corpus,
        "--split",
        "test",
        "--dev",
        "none",
        "--out",
        str(tmp_path / "run"),
    ]
    done = run(*command, "--backend", "jax", "--set", *settings, *bits)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr[-3000:]
    evaluated = run("-c", MAIN, "evaluate", str(tmp_path / "run"), corpus, "--split", "dev")
    assert evaluated.returncode == 0, evaluated.stderr[-3000:]
    assert "this policy" in evaluated.stdout
