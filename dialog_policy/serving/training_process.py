"""The server's side of the process that trains: it is told what to train, says how far it is, and is kept for the next time."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from dialog_policy.errors import DialogPolicyError

__all__ = ["TrainingProcess"]

# Lines that the process wrote last, and bytes of each, which are kept for the message about a failure.
_TAIL, _SHOWN = 20, 2_000
_LONGEST_LINE = 16 << 20
_PATIENCE_S = 10.0
# After a training the process waits so long for the next one, which then need not load Keras and TensorFlow.
_KEPT_S = 600.0


class _Progress(msgspec.Struct):
    """A line that the process writes: to the order of this number, what has changed in its progress; at its end, how it ended."""

    order: int
    changes: dict[str, Any] = {}
    ended: int | None = None


class TrainingProcess:
    """A process that trains one run after the other: ``python -m dialog_policy.serving.retrain``.

    It is started when it is needed, and ends when nothing was trained for ten minutes, or with the server.
    """

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._end: asyncio.TimerHandle | None = None
        self._orders = itertools.count(1)

    async def train(self, order: Mapping[str, Any], report: Callable[..., None]) -> str | None:
        """Train; return what went wrong.

        Parameters
        ----------
        order
            What to train, to be written as JSON.
        report
            Called with what changed in the training's progress, by names of its fields. If it raises, the process is ended.

        Returns
        -------
        str or None
            What went wrong, empty if `report` was told; None if all went well.

        Raises
        ------
        DialogPolicyError
            If the process writes a line without end; it is ended.
        """
        if self._end is not None:
            self._end.cancel()
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "dialog_policy.serving.retrain",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}, limit=_LONGEST_LINE,
            )  # fmt: skip
        try:
            return await self._carry_out({**order, "number": next(self._orders)}, self._process, report)
        except BaseException:
            # What it still writes about this order must not be taken for the next one's.
            self._terminate()
            self._process = None
            raise

    async def _carry_out(
        self, order: dict[str, Any], process: asyncio.subprocess.Process, report: Callable[..., None]
    ) -> str | None:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(order) + b"\n")
        lines: list[str] = []
        while line := await _line(process.stdout):
            try:
                progress = msgspec.json.decode(line, type=_Progress)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                progress = None
            if progress is None or progress.order != order["number"]:
                # Of a library, not of the program.
                lines = [*lines, line[:_SHOWN].decode(errors="replace").rstrip()][-_TAIL:]
                continue
            report(**progress.changes)
            if progress.ended is not None:
                self._end = asyncio.get_running_loop().call_later(_KEPT_S, self._terminate)
                return None if progress.ended == 0 else ""
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


async def _line(output: asyncio.StreamReader) -> bytes:
    """Return the next line, empty at the end."""
    try:
        return await output.readline()
    except ValueError:
        raise DialogPolicyError(f"the training process wrote a line of more than {_LONGEST_LINE:,} bytes.") from None
