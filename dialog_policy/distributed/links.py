"""Connections between processes: how they find each other, and messages of a kind and some bytes."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from importlib.metadata import version
from typing import NamedTuple

import msgspec

from dialog_policy.distributed.place import Place
from dialog_policy.errors import GroupError

__all__ = ["SILENCE", "Kind", "Link", "Member", "meet"]

# Seconds after which a process that says nothing is lost; each says something four times as often.
SILENCE = 60.0
_HEADER = struct.Struct(">cQ")
_PIECE = 1 << 20
# What a newcomer says first is short and comes at once; somebody else on this port may say anything, or nothing.
_LONGEST_HELLO, _HELLO_SECONDS = 4_096, 10.0
# How often process 0 looks whether all have come.
_LOOK_SECONDS = 0.1
_RETRY_SECONDS = 0.25


class Kind:
    """Kinds of messages."""

    HELLO, WELCOME, REFUSED = b"h", b"w", b"r"
    ALIVE, VALUE, FAILED, BYE = b".", b"v", b"f", b"b"


class Member(msgspec.Struct, frozen=True):
    """Who a process is."""

    rank: int
    processes: int
    host: str
    pid: int
    version: str

    def __str__(self) -> str:
        return f"process {self.rank} of {self.processes} ({self.host}, process id {self.pid})"


class _Welcome(msgspec.Struct, frozen=True):
    members: list[Member]


class Link:
    """One connection; any thread may send, one receives."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._sending = threading.Lock()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(SILENCE)

    def send(self, kind: bytes, payload: bytes = b"", *, wait: bool = True) -> None:
        """Send a message; without `wait` not if another one is being sent.

        Raises
        ------
        OSError
            If the connection has ended.
        """
        if not self._sending.acquire(blocking=wait):
            return
        try:
            self._socket.sendall(_HEADER.pack(kind, len(payload)))
            for start in range(0, len(payload), _PIECE):  # the time limit is for a piece
                self._socket.sendall(payload[start : start + _PIECE])
        finally:
            self._sending.release()

    def receive(self, longest: int | None = None) -> tuple[bytes, bytes]:
        """Return the next message's kind and bytes.

        Raises
        ------
        OSError
            If the connection has ended, nothing comes for a time, or what comes is longer than `longest`.
        """
        kind, size = _HEADER.unpack(self._exactly(_HEADER.size))
        if longest is not None and size > longest:
            raise ConnectionError("the received data are not a message of this program")
        return kind, self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size:
            piece = self._socket.recv(min(size - len(received), _PIECE))
            if not piece:
                raise ConnectionResetError("its connection was closed")
            received += piece
        return bytes(received)

    def limit(self, seconds: float) -> None:
        """Set how long to wait for bytes."""
        self._socket.settimeout(seconds)

    def close(self) -> None:
        """End the connection once everything is sent."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        self._socket.close()


class Met(NamedTuple):
    """All members in the order of their ranks, and the connections: from process 0 to each other one, from the others to 0."""

    members: list[Member]
    links: dict[int, Link]


def meet(place: Place, wait: float) -> Met:
    """Have all processes find each other.

    Parameters
    ----------
    place
        Where this process stands.
    wait
        Seconds.

    Raises
    ------
    GroupError
        If they have not all come by then, the port is taken, or process 0 refuses this one.
    """
    me = Member(place.rank, place.processes, socket.gethostname(), os.getpid(), version("dialog-policy"))
    deadline = time.monotonic() + wait
    if place.rank == 0:
        return _receive_all(place, me, deadline, wait)
    link = _call(place, deadline, wait)
    link.send(Kind.HELLO, msgspec.json.encode(me))
    link.limit(max(1.0, deadline - time.monotonic()) + _HELLO_SECONDS)
    try:
        kind, payload = link.receive()
    except OSError as error:
        raise GroupError(
            f"process 0 at {place.host}:{place.port} ended before all {place.processes} processes had joined ({_why(error)}); its own "
            "output says why."
        ) from None
    if kind != Kind.WELCOME:
        raise GroupError(payload.decode(errors="replace"))
    link.limit(SILENCE)
    return Met(msgspec.json.decode(payload, type=_Welcome).members, {0: link})


def _call(place: Place, deadline: float, wait: float) -> Link:
    """Connect to process 0, which may start later than this one."""
    while True:
        try:
            return Link(
                socket.create_connection((place.host, place.port), timeout=max(1.0, deadline - time.monotonic()))
            )
        except OSError as error:
            if time.monotonic() + _RETRY_SECONDS > deadline:
                raise GroupError(
                    f"process 0 does not answer at {place.host}:{place.port} within {wait:g} seconds ({_why(error)}). Expected it "
                    "there with --rank 0 and the same --coordinator: is it started, is this its machine, and does a firewall let "
                    "the machines talk?"
                ) from None
            time.sleep(_RETRY_SECONDS)


def _why(error: OSError) -> str:
    return error.strerror or str(error)


def _receive_all(place: Place, me: Member, deadline: float, wait: float) -> Met:
    meeting = _Meeting(me)
    with _server(place) as server:
        server.settimeout(_LOOK_SECONDS)
        while len(meeting.members) < place.processes:
            if time.monotonic() >= deadline:
                missing = ", ".join(map(str, meeting.end()))
                raise GroupError(
                    f"expected {place.processes} processes at {place.host}:{place.port}; these did not join within {wait:g} seconds: "
                    f"{missing}. Start each with the same --coordinator and --processes, and its own --rank."
                )
            with contextlib.suppress(TimeoutError, ConnectionError):
                connection, _ = server.accept()
                # In a thread: nobody waits for whoever says nothing.
                threading.Thread(target=meeting.admit, args=(connection,), daemon=True).start()
    everybody = [meeting.members[rank] for rank in range(place.processes)]
    for link in meeting.links.values():
        with contextlib.suppress(OSError):  # that it has ended is seen by whoever listens to it
            link.send(Kind.WELCOME, msgspec.json.encode(_Welcome(everybody)))
    return Met(everybody, meeting.links)


class _Meeting:
    """Who has come to process 0."""

    def __init__(self, me: Member) -> None:
        self.me, self.members, self.links = me, {0: me}, dict[int, Link]()
        self._has_ended = False
        self._entering = threading.Lock()

    def admit(self, connection: socket.socket) -> None:
        """Take a newcomer in who says who it is; anybody else's connection is closed."""
        is_in = False
        with contextlib.suppress(OSError, ValueError, RecursionError):  # nobody of ours, or gone again
            link = Link(connection)
            link.limit(_HELLO_SECONDS)
            kind, payload = link.receive(_LONGEST_HELLO)
            is_in = kind == Kind.HELLO and self._enter(link, msgspec.json.decode(payload, type=Member))
        if not is_in:
            connection.close()

    def _enter(self, link: Link, member: Member) -> bool:
        link.limit(SILENCE)
        with self._entering:
            refused = _refusal(member, self.me, self.members)
            if not refused and not self._has_ended:
                # The link first: whoever counts the members finds the links of all.
                self.links[member.rank] = link
                self.members[member.rank] = member
                return True
        if refused:
            link.send(Kind.REFUSED, refused.encode())
        link.close()
        return False

    def end(self) -> list[int]:
        """Close all connections, since not everybody has come; return the ranks of those who have not."""
        with self._entering:
            self._has_ended = True
        for link in self.links.values():
            link.close()
        return [rank for rank in range(self.me.processes) if rank not in self.members]


