"""A server in a process of its own, and as little of a client as asks it: both ends of the load tests."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from types import TracebackType
from typing import Any

__all__ = ["Connection", "ServerProcess", "ask", "connect", "run_client"]

# How long a server that was told to end may take.
_PATIENCE_S = 60.0


class ServerProcess:
    """``dialog-policy serve`` in a process of its own, at a free port.

    Parameters
    ----------
    *arguments
        What follows ``serve``.
    """

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-c", "from dialog_policy.cli import main; main()", "serve", *arguments]
        self.process = subprocess.Popen([*command, "--port", "0"], stderr=subprocess.PIPE)
        assert self.process.stderr is not None
        output = []
        for line in self.process.stderr:
            output.append(line.decode(errors="replace"))
            if '"event":"started"' in output[-1]:
                self.url = str(json.loads(output[-1])["url"])
                self.port = int(self.url.rpartition(":")[2])
                break
        else:
            self.process.wait()
            raise RuntimeError(f"the server did not start:\n{''.join(output)}")
        # Nobody reads its log from here on, and a full pipe would stop it.
        self._drain = subprocess.Popen(["cat"], stdin=self.process.stderr, stdout=subprocess.DEVNULL)
        self.process.stderr.close()

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(_PATIENCE_S)
        self._drain.wait(_PATIENCE_S)

    def kill(self) -> None:
        """End it as a crash would: no handler runs."""
        self.process.kill()
        self.process.wait(_PATIENCE_S)


def ask(head: str, body: bytes = b"") -> bytes:
    """Return the bytes of a request; `head` are its first lines, each with its end."""
    kind = "Content-Type: application/json\r\n" if body else ""
    return f"{head}Host: localhost\r\n{kind}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Connection(asyncio.Protocol):
    """One kept-alive HTTP/1.1 connection: as little as a client can do, since it shares the machine with the server."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answered: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        """Put an answer together; hand it over when it is complete."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or self._answered is None:
            return
        head = self._buffer[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].partition(b"\r\n")[0]) if at >= 0 else 0  # 204 has no body
        if len(self._buffer) < end + 4 + length:
            return
        body, self._buffer = self._buffer[end + 4 :], b""
        if not self._answered.done():
            self._answered.set_result((int(head[9:12]), body))

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so to whoever waits for an answer."""
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(ConnectionError("the server closed the connection"))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; return status and body."""
        if self._transport.is_closing():
            raise ConnectionError("the server closed the connection")
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answered

    def close(self) -> None:
        """Close."""
        self._transport.close()


async def connect(port: int) -> Connection:
    """Connect with a server on this machine."""
    _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    return connection


def run_client(work: Any) -> Any:
    """Run the client in the quickest loop that there is."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)
