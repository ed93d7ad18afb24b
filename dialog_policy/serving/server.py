"""Running the application until a signal ends it."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any

import uvicorn
from threadpoolctl import threadpool_limits

from dialog_policy.errors import OptionError
from dialog_policy.serving.connections import bounded_http
from dialog_policy.serving.logs import log, start_logging
from dialog_policy.serving.runs import set_aside

__all__ = ["PATIENCE_S", "serve"]

# Requests that are being answered when a signal comes get so many seconds.
PATIENCE_S = 10
_BACKLOG = 2_048


class _Server(uvicorn.Server):
    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        set_aside()
        for listening in sockets if self.started else ():
            host, port = listening.getsockname()[:2]
            log("started", url=f"http://{f'[{host}]' if ':' in host else host}:{port}")


def serve(app: Any, host: str, port: int, proxies: Sequence[str] = ()) -> None:
    """Serve until SIGTERM or SIGINT, then finish what was begun.

    Parameters
    ----------
    app
        The application.
    host, port
        Where to listen; port 0: any that is free, the log says which.
    proxies
        Addresses or networks of proxies whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are believed.

    Raises
    ------
    OptionError
        If this address cannot be listened at.
    """
    try:
        listening = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=_BACKLOG
        )
    except OSError as error:
        raise OptionError(f"could not listen at {host}, port {port}: {error.strerror or error}.") from None
    start_logging()
    # uvicorn stops on these signals, then raises them again for whoever handled them before: that would be Python, which
    # ends with an error.
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: None)
    config = uvicorn.Config(
        app,
        http=bounded_http(),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=PATIENCE_S,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
    )
    server = _Server(config)
    # The thread that waits for the disk gets Python's lock back within a millisecond, not five.
    sys.setswitchinterval(0.001)
    # The matrices of a turn are small: a second thread for them costs more than it brings, and it is the client's.
    with threadpool_limits(1, "blas"):
        server.run(sockets=[listening])
    log("stopped")
