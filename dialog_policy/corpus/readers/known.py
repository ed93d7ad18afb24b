"""Which readers there are: our own, and those of other packages."""

from __future__ import annotations

import warnings
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from dialog_policy.corpus.readers.reader import Reader

__all__ = ["readers"]

# Asked in this order whether they recognise a source: the narrow ones first.
_OWN = (
    "babi",
    "star",
    "dstc2",
    "m2m",
    "multiwoz22",
    "sgd",
    "multiwoz",
    "crosswoz",
    "frames",
    "kvret",
    "rasa",
    "rasa_markdown",
    "unified",
    "messages",
    "transcript",
    "jsonl",
    "table",
)


@cache
def readers() -> dict[str, Reader]:
    """Return all readers by name: our own, then those of other packages, by the entry points ``dialog_policy.readers``."""
    known = {name: import_module(f"{__package__}.{name}").READER for name in _OWN}
    for entry in sorted(entry_points(group="dialog_policy.readers"), key=lambda entry: entry.name):
        if entry.name in known:
            continue
        try:
            known[entry.name] = entry.load()
        # A broken plug-in of somebody else's must not keep anybody from reading another format.
        except Exception as error:
            warnings.warn(f"the reader {entry.name!r} ({entry.value}) cannot be loaded: {error}", stacklevel=2)
    return known
