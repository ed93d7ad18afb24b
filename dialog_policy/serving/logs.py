"""Logs for machines: one JSON object a line on stderr."""

from __future__ import annotations

import logging
import sys
from typing import Any

from pythonjsonlogger.msgspec import MsgspecFormatter

__all__ = ["line_formatter", "log", "start_logging"]

_logger = logging.getLogger("dialog_policy.serving")


def line_formatter() -> logging.Formatter:
    """Return what makes a record a line of JSON: event, level, time, the fields that :func:`log` got, a traceback."""
    names = {"message": "event", "levelname": "level", "exc_info": "traceback"}
    return MsgspecFormatter("%(message)s %(levelname)s", rename_fields=names, timestamp="time")


def start_logging() -> None:
    """Send the logs of this package and of uvicorn to stderr."""
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
        _logger.handle(_logger.makeRecord(_logger.name, level, "", 0, event, (), about, extra=fields))
