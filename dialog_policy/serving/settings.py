"""What a server is told when it starts."""

from __future__ import annotations

import msgspec

__all__ = ["Settings"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a server behaves.

    Attributes
    ----------
    token
        What a client must show as ``Authorization: Bearer TOKEN``; None: nothing.
    hosts
        Names that the ``Host`` header may have; empty: any. A page elsewhere whose name was made to point at this machine
        (DNS rebinding) has another one.
    max_body
        Bytes of a request's body.
    max_utterance
        Characters of what a user or the system says in one turn.
    max_turns
        Turns of a session.
    max_sessions
        Sessions at a time.
    rate
        Requests a second from one address, and twice as many at once; 0: no limit.
    expire_s
        Seconds after its last change when a session is gone.
    log_text
        Whether the logs have what users and the system said.
    """

    token: str | None = None
    hosts: frozenset[str] = frozenset()
    max_body: int = 65_536
    max_utterance: int = 2_000
    max_turns: int = 500
    max_sessions: int = 100_000
    rate: float = 200.0
    expire_s: float = 7 * 86_400.0
    log_text: bool = False
