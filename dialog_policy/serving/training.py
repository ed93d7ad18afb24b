"""Retraining in the background: a process of its own trains on the corpus and the saved dialogues."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from dialog_policy.errors import DialogPolicyError
from dialog_policy.serving.errors import ConflictError
from dialog_policy.serving.logs import log
from dialog_policy.serving.runs import Run

__all__ = ["CorpusSource", "Retraining"]

# What the training process said last, kept for the message about a failure.
_TAIL = 20
_PATIENCE_S = 10.0


class CorpusSource(msgspec.Struct, frozen=True):
    """How a corpus is read: its path, format and the reader's options."""

    path: str
    format: str | None = None
    reader: dict[str, str] = {}


class Retraining:
    """Trains a run again, one at a time.

    Parameters
    ----------
    corpus
        The corpus that the run was trained on.
    saved
        File with the dialogues to add.
    """

    def __init__(self, corpus: CorpusSource, saved: Path) -> None:
        self.corpus, self.saved = corpus, saved
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._state: dict[str, Any] = {"state": "idle", "share": 0.0, "message": "No training since the start."}

    @property
    def state(self) -> dict[str, Any]:
        """How far it is: ``state`` (idle, running, done, failed), ``epoch``, ``epochs``, ``share`` (0 to 1), ``message``."""
        return dict(self._state)

    def start(self, run: Run) -> dict[str, Any]:
        """Begin; the run is loaded anew when it is done.

        Raises
        ------
        ConflictError
            If one is going on, or the run is an archive.
        """
        if self._task is not None and not self._task.done():
            raise ConflictError("a training is going on; wait until it is done.")
        if not run.path.is_dir():
            raise ConflictError(
                f"the run {run.name!r} is an archive, which cannot be trained again: serve a run's folder."
            )
        self._state = {
            "state": "running", "run": run.name, "epoch": 0, "epochs": None, "share": 0.0, "started": time.time(),
            "message": "Reading the corpus.",
        }  # fmt: skip
        self._task = asyncio.create_task(self._train(run))
        return self.state

    async def stop(self) -> None:
        """End a training that is going on."""
        if self._task is None or self._task.done():
            return
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._process.wait(), _PATIENCE_S)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _train(self, run: Run) -> None:
        log("training started", run=run.name)
        try:
            problem = await self._run_process(run)
            if problem is None:
                await run.reload()
        except DialogPolicyError as error:
            problem = str(error)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log("training failed", run=run.name, failed=True)
            problem = f"{type(error).__name__}: {error}"
        finished = {"finished": time.time(), "policy": run.policy.id}
        if problem is None:
            self._state.update(finished, state="done", share=1.0)
        else:
            self._state.update(finished, state="failed", message=problem)
        log("training ended", run=run.name, state=self._state["state"], message=self._state["message"])

    async def _run_process(self, run: Run) -> str | None:
        """Train; return what went wrong."""
        wanted = {"run": str(run.path), "corpus": self.corpus, "saved": str(self.saved)}
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dialog_policy.serving.retrain",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(wanted))
        process.stdin.close()
        said: list[str] = []
        async for line in process.stdout:
            try:
                self._state.update(msgspec.json.decode(line, type=dict[str, Any]))
            except (msgspec.DecodeError, UnicodeDecodeError):
                said = [*said, line.decode(errors="replace").rstrip()][-_TAIL:]
        code = await process.wait()
        if code == 0:
            return None
        # Code 2: the message says what the user can do.
        return (
            str(self._state["message"]) if code == 2 else f"the training process ended with {code}: " + "\n".join(said)
        )
