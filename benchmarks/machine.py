"""What a figure was measured on, and whether the machine was quiet."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["describe_machine", "machine", "spread"]

# Average load of the last minute above which figures are not called those of a quiet machine.
_QUIET = 0.5


def machine(*packages: str) -> dict[str, Any]:
    """Describe this machine; call it before anything is measured.

    Parameters
    ----------
    *packages
        Installed packages whose versions matter, besides NumPy.

    Returns
    -------
    dict
        ``processor, cores, system, python, packages`` (name to version, None if it is not installed), ``load`` (average of the
        last minute; None where the system does not tell) and ``quiet``.
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in ("numpy", *packages)},
        "load": load,
        "quiet": load is not None and load <= _QUIET,
    }


def describe_machine(about: dict[str, Any]) -> str:
    """Return what :func:`machine` says as text for the terminal."""
    packages = ", ".join(f"{name} {found}" for name, found in about["packages"].items() if found)
    load = "an unknown load" if about["load"] is None else f"a load of {about['load']:.2f}"
    warning = "" if about["quiet"] else f" THE MACHINE WAS NOT QUIET (a load above {_QUIET}): the figures are too bad."
    return f"{about['processor']}, {about['cores']} cores, Python {about['python']}, {packages}; {load} at the start.{warning}"


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, least and greatest of repeated measurements."""
    return {"median": statistics.median(values), "least": min(values), "greatest": max(values)}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
