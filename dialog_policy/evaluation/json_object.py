"""Typed results as JSON objects: the edge at which structs become dictionaries."""

from __future__ import annotations

from typing import Any

import msgspec

from dialog_policy.errors import MissingExtraError

__all__ = ["frame_as_html", "json_object"]


def _plain(value: Any) -> Any:
    """Return what a predictor of somebody's own may have put in, such as NumPy's strings and numbers, as plain ones."""
    if isinstance(value, str):
        return str(value)
    if hasattr(value, "item"):
        return value.item()
    raise NotImplementedError(f"{type(value).__name__} has no place in JSON")


_encoder = msgspec.json.Encoder(enc_hook=_plain)


def json_object(result: msgspec.Struct) -> dict[str, Any]:
    """Return a result as it is read back from a JSON file: lists for tuples, None for NaN, nothing for absent keys."""
    document: dict[str, Any] = msgspec.json.decode(_encoder.encode(result))
    return document


def frame_as_html(result: Any) -> str | None:
    """Return the table that a notebook shows for a result: its ``to_frame()``; None without pandas."""
    try:
        html: str = result.to_frame()._repr_html_()
    except MissingExtraError:
        return None
    return html
