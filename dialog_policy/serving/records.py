"""A session as the server keeps it: the conversation, what each turn was answered, and which requests it has seen."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from dialog_policy.errors import SessionError
from dialog_policy.runtime import Policy, Session, SessionTurn, Step
from dialog_policy.serving.errors import ConflictError, UnprocessableError

__all__ = ["Answer", "Record", "TurnRequest", "describe_turn"]

# Probabilities below this are not told, as in files of predictions.
_NEGLIGIBLE = 1e-3
# Keys of turns that were taken back which a session remembers.
_SPENT_KEYS = 64
_FORMAT = 1


class TurnRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What a turn begins with.

    Attributes
    ----------
    user
        What the user said; None: nobody spoke, as after a database answered.
    context
        What the system learnt before it acts.
    allowed
        The actions that may be taken; None: all.
    """

    user: str | None = None
    context: dict[str, Any] = {}
    allowed: list[str] | None = None

    def digest(self) -> bytes:
        """Tell this request from others that come with the same idempotency key."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).digest()[:16]


class Answer(msgspec.Struct, array_like=True):
    """What the session itself does not keep of a turn; the probabilities as they are sent, since most are never read again."""

    confidence: float
    fallback: bool
    probabilities: bytes
    key: str | None
    digest: bytes
    corrected: bool = False


class Record(msgspec.Struct, array_like=True):
    """All that a store has of a session."""

    format: int
    run: str
    created: float
    session: bytes
    answers: list[Answer] = []
    spent: list[str] = []

    @classmethod
    def new(cls, run: str, session: Session) -> Record:
        """Begin."""
        return cls(_FORMAT, run, time.time(), session.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> Record:
        """Undo :meth:`to_bytes`.

        Raises
        ------
        SessionError
            If these are no such bytes.
        """
        try:
            record = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SessionError(f"the store holds something that is no session ({error}).") from None
        if record.format != _FORMAT:
            raise SessionError(f"expected a stored session of format {_FORMAT}, found format {record.format}.")
        return record

    def to_bytes(self) -> bytes:
        """Return it for a store."""
        return _encode(self)

    def answered(self, key: str | None, digest: bytes) -> int | None:
        """Return the number of the turn that a request with this key made; None if it is a new one.

        Raises
        ------
        UnprocessableError
            If the key came with another request.
        ConflictError
            If its turn was taken back.
        """
        if key is None:
            return None
        for number, answer in enumerate(self.answers):
            if answer.key == key:
                if answer.digest != digest:
                    raise UnprocessableError(
                        f"the Idempotency-Key {key!r} came with another request (turn {number}): give every turn its own key."
                    )
                return number
        if key in self.spent:
            raise ConflictError(
                f"the turn with the Idempotency-Key {key!r} was taken back: give the new turn a new key."
            )
        return None

    def add(self, step: Step, key: str | None, digest: bytes) -> None:
        """Keep what the next turn was answered."""
        likely = sorted(step.probabilities.items(), key=lambda item: -item[1])
        shares = {name: share for name, share in likely if share >= _NEGLIGIBLE}
        self.answers.append(Answer(step.confidence, step.fallback, msgspec.json.encode(shares), key, digest))

    def cut(self, turn: int) -> None:
        """Forget the answers of `turn` and all later ones; their keys stay known."""
        gone = [answer.key for answer in self.answers[turn:] if answer.key is not None]
        self.spent = [*self.spent, *gone][-_SPENT_KEYS:]
        del self.answers[turn:]

    def describe(self, id: str, policy: Policy, session: Session) -> dict[str, Any]:
        """Return the session as clients see it."""
        turns = [describe_turn(n, *pair) for n, pair in enumerate(zip(session.turns, self.answers, strict=True))]
        return {"id": id, "run": self.run, "policy": policy.id, "turns": turns}


_decode = msgspec.msgpack.Decoder(Record).decode
_encode = msgspec.msgpack.Encoder().encode


def describe_turn(number: int, turn: SessionTurn, answer: Answer) -> Mapping[str, Any]:
    """Return a turn as clients see it."""
    return {
        "turn": number,
        "user": turn.user,
        "context": turn.context,
        "actions": None if turn.actions is None else sorted(turn.actions),
        "predicted": sorted(turn.predicted),
        "confidence": answer.confidence,
        "fallback": answer.fallback,
        "probabilities": msgspec.Raw(answer.probabilities),
        "reply": turn.system or None,
        "corrected": answer.corrected,
    }
