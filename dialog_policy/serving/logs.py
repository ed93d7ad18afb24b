"""Logs for machines: one JSON object a line on stderr."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any

from pythonjsonlogger.msgspec import MsgspecFormatter

from dialog_policy.errors import DialogPolicyError

__all__ = ["line_formatter", "log", "start_logging"]

_logger = logging.getLogger("dialog_policy.serving")
# Bytes that a pipe takes without mixing them with what other processes write (POSIX).
_WHOLE = 4_096
# How long a line may wait for others, in seconds.
_WAIT_S = 0.02


class _Line(MsgspecFormatter):
    def jsonify_log_record(self, log_data: Any) -> str:
        try:
            return super().jsonify_log_record(log_data)
        except UnicodeEncodeError:  # half of a pair of surrogates
            return json.dumps(log_data, default=str)


class _Together(logging.Handler):
    """Writes the lines of a fiftieth of a second to stderr at once: whoever reads them is woken, and takes the processor, each time.

    What is no mere information, and what another thread says, is written at once, after the lines that wait.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []
        self._size = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record) + "\n"
            size = len(line.encode("utf-8", "backslashreplace"))
            if self._size + size > _WHOLE:
                self.flush()
            self._lines.append(line)
            self._size += size
            loop = _running_loop()
            if record.levelno > logging.INFO or loop is None:
                self.flush()
            elif len(self._lines) == 1:
                loop.call_later(_WAIT_S, self.flush)
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        assert self.lock is not None
        with self.lock:
            lines, self._lines, self._size = self._lines, [], 0
            if lines:
                sys.stderr.write("".join(lines))
                sys.stderr.flush()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def line_formatter() -> logging.Formatter:
    """Return what makes a record a line of JSON: event, level, time, the fields that :func:`log` got, a traceback."""
    names = {"message": "event", "levelname": "level", "exc_info": "traceback"}
    return _Line("%(message)s %(levelname)s", rename_fields=names, timestamp="time")


def start_logging() -> None:
    """Send the logs of this package and of uvicorn to stderr."""
    # No line says it, and to find it out takes as long as to write the line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = _Together()
    handler.setFormatter(line_formatter())
    for name, level in ((_logger.name, logging.INFO), ("uvicorn.error", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


def log(event: str, *, failed: bool = False, **fields: Any) -> None:
    """Write a line.

    Parameters
    ----------
    event
        What happened.
    failed
        Whether it is an error, not an information: with the traceback of the exception that is being handled, unless that is one
        of this package, whose sentence says all.
    **fields
        What else the line has.
    """
    level = logging.ERROR if failed else logging.INFO
    if _logger.isEnabledFor(level):
        # Not `_logger.log`, which looks for the line of code that called it.
        handled = sys.exc_info()
        about = handled if failed and handled[1] and not isinstance(handled[1], DialogPolicyError) else None
        _logger.handle(_logger.makeRecord(_logger.name, level, "", 0, event, (), about, extra=fields))
