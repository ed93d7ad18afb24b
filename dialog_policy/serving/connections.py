"""HTTP connections that cannot be held open by half a request, nor filled with headers without end."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["bounded_http"]

# As nginx and Apache have it, together.
_HEADER_BYTES = 32_768
_REQUEST_S = 10.0


def _refusal(status: HTTPStatus, sentence: str) -> bytes:
    """Return an answer with an error as the application gives it, after which the connection is closed."""
    body = msgspec.json.encode({"error": sentence})
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return f"{head}\r\nconnection: close\r\n\r\n".encode() + body


_INVALID = _refusal(HTTPStatus.BAD_REQUEST, "this is not an HTTP request.")
_TOO_LARGE = _refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request's headers are too large.")
_TOO_SLOW = _refusal(HTTPStatus.REQUEST_TIMEOUT, "the request did not arrive in time. Send it again.")


class _Joining:
    """A transport that writes what comes one after the other, such as the head and the body of an answer, at once.

    Everything but writing and closing is the transport's own.
    """

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._waiting: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._waiting:
            self._loop.call_soon(self._flush)
        self._waiting.append(data)

    def _flush(self) -> None:
        if self._waiting:
            self._transport.write(b"".join(self._waiting))
            self._waiting.clear()

    def close(self) -> None:
        self._flush()
        self._transport.close()


def bounded_http(*, header_bytes: int = _HEADER_BYTES, request_s: float = _REQUEST_S) -> type[asyncio.Protocol]:
    """Return a class of connections for uvicorn, which has neither limit with httptools.

    Parameters
    ----------
    header_bytes
        Bytes after which a request must have come to the end of its headers.
    request_s
        Seconds in which a request must have come, with its body; also the first one after the connection was made.
    """

    class BoundedHttp(HttpToolsProtocol):
        _deadline: asyncio.TimerHandle | None = None
        _is_in_headers = False
        _received = 0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(_Joining(transport, self.loop))  # type: ignore[arg-type]
            self._begin()

        def connection_lost(self, exc: Exception | None) -> None:
            self._end()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._is_in_headers:
                self._received += len(data)
                if self._received > header_bytes:
                    self._refuse(_TOO_LARGE)

        def send_400_response(self, msg: str) -> None:
            self._refuse(_INVALID)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._begin()

        def on_headers_complete(self) -> None:
            self._is_in_headers = False
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._end()
            super().on_message_complete()

        def _begin(self) -> None:
            self._end()
            self._is_in_headers, self._received = True, 0
            self._deadline = self.loop.call_later(request_s, self._refuse, _TOO_SLOW)

        def _end(self) -> None:
            self._is_in_headers = False
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _refuse(self, response: bytes) -> None:
            self._end()
            if not self.transport.is_closing():
                # Where the application has begun to answer, another answer would only confuse.
                if self.cycle is None or self.cycle.response_complete:
                    self.transport.write(response)
                self.transport.close()

    return BoundedHttp
