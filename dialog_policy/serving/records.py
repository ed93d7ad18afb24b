"""What a store has of a session: the session's own bytes, and beside them what was answered and under which keys."""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from operator import itemgetter
from typing import NamedTuple

import msgspec

from dialog_policy.errors import SessionError
from dialog_policy.runtime import Session, Step
from dialog_policy.runtime.compressed_turns import packed, unpacked
from dialog_policy.serving.errors import ConflictError, UnprocessableError

__all__ = ["SessionRecord", "StoredAnswer"]

# Probabilities below this are left out, as in files of predictions. The others are kept in two bytes.
_NEGLIGIBLE, _ONE, _DECIMALS = 1e-3, 65_535, 5
# Turns of a session whose names are not compressed yet.
_FEW = 12
_FALLBACK, _CORRECTED, _WIDE = 1, 2, 4
_FLOAT = struct.Struct("<f")
# Keys of turns that were taken back which a session remembers.
_SPENT_KEYS = 64
_FORMAT = 2
# Bytes that stand for a key, and for the request that came with it; zeros for a turn without a key.
_KEY, _DIGEST = 6, 4
_NO_KEY = bytes(_KEY + _DIGEST)


class StoredAnswer(NamedTuple):
    """What the session itself does not keep of a turn.

    Attributes
    ----------
    confidence, fallback
        Of the decision.
    corrected
        Whether somebody said what the bot really did.
    probabilities
        Of each action, the most probable first.
    """

    confidence: float
    fallback: bool
    corrected: bool
    probabilities: dict[str, float]


