"""The user's folders for what programs keep: a cache, or state that is not to be lost."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

__all__ = ["user_folder"]

_WINDOWS = ("LOCALAPPDATA", "~/AppData/Local")
_UNIX = {"cache": ("XDG_CACHE_HOME", "~/.cache"), "state": ("XDG_STATE_HOME", "~/.local/state")}
_MACOS = {"cache": "~/Library/Caches", "state": "~/Library/Application Support"}


CACHE = "DIALOG_POLICY_CACHE"


def user_folder(kind: Literal["cache", "state"], variable: str, name: str) -> Path | None:
    """Return the folder `name` for files of this kind; it is not made.

    Parameters
    ----------
    kind
        ``"cache"`` for what can be made again, ``"state"`` for the rest.
    variable
        Environment variable that names the folder above it instead of the system's; set and empty: nothing is kept.
    name
        Of the folder.

    Returns
    -------
    Path or None
        None where nothing is to be kept.
    """
    named = os.environ.get(variable)
    if named is not None:
        return Path(named).expanduser() / name if named else None
    if sys.platform == "darwin":
        base = _MACOS[kind]
    else:
        other, default = _WINDOWS if sys.platform == "win32" else _UNIX[kind]
        base = os.environ.get(other) or default
    return Path(base).expanduser() / "dialog-policy" / name
