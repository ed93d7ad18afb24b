"""What is in a folder: compared before and after."""

from __future__ import annotations

import json
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

__all__ = ["content", "everything", "kibibytes"]


def content(path: Path) -> dict[str, str]:
    """Return what is at a path: relative names to hashes; not what is hidden or differs between equal runs (times, logs)."""
    if path.is_dir():
        files = {p.relative_to(path): p for p in sorted(path.rglob("*")) if p.is_file()}
        seen = {name: p for name, p in files.items() if not any(x == "logs" or x[0] == "." for x in name.parts)}
        return {name.as_posix(): _hash(p) for name, p in seen.items()}
    return {"": _hash(path)} if path.exists() else {}


def _hash(path: Path) -> str:
    data = path.read_bytes()
    if path.name == "run.json":
        with suppress(ValueError):
            data = json.dumps({**json.loads(data), "created": ""}).encode()
    return sha256(data).hexdigest()


def everything(folder: Path) -> list[str]:
    """Return the names of all that is in a folder, but for logs, whose names have times."""
    return sorted(
        p.relative_to(folder).as_posix() for p in folder.rglob("*") if "logs" not in p.relative_to(folder).parts
    )


def kibibytes(folder: Path) -> int:
    """Room that a folder takes on a file system with pages of 4 KiB."""
    return sum(4 + 4 * -(-p.stat().st_size // 4096) for p in [folder, *folder.rglob("*")])
