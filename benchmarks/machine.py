"""What a benchmark ran on: processor, versions, and whether anything else was running."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["describe_machine", "this_machine"]

# Processes that waited for a core in the last minute, on average, up to which a machine is called quiet.
_QUIET = 0.5


def this_machine(*packages: str) -> dict[str, Any]:
    """Describe the machine; to be called before the benchmark itself keeps it busy.

    Parameters
    ----------
    *packages
        Whose versions matter.

    Returns
    -------
    dict
        ``processor, cores, load_average`` (of the last minute; None where the system has none), ``quiet`` (whether that is 0.5
        at most) and ``versions`` (Python's, and those of the packages that are installed).
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    versions = {"python": platform.python_version()}
    for name in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_average": load,
        "quiet": load is not None and load <= _QUIET,
        "versions": versions,
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def describe_machine(machine: Mapping[str, Any]) -> list[str]:
    """Return lines for the terminal."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    load = machine["load_average"]
    lines = [f"{machine['processor']}, {machine['cores']} cores; {versions}"]
    if load is None:
        lines.append(
            "This system does not say whether other programs run: these figures may not be those of a quiet machine."
        )
    elif machine["quiet"]:
        lines.append(f"Load average before the benchmark: {load:.2f}, a quiet machine.")
    else:
        lines.append(
            f"Load average before the benchmark: {load:.2f}. Other programs run: these are not the figures of a quiet machine."
        )
    return lines
