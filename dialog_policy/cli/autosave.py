"""Conversations that were not saved yet, kept until they are: whatever ends a chat, nothing that was typed is lost."""

from __future__ import annotations

import contextlib
import os
import tempfile
import uuid
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec

from dialog_policy.errors import DialogPolicyError, RunError
from dialog_policy.files import locked, unlink, user_folder

__all__ = ["STATE", "Autosave", "Kept"]

# Environment variable that names the folder; empty: nothing is kept.
STATE = "DIALOG_POLICY_STATE"
# Kept conversations of one run; the oldest make room.
_MOST = 20


class Kept(msgspec.Struct, frozen=True):
    """A conversation as it is kept.

    Attributes
    ----------
    session
        As :meth:`dialog_policy.runtime.Session.to_bytes` gives it.
    context
        What was to go with the next turn.
    turns
        How many turns it has.
    changed
        When it went on last.
    """

    session: bytes
    context: dict[str, Any]
    turns: int
    changed: datetime


class Autosave:
    """Keeps the conversation of one chat in a file that its owner alone may read, and finds those of chats that have ended.

    Every file has a lock, which the system releases when the chat's process ends, so that nobody is offered the conversation of
    a chat that is still going on.

    Parameters
    ----------
    policy_id
        Of the run: its conversations are offered again to chats with the same run.
    """

    def __init__(self, policy_id: str) -> None:
        self._folder, self._policy = user_folder("state", STATE, "chat"), policy_id[:16]
        self._file: Path | None = None
        self._lock = contextlib.ExitStack()

    @property
    def is_off(self) -> bool:
        """Whether nothing is kept, since the user wants it so."""
        return self._folder is None

    def keep(self, session: bytes, context: dict[str, Any], turns: int) -> None:
        """Write the conversation in one step.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        if self._folder is None:
            return
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = self._folder / f"{self._policy}-{uuid.uuid4().hex}.json"
            self._take(file)
            self._make_room()
        assert self._file is not None
        content = msgspec.json.encode(Kept(session, context, turns, datetime.now(timezone.utc)))
        handle, aside = tempfile.mkstemp(prefix=".", dir=self._folder)  # for its owner alone
        try:
            with os.fdopen(handle, "wb") as written:
                written.write(content)
            os.replace(aside, self._file)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(aside)
            raise

    def forget(self) -> None:
        """Remove the conversation: it is saved elsewhere, or nobody wants it."""
        file = self._file
        self.leave()
        if file is not None:
            unlink(file)

    def leave(self) -> None:
        """Leave the conversation to whoever wants to go on with it."""
        self._lock.close()
        self._file = None

    def waiting(self) -> list[Kept]:
        """Return the conversations with this run that no chat holds, the newest first."""
        return [kept for _, kept in self._waiting()]

    def restore(self) -> Kept | None:
        """Return the newest of those that wait; it is this chat's from now on."""
        for file, kept in self._waiting():
            self.leave()
            self._take(file)
            return kept
        return None

    def discard(self) -> Kept | None:
        """Remove the newest of those that wait, and return what it was."""
        for file, kept in self._waiting():
            unlink(file)
            return kept
        return None

    def _take(self, file: Path) -> None:
        with contextlib.suppress(DialogPolicyError):
            self._lock.enter_context(locked(file, "chatting"))
        self._file = file

    def _waiting(self) -> list[tuple[Path, Kept]]:
        conversations: list[tuple[Path, Kept]] = []
        if self._folder is None or not self._folder.is_dir():
            return conversations
        for file in self._folder.glob(f"{self._policy}-*.json"):
            if file == self._file or _is_held(file):
                continue
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                conversations.append((file, msgspec.json.decode(file.read_bytes(), type=Kept)))
        return sorted(conversations, key=lambda item: item[1].changed, reverse=True)

    def _make_room(self) -> None:
        for file, _ in self._waiting()[_MOST - 1 :]:
            unlink(file)


def _is_held(file: Path) -> bool:
    try:
        with locked(file, "looking for conversations"):
            return False
    except RunError:
        return True
    except DialogPolicyError:
        return False
