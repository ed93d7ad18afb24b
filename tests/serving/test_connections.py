"""Nobody keeps others out by half a request, or fills the memory with headers without end."""

import contextlib
import itertools
import json
import socket
import threading

import pytest
import uvicorn

pytest.importorskip("fastapi", reason="the extra serve is not installed")
from dialog_policy.serving.app import create_app
from dialog_policy.serving.connections import bounded_http
from dialog_policy.serving.runs import Runs
from dialog_policy.serving.settings import Settings
from dialog_policy.serving.stores import MemoryStore


@pytest.fixture
def connect(run):
    """Return a function that opens a connection to a server with these bounds."""
    with contextlib.ExitStack() as stack:

        def start(**bounds):
            app = create_app(Runs({"quick": run}), MemoryStore(), Settings(rate=0))
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            server = uvicorn.Server(uvicorn.Config(app, log_level="critical", http=bounded_http(**bounds)))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
            thread.start()
            stack.callback(thread.join)
            stack.callback(setattr, server, "should_exit", True)

            def connection():
                made = stack.enter_context(socket.create_connection(listening.getsockname()))
                made.settimeout(60)
                return made

            return connection

        yield start


def everything(connection):
    """What the server sends until it closes the connection."""
    with contextlib.suppress(ConnectionError):
        return b"".join(iter(lambda: connection.recv(65_536), b""))
    return b""


def request(body, headers=b"", close=True):
    content = json.dumps(body).encode()
    end = b"Connection: close\r\n" if close else b""
    return (
        b"POST /sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%s%sContent-Length: %d\r\n\r\n%s"
        % (headers, end, len(content), content)
    )


def test_headers_without_end_are_cut_off(connect):
    connection = connect(header_bytes=10_000, request_s=10_000)()
    connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000)
    refused = everything(connection)
    assert refused.startswith(b"HTTP/1.1 431")
    assert json.loads(refused.partition(b"\r\n\r\n")[2])["error"]
    # Also where the client does not listen.
    connection = connect(header_bytes=10_000, request_s=10_000)()
    connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX: ")
    with pytest.raises(ConnectionError):
        any(connection.sendall(b"a" * 1_000) for _ in itertools.repeat(None))


def test_what_is_not_http_is_an_error_like_others(connect):
    connection = connect()()
    connection.sendall(b"HELO there\r\n\r\n")
    refused = everything(connection)
    assert refused.startswith(b"HTTP/1.1 400")
    assert json.loads(refused.partition(b"\r\n\r\n")[2])["error"]


def test_what_is_half_sent_is_cut_off_and_others_are_answered(connect):
    connection = connect(request_s=0.5)
    halves = [b"", b"GET /hea", b"GET /health HTTP/1.1\r\nHost: x\r\nX", request({"id": "half"})[:-4]]
    waiting = []
    for half in halves * 10:
        waiting.append(connection())
        waiting[-1].sendall(half)
    answered = connection()
    answered.sendall(request({"id": "whole"}))
    assert everything(answered).startswith(b"HTTP/1.1 201")
    for half, sent in zip(waiting, halves * 10, strict=True):
        # Until the server closes it. Before the headers have come there is no request to answer.
        received = everything(half)
        assert received.startswith(b"HTTP/1.1 408") or b"POST" in sent, received
    last = connection()
    last.sendall(b"GET /sessions/half HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert everything(last).startswith(b"HTTP/1.1 404")


def test_requests_one_after_the_other_are_all_answered(connect):
    """Headers and bodies up to their limits, pieces, several in one: nothing of that is cut off."""
    connection = connect(header_bytes=10_000, request_s=20)()
    large = request({"id": "a"}, b"X: %s\r\n" % (b"a" * 9_000), close=False)
    pieces = request({"id": "b", "run": None}, close=False)
    for piece in (
        large,
        pieces[:20],
        pieces[20:90],
        pieces[90:],
        request({"id": "c"}, close=False) + request({"id": "d"}),
    ):
        connection.sendall(piece)
    assert everything(connection).count(b"HTTP/1.1 201") == 4
