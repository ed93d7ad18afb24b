"""A contender of a benchmark: a process of its own that measures one round each time it is asked to."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dialog_policy.errors import DialogPolicyError

__all__ = ["CHECKOUT", "THREADS", "answer", "contender", "wait"]

THREADS = 2
# Modules of this folder are found from here.
CHECKOUT = Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def contender(module: str, arguments: Sequence[str], *, backend: str) -> Iterator[Callable[[], dict[str, Any]]]:
    """Start a module as a contender; what is yielded asks it for its next answer.

    Raises
    ------
    DialogPolicyError
        When it is asked and has ended.
    """
    threads = {key: str(THREADS) for key in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=CHECKOUT,
        env={**os.environ, **threads, "OMP_WAIT_POLICY": "PASSIVE", "KERAS_BACKEND": backend},
    )

    def ask() -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write("\n")
            process.stdin.flush()
        for line in process.stdout:
            if line.startswith("{"):
                measured: dict[str, Any] = json.loads(line)
                return measured
        raise DialogPolicyError(
            f"the contender {arguments[0]} ended without an answer. To see why: python -m {module} {' '.join(arguments)}"
        )

    try:
        yield ask
    finally:
        process.kill()
        process.communicate()


def wait() -> None:
    """Wait for one's turn."""
    sys.stdin.readline()


def answer(**figures: Any) -> None:
    """Answer."""
    print(json.dumps(figures), flush=True)
