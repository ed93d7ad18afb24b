"""How a session is saved: MessagePack, with its older turns compressed; what the version before saved is read, too."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from dialog_policy.errors import SessionError
from dialog_policy.runtime.compressed_turns import PackedList, packed, unpacked
from dialog_policy.runtime.turns import SessionTurn

__all__ = ["SavedSession", "SavedTurn", "decode_turns", "read_saved"]

_VERSION = 3


class SavedTurn(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A :class:`~dialog_policy.runtime.turns.SessionTurn`; its context is JSON, which has integers of any size, or empty."""

    user: str | None
    context: bytes
    predicted: frozenset[str]
    actions: frozenset[str] | None
    system: str

    @classmethod
    def of(cls, turn: SessionTurn) -> SavedTurn:
        """Return what is saved of a turn."""
        return cls.of_parts(turn.user, turn.context, turn.predicted, turn.actions, turn.system)

    @classmethod
    def of_parts(
        cls,
        user: str | None,
        context: dict[str, Any],
        predicted: frozenset[str],
        actions: frozenset[str] | None,
        system: str,
    ) -> SavedTurn:
        """Return what is saved of a turn with these parts."""
        return cls(user, _json(context) if context else b"", predicted, actions, system)

    def turn(self) -> SessionTurn:
        """Undo :meth:`of`; :class:`ValueError` if the context is not a JSON object."""
        context = _object(self.context) if self.context else {}
        return SessionTurn(self.user, context, self.predicted, self.actions, self.system)


class SavedSession(NamedTuple):
    """A session.

    Attributes
    ----------
    run
        Id of the policy that the state belongs to.
    turns
        All of them.
    memory, state
        As :meth:`~dialog_policy.runtime.state.DialogueState.to_parts` returns them.
    """

    run: str
    turns: PackedList[SavedTurn]
    memory: dict[str, Any]
    state: bytes

    def to_bytes(self) -> bytes:
        """Return it as MessagePack: equal sessions are equal bytes."""
        blocks, turns = self.turns.to_parts()
        recent = _encode(_Recent(turns, self.memory))
        if blocks:
            recent = packed(recent, self.turns.dictionary, level=1)
        return _encode(_Saved(_VERSION, bytes.fromhex(self.run), blocks, recent, self.state))


class _Recent(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    turns: list[SavedTurn]
    memory: dict[str, Any]


class _Saved(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """Version 3: blocks of older turns, and as `recent` a :class:`_Recent`, compressed if there are any."""

    version: int
    run: bytes
    blocks: list[bytes]
    recent: bytes
    state: bytes


class _Version2(msgspec.Struct, forbid_unknown_fields=True):
    """JSON, `state` in base 64."""

    version: int
    run: str
    turns: list[SessionTurn]
    memory: dict[str, Any]
    state: bytes


_encode = msgspec.msgpack.Encoder(order="deterministic").encode
decode_turns = msgspec.msgpack.Decoder(list[SavedTurn]).decode
_decode = msgspec.msgpack.Decoder(_Saved).decode
_decode_recent = msgspec.msgpack.Decoder(_Recent).decode
_decode_json = msgspec.json.Decoder(_Version2).decode
_json = msgspec.json.Encoder().encode
_object = msgspec.json.Decoder(dict[str, Any]).decode


def read_saved(saved: bytes) -> SavedSession:
    """Read what :meth:`SavedSession.to_bytes` wrote, in this version or the one before.

    Raises
    ------
    SessionError
        If these are other bytes.
    """
    try:
        if saved[:1] == b"{":
            old = _decode_json(saved)
            if old.version == 2:
                turns = PackedList(decode_turns, map(SavedTurn.of, old.turns))
                return SavedSession(old.run, turns, old.memory, old.state)
            version = old.version
        else:
            now = _decode(saved)
            version = now.version
            if version == _VERSION:
                recent = _decode_recent(unpacked(now.recent, unpacked(now.blocks[0])) if now.blocks else now.recent)
                if now.blocks and not recent.turns:
                    raise SessionError("this saved session is damaged (its last turn is missing).")
                turns = PackedList.of_parts(decode_turns, now.blocks, recent.turns)
                return SavedSession(now.run.hex(), turns, recent.memory, now.state)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SessionError(f"this is not a saved session ({error}).") from None
    raise SessionError(f"expected a session saved in version 2 or {_VERSION}, found version {version}.")
