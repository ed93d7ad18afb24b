"""Joining a Ray cluster."""

from __future__ import annotations

import logging
from typing import Any

from dialog_policy.errors import OptionError, require
from dialog_policy.executor import cores

__all__ = ["connect"]


def connect(address: str, processors: int | None = None) -> Any:
    """Join a Ray cluster, or start one, and return the library.

    Parameters
    ----------
    address
        Of the cluster, as ``ray.init`` takes it; ``"local"``: a cluster of this machine alone.
    processors
        Of a local cluster. None: those that this process may use.

    Raises
    ------
    OptionError
        If there is no such cluster.
    MissingExtraError
        If Ray is not installed.
    """
    ray = require("ray", extra="ray", purpose="work on a Ray cluster")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address == "local":
            ray.init("local", num_cpus=processors or cores(), include_dashboard=False, **options)
        else:
            ray.init(address, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise OptionError(
            f"--ray: there is no Ray cluster at {address!r} ({error}). Start one with `ray start --head`, or give `local`."
        ) from None
    return ray
