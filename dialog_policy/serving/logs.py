"""Logs for machines: one JSON object a line on stderr."""

from __future__ import annotations

import logging
import traceback
from datetime import datetime, timezone
from typing import Any

import msgspec

__all__ = ["log", "start_logging"]

_logger = logging.getLogger("dialog_policy.serving")
_encode = msgspec.json.Encoder(enc_hook=str).encode


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return _encode(line).decode()


def start_logging() -> None:
    """Send the logs of this package and of uvicorn to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines())
    for name, level in ((_logger.name, logging.INFO), ("uvicorn.error", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


def log(event: str, *, level: int = logging.INFO, failed: bool = False, **fields: Any) -> None:
    """Write a line; with `failed` also the traceback of the exception that is being handled."""
    if _logger.isEnabledFor(level):
        _logger.log(level, event, extra={"fields": fields}, exc_info=failed)
