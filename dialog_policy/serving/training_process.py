"""The server's side of the process that trains: it is told what to train, says how far it is, and is kept for the next time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from typing import Any

import msgspec

__all__ = ["TrainingProcess"]

# Lines that the process wrote last, kept for the message about a failure.
_TAIL = 20
_PATIENCE_S = 10.0
# After a training the process waits so long for the next one, which then need not load Keras and TensorFlow.
_KEPT_S = 600.0


class TrainingProcess:
    """A process that trains one run after the other: ``python -m dialog_policy.serving.retrain``.

    It is started when it is needed, and ends when nothing was trained for ten minutes, or with the server.
    """

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._end: asyncio.TimerHandle | None = None

    async def train(self, order: Any, report: Callable[..., None]) -> str | None:
        """Train; return what went wrong.

        Parameters
        ----------
        order
            What to train, to be written as JSON.
        report
            Called with what changed in the training's progress, by names of its fields.

        Returns
        -------
        str or None
            What went wrong, empty if `report` was told; None if all went well.
        """
        if self._end is not None:
            self._end.cancel()
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "dialog_policy.serving.retrain",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            )  # fmt: skip
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(order) + b"\n")
        lines: list[str] = []
        async for line in process.stdout:
            try:
                changes = msgspec.json.decode(line, type=dict[str, Any])
                ended = changes.pop("ended", None)
                report(**changes)
            except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
                lines = [*lines, line.decode(errors="replace").rstrip()][-_TAIL:]
                continue
            if ended is not None:
                self._end = asyncio.get_running_loop().call_later(_KEPT_S, self._terminate)
                return None if ended == 0 else ""
        code = await process.wait()
        return f"the training process ended with {code}: " + "\n".join(lines)

    async def stop(self) -> None:
        """End the process, whatever it does."""
        if self._end is not None:
            self._end.cancel()
        self._terminate()
        if self._process is not None:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._process.wait(), _PATIENCE_S)

    def _terminate(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
