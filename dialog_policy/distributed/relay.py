"""A port of this machine that leads to another one's."""

from __future__ import annotations

import contextlib
import socket
import threading

__all__ = ["relay"]


def relay(host: str, port: int) -> int:
    """Pass connections to a port of this machine on to `host` and `port`, and return the port.

    When the far end goes, the near end stays open. JAX ends a process at once, with a stack trace, when the connection to its
    coordinator ends; what is to be said and done then is for :class:`~dialog_policy.distributed.control.Control` to decide.
    """
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(server, host, port), daemon=True).start()
    return int(server.getsockname()[1])


def _accept(server: socket.socket, host: str, port: int) -> None:
    kept = []
    while True:
        near, _ = server.accept()
        try:
            far = socket.create_connection((host, port))
        except OSError:  # it is not there yet: whoever has called tries again
            near.close()
            continue
        kept.append(near)
        threading.Thread(target=_pass_on, args=(near, far), daemon=True).start()
        threading.Thread(target=_pass_on, args=(far, near), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while received := source.recv(1 << 16):
            target.sendall(received)