class _Stored(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """MessagePack.

    `answers` has for each turn what is so of it (one byte; 1: fallback, 2: corrected), the confidence (float32), then the
    probabilities of actions (integers of two bytes, 65,535 is 1), all little-endian, then the numbers of these actions among `names` (one byte each,
    two where there are more than 256). `names` is JSON, compressed in longer sessions. `keys` has ten bytes a turn.
    """

    format: int
    run: str
    created: float
    session: bytes
    names: bytes
    answers: list[bytes]
    keys: bytes
    spent: bytes


class _Answer1(msgspec.Struct, array_like=True):
    confidence: float
    fallback: bool
    probabilities: bytes
    key: str | None
    digest: bytes
    corrected: bool = False


class _Stored1(msgspec.Struct, array_like=True):
    """Format 1, which is read."""

    format: int
    run: str
    created: float
    session: bytes
    answers: list[_Answer1] = []
    spent: list[str] = []


class SessionRecord:
    """All that a store has of a session.

    Attributes
    ----------
    run
        Name of the run.
    created
        Unix time.
    session
        As :meth:`~dialog_policy.runtime.Session.to_bytes` returns it.
    """

    def __init__(self, stored: _Stored) -> None:
        self.run, self.created, self.session = stored.run, stored.created, stored.session
        self._packed_names, self._answers = stored.names, stored.answers
        self._keys, self._spent = stored.keys, stored.spent
        self._names: dict[str, int] | None = None
        # The last answer, if it was added now.
        self._added: StoredAnswer | None = None

    @classmethod
    def new(cls, run: str, session: Session) -> SessionRecord:
        """Return the record of a session that begins."""
        return cls(_Stored(_FORMAT, run, time.time(), session.to_bytes(), b"", [], b"", b""))

    @classmethod
    def from_bytes(cls, data: bytes) -> SessionRecord:
        """Return the record that :meth:`to_bytes` encoded, in this version or the one before.

        Raises
        ------
        SessionError
            If `data` are other bytes, or a record of another format.
        """
        try:
            # MessagePack: an array of a few, and its first item, a small number.
            number = data[1] if len(data) > 1 and 0x90 < data[0] < 0xA0 and data[1] < 0x80 else None
            if number == 1:
                return cls._of_format_1(_decode_1(data))
            if number is not None and number != _FORMAT:
                raise SessionError(f"expected a stored session of format 1 or {_FORMAT}, found format {number}.")
            record = cls(_decode(data))
        except (ValueError, RecursionError) as error:
            raise SessionError(f"the store holds something that is not a session ({error}).") from None
        if len(record._keys) != len(_NO_KEY) * len(record):
            raise SessionError("the stored session is damaged: its answers and their keys differ in number.")
        return record

    @classmethod
    def _of_format_1(cls, old: _Stored1) -> SessionRecord:
        record = cls(
            _Stored(_FORMAT, old.run, old.created, old.session, b"", [], b"", b"".join(map(_short, old.spent)))
        )
        for answer in old.answers:
            probabilities = msgspec.json.decode(answer.probabilities, type=dict[str, float])
            shares = {name: round(share * _ONE) for name, share in probabilities.items()}
            flags = _FALLBACK * answer.fallback | _CORRECTED * answer.corrected
            record._append(answer.confidence, flags, shares, answer.key, answer.digest)
        return record

    def to_bytes(self) -> bytes:
        """Return the record as MessagePack."""
        stored = _Stored(
            _FORMAT, self.run, self.created, self.session, self._packed_names, self._answers, self._keys, self._spent
        )
        return _encode(stored)

    def __len__(self) -> int:
        return len(self._answers)

    def answer(self, turn: int) -> StoredAnswer:
        """Return the answer of a turn.

        Raises
        ------
        SessionError
            If it is damaged.
        """
        if self._added is not None and turn == len(self) - 1:
            return self._added
        try:
            answer, names = self._answers[turn], list(self._all_names())
            flags = answer[0]
            count = (len(answer) - 5) // (4 if flags & _WIDE else 3)
            confidence, *shares = struct.unpack_from(f"<f{count}H", answer, 1)
            numbers = struct.unpack_from(f"<{count}{'H' if flags & _WIDE else 'B'}", answer, 5 + 2 * count)
            probabilities = {names[n]: _probability(share) for n, share in zip(numbers, shares, strict=True)}
        except (struct.error, ValueError, IndexError) as error:
            raise SessionError(f"the answer of turn {turn} of a stored session is damaged ({error}).") from None
        return StoredAnswer(confidence, bool(flags & _FALLBACK), bool(flags & _CORRECTED), probabilities)

    def _append(self, confidence: float, flags: int, shares: Mapping[str, int], key: str | None, digest: bytes) -> None:
        """Add an answer; `shares` are the probabilities as they are stored."""
        number_of = self._all_names()
        count = len(number_of)
        numbers = [number_of.setdefault(name, len(number_of)) for name in shares]
        if len(number_of) > count:
            spelt = msgspec.json.encode(list(number_of))
            self._packed_names = spelt if len(self) < _FEW else packed(spelt)
        if len(number_of) > 256 and numbers and max(numbers) > 255:
            flags |= _WIDE
        form = f"<Bf{len(shares)}H{len(numbers)}{'H' if flags & _WIDE else 'B'}"
        self._answers.append(struct.pack(form, flags, confidence, *shares.values(), *numbers))
        self._keys += _NO_KEY if key is None else _short(key) + digest[:_DIGEST].ljust(_DIGEST, b"\0")

    def _all_names(self) -> dict[str, int]:
        """Return the names of actions, and the number of each."""
        if self._names is None:
            spelt = self._packed_names or b"[]"
            names = _decode_names(spelt if spelt[:1] == b"[" else unpacked(spelt))
            self._names = {name: number for number, name in enumerate(names)}
        return self._names

    def answered(self, key: str | None, digest: bytes) -> int | None:
        """Return the number of the turn that a request with this key made; None if the request is a new one.

        Raises
        ------
        UnprocessableError
            If the key came with another request.
        ConflictError
            If its turn was taken back.
        """
        if key is None:
            return None
        number = _place(self._keys, _short(key), len(_NO_KEY))
        if number is not None:
            start = number * len(_NO_KEY) + _KEY
            if self._keys[start : start + _DIGEST] != digest[:_DIGEST]:
                raise UnprocessableError(
                    f"the Idempotency-Key {key!r} was used by another request (turn {number}). Give every turn its own key."
                )
            return number
        if _place(self._spent, _short(key), _KEY) is not None:
            raise ConflictError(
                f"the turn with the Idempotency-Key {key!r} was taken back. Give the new turn a new key."
            )
        return None

    def add(self, step: Step, key: str | None, digest: bytes) -> None:
        """Keep the answer of the next turn."""
        likely = [item for item in step.probabilities.items() if item[1] >= _NEGLIGIBLE]
        likely.sort(key=itemgetter(1), reverse=True)
        shares = {name: round(share * _ONE) for name, share in likely}
        (confidence,) = _FLOAT.unpack(_FLOAT.pack(step.confidence))
        # As it will be read again, so that a repeated request gets the same answer.
        probabilities = dict(zip(shares, map(_probability, shares.values()), strict=True))
        self._added = StoredAnswer(confidence, step.fallback, False, probabilities)
        self._append(confidence, _FALLBACK * step.fallback, shares, key, digest)

    def correct(self, turn: int) -> None:
        """Remember that somebody said what the bot really did in a turn."""
        self._added = None
        answer = bytearray(self._answers[turn])
        answer[0] |= _CORRECTED
        self._answers[turn] = bytes(answer)

    def cut(self, turn: int) -> None:
        """Forget the answers of `turn` and all later ones; their keys stay known."""
        taken = self._keys[turn * len(_NO_KEY) :]
        keys = (
            taken[i : i + _KEY] for i in range(0, len(taken), len(_NO_KEY)) if taken[i : i + len(_NO_KEY)] != _NO_KEY
        )
        self._spent = (self._spent + b"".join(keys))[-_SPENT_KEYS * _KEY :]
        self._keys = self._keys[: turn * len(_NO_KEY)]
        del self._answers[turn:]
        self._added = None


@cache
def _probability(share: int) -> float:
    """Return a probability as it was stored; there are 65,536 of them, and rounding one takes as long as finding five."""
    return round(share / _ONE, _DECIMALS)


def _short(key: str) -> bytes:
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=_KEY).digest()


def _place(keys: bytes, key: bytes, width: int) -> int | None:
    """Return which of the keys, each at the start of `width` bytes, is this one."""
    at = keys.find(key)
    while at >= 0:
        if at % width == 0:
            return at // width
        at = keys.find(key, at + 1)
    return None


_decode = msgspec.msgpack.Decoder(_Stored).decode
_decode_names = msgspec.json.Decoder(list[str]).decode
_decode_1 = msgspec.msgpack.Decoder(_Stored1).decode
_encode = msgspec.msgpack.Encoder().encode