def _refusal(member: Member, me: Member, members: dict[int, Member]) -> str:
    """Say why a newcomer cannot be one of us; empty if it can."""
    if member.version != me.version:
        return f"process 0 has dialog-policy {me.version}, this one {member.version}: install the same version on all machines."
    if member.processes != me.processes:
        return (
            f"process 0 expects {me.processes} processes, this one {member.processes}: give all the same --processes."
        )
    if not 0 <= member.rank < me.processes:
        return f"expected a rank from 0 to {me.processes - 1}, found {member.rank}."
    if member.rank in members:
        return f"there are two processes with the rank {member.rank}: {members[member.rank]} came first. Give each its own --rank."
    return ""


def _server(place: Place) -> socket.socket:
    try:
        local = socket.gethostbyname(place.host).startswith("127.")
    except OSError:  # an IPv6 address, or a name that only the others can resolve
        local = place.host == "::1"
    dual = not local and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual or ":" in place.host else socket.AF_INET
    try:
        return socket.create_server((place.host if local else "", place.port), family=family, dualstack_ipv6=dual)
    except OSError as error:
        raise GroupError(
            f"process 0 cannot listen at port {place.port} ({_why(error)}). Give all processes --coordinator with another port; a "
            "training that was just killed may still hold this one."
        ) from None
