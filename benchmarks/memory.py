"""How much memory a process took at the most."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path

__all__ = ["peak_memory_mb"]


def peak_memory_mb() -> float:
    """Peak resident memory of this process in MiB."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):  # what getrusage says, Linux inherits from the parent process
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
