"""Logs for machines: one JSON object a line on stderr."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone
from typing import Any

import msgspec

__all__ = ["line_formatter", "log", "start_logging"]

_logger = logging.getLogger("dialog_policy.serving")
_encode = msgspec.json.Encoder().encode


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"event": record.getMessage(), "level": record.levelname, **getattr(record, "fields", {})}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        line["time"] = datetime.fromtimestamp(record.created, timezone.utc)
        try:
            return _encode(line).decode()
        except UnicodeEncodeError:  # half of a pair of surrogates
            return json.dumps(line, default=str)


def line_formatter() -> logging.Formatter:
    """Return what makes a record a line of JSON: event, level, the fields that :func:`log` got, a traceback, time."""
    return _Line()


def start_logging() -> None:
    """Send the logs of this package and of uvicorn to stderr."""
    # No line says it, and to find it out takes as long as to write the line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler()
    handler.setFormatter(line_formatter())
    for name, level in ((_logger.name, logging.INFO), ("uvicorn.error", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


def log(event: str, *, failed: bool = False, **fields: Any) -> None:
    """Write a line; with `failed` as an error, with the traceback of the exception that is being handled."""
    level = logging.ERROR if failed else logging.INFO
    if _logger.isEnabledFor(level):
        # Not `_logger.log`, which looks for the line of code that called it.
        about = sys.exc_info() if failed else None
        _logger.handle(
            _logger.makeRecord(
                _logger.name, level, "", 0, event, (), about, extra={"fields": fields} if fields else None
            )
        )
