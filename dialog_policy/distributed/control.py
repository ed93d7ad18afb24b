"""What processes say to each other beside the training itself: values, failures, and that they are alive."""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading

import msgspec

from dialog_policy.distributed.links import SILENCE, Kind, Met
from dialog_policy.errors import GroupError

__all__ = ["Control"]

# Seconds that whatever a process computes has to come to an end by itself once another process is lost.
_GRACE = 10.0
_EXIT_CODE = 2
_ADVICE = (
    "The training has ended. The last finished epoch is kept. To continue, give the same command with --resume (in Python: "
    "resume=True), with any number of processes."
)


class Control:
    """A star around process 0 that passes bytes on, and ends all processes when one is lost.

    Parameters
    ----------
    met
        All members and the connections of this one.
    rank
        Of this one.
    """

    def __init__(self, met: Met, rank: int) -> None:
        self._links, self._members, self._me = met.links, met.members, met.members[rank]
        self._values: dict[int, queue.SimpleQueue[bytes | None]] = {other: queue.SimpleQueue() for other in met.links}
        self._changing = threading.Lock()
        self._ended = threading.Event()
        self._left = threading.Event()
        self._closing = False
        self.reason = ""
        for other in met.links:
            threading.Thread(target=self._listen, args=(other,), daemon=True).start()
        threading.Thread(target=self._say_alive, daemon=True).start()

    def gather(self, value: bytes) -> list[bytes]:
        """Return the values of all processes in the order of their ranks; all must call this, in the same order.

        Raises
        ------
        GroupError
            If one of them has failed or is lost.
        """
        try:
            if self._me.rank:
                self._links[0].send(Kind.VALUE, value)
                return msgspec.msgpack.decode(self._next(0), type=list[bytes])
            values = [value, *(self._next(other) for other in sorted(self._links))]
            for link in self._links.values():
                link.send(Kind.VALUE, msgspec.msgpack.encode(values))
            return values
        except OSError:
            self._ended.wait(SILENCE)  # the thread that listens says what has happened
            raise GroupError(self.reason) from None

    def _next(self, other: int) -> bytes:
        value = self._values[other].get()
        if value is None:
            self._values[other].put(None)
            raise GroupError(self.reason)
        return value

    def has_ended(self, within: float) -> bool:
        """Whether a process has failed or is lost, or is found to be within some seconds."""
        return self._ended.wait(within)

    def fail(self, message: str) -> None:
        """Tell all others that this process ends, and why."""
        self._closing = True
        self._tell(message)
        self.close()

    def close(self) -> None:
        """End all connections."""
        self._closing = True
        self._left.set()
        for link in self._links.values():
            with contextlib.suppress(OSError):
                link.send(Kind.BYE)
            link.close()

    def leave(self) -> None:
        """Say that this process is on its way out."""
        self._left.set()

    def _listen(self, other: int) -> None:
        try:
            while True:
                kind, payload = self._links[other].receive()
                if kind == Kind.VALUE:
                    self._values[other].put(payload)
                elif kind == Kind.FAILED:
                    self._end(payload.decode(), told_by=other)
                    return
                elif kind == Kind.BYE:
                    return
        except TimeoutError:
            self._end(f"{self._members[other]} was lost: nothing was heard of it for {SILENCE:g} seconds. {_ADVICE}")
        except OSError:
            self._end(f"{self._members[other]} was lost: its connection was closed. {_ADVICE}")

    def _say_alive(self) -> None:
        while not self._left.wait(SILENCE / 4):
            for link in self._links.values():
                with contextlib.suppress(OSError):
                    link.send(Kind.ALIVE, wait=False)

    def _end(self, reason: str, told_by: int | None = None) -> None:
        """Note that the group has ended, tell the others, and see to it that this process ends, too."""
        with self._changing:
            if self._closing or self.reason:
                return
            self.reason = reason
        # Before this process is told: it may be gone a moment later, and its connections with it.
        self._tell(reason, but=told_by)
        self._ended.set()
        for values in self._values.values():
            values.put(None)
        if not self._left.wait(_GRACE):
            # What waits for the lost process cannot be interrupted.
            print(f"Error: {reason}", file=sys.stderr, flush=True)
            os._exit(_EXIT_CODE)

    def _tell(self, message: str, but: int | None = None) -> None:
        for other, link in self._links.items():
            if other != but:
                with contextlib.suppress(OSError):
                    link.send(Kind.FAILED, message.encode())
