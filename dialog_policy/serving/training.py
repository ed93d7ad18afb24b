"""Retraining in the background: another process trains on the corpus and the saved dialogues."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec

from dialog_policy.errors import DialogPolicyError
from dialog_policy.serving.errors import ConflictError, NotFoundError
from dialog_policy.serving.logs import log
from dialog_policy.serving.previous import previous_of, restore_previous
from dialog_policy.serving.rollout import Rollout
from dialog_policy.serving.runs import Run
from dialog_policy.serving.schemas import Training
from dialog_policy.serving.training_process import TrainingProcess

__all__ = ["CorpusSource", "Retraining"]


class CorpusSource(msgspec.Struct, frozen=True):
    """How a corpus is read: its paths (several are read as one), format and the reader's options."""

    paths: list[str]
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
        self._process = TrainingProcess()
        self._task: asyncio.Task[None] | None = None
        self._progress = Training("idle", "No run has been trained since the server started.")

    @property
    def progress(self) -> Training:
        """The progress of the training that goes on, or the result of the last one."""
        return self._progress

    @property
    def _is_running(self) -> bool:
        return self._task is not None and not self._task.done()

    def start(self, run: Run, rollout: Rollout) -> Training:
        """Begin; the run is loaded anew when it is done, on all servers of the store.

        Raises
        ------
        ConflictError
            If a training is going on, or the run is an archive.
        """
        self._check(run)
        self._progress = Training("running", "Reading the corpus.", run=run.name, epoch=0, started=time.time())
        self._task = asyncio.create_task(self._train(run, rollout))
        return self._progress

    async def restore(self, run: Run, rollout: Rollout) -> Training:
        """Serve the policy before the last training again; the retrained one is kept in its place.

        Raises
        ------
        ConflictError
            If a training is going on, or the run is an archive.
        NotFoundError
            If the run was never retrained.
        """
        self._check(run)
        if not previous_of(run.path).is_dir():
            raise NotFoundError(f"the run {run.name!r} has no previous policy: it was not retrained here.")
        await asyncio.to_thread(restore_previous, run.path)
        await rollout.reload(run)
        self._progress = Training(
            "idle", "The previous policy is served again.", run=run.name, policy=run.policy.id, finished=time.time()
        )
        log("previous policy restored", run=run.name, policy=run.policy.id)
        return self._progress

    def _check(self, run: Run) -> None:
        if self._is_running:
            raise ConflictError("a training is in progress. Wait until it has ended.")
        if not run.path.is_dir():
            raise ConflictError(
                f"the run {run.name!r} is an archive, which cannot be trained again. Serve a run folder instead."
            )

    async def stop(self) -> None:
        """End a training that is going on, and the process that waits for the next."""
        await self._process.stop()
        if self._is_running:
            assert self._task is not None
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _train(self, run: Run, rollout: Rollout) -> None:
        log("training started", run=run.name)
        try:
            order = {"run": str(run.path), "corpus": self.corpus, "saved": str(self.saved)}
            problem = await self._process.train(order, self._update)
            if problem is None:
                await rollout.reload(run)
        except DialogPolicyError as error:
            problem = str(error)
        except Exception as error:
            log("training failed", run=run.name, failed=True)
            problem = f"{type(error).__name__}: {error}"
        if problem is None:
            self._update(state="done", share=1.0)
        else:
            self._update(state="failed", message=problem or self._progress.message)
        self._update(finished=time.time(), policy=run.policy.id)
        outcome = self._progress.message
        log("training ended", run=run.name, state=self._progress.state, outcome=outcome, failed=problem is not None)

    def _update(self, **changes: Any) -> None:
        self._progress = msgspec.convert(msgspec.structs.asdict(self._progress) | changes, Training)
