"""One conversation with a policy: respond, say what was really done, undo, keep for later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import Any, NamedTuple, SupportsIndex

import msgspec
import numpy as np

from dialog_policy.corpus import Dialogue, Turn
from dialog_policy.corpus.plain import json_object
from dialog_policy.errors import OptionError, SessionError
from dialog_policy.runtime.compressed_turns import PackedList
from dialog_policy.runtime.engine import Engine
from dialog_policy.runtime.saved import SavedSession, SavedTurn, decode_turns, read_saved
from dialog_policy.runtime.turns import PREDICTED, Predicted, SessionTurn, Step

__all__ = ["Request", "Session", "respond_together"]


class Request(NamedTuple):
    """A turn to respond to, for :meth:`dialog_policy.runtime.Policy.respond_many`; a tuple of the first few will do."""

    session: Session
    user: str | None
    context: Mapping[str, Any] | None = None
    allowed: Iterable[str] | None = None
    allow_none: bool = False


class Session:
    """One conversation. Made by :meth:`dialog_policy.runtime.Policy.start` and :meth:`~dialog_policy.runtime.Policy.resume`.

    One thread at a time may use a session; any number of sessions share a policy. ``copy.copy(session)`` is a session of its own
    that goes on from the same turn.

    Parameters
    ----------
    engine
        The policy's.

    Attributes
    ----------
    engine
        The policy's.
    state
        What the next turn depends on.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.state = engine.start()
        self._turns = PackedList(decode_turns)

    def __len__(self) -> int:
        return len(self._turns)

    def __repr__(self) -> str:
        return f"<Session: {len(self)} turns>"

    @property
    def turns(self) -> tuple[SessionTurn, ...]:
        """The turns so far.

        Raises
        ------
        SessionError
            If the session was resumed from damaged bytes.
        """
        try:
            return tuple(turn.turn() for turn in self._turns.all())
        except (ValueError, RecursionError) as error:
            raise SessionError(f"this saved session is damaged ({error}).") from None

    @property
    def last(self) -> SessionTurn:
        """The last of them, without a look at the others."""
        return self._turns.last.turn()

    def respond(
        self,
        user: str | None,
        context: Mapping[str, Any] | None = None,
        *,
        allowed: Iterable[str] | None = None,
        allow_none: bool = False,
    ) -> Step:
        """Compute the next turn.

        Parameters
        ----------
        user
            What the user said; None for a turn without a user, for example after a database lookup. Lone surrogates become "?".
        context
            What the system learnt before it acts: database results, slots. Any JSON object.
        allowed
            The actions that the policy may choose from; None: all.
        allow_none
            Whether doing nothing (the empty set) is a candidate although only some actions are allowed. If all are allowed, it
            is a candidate as in training; if none is, it is the only one.

        Raises
        ------
        OptionError
            If the context is not a JSON object, an allowed action is unknown, or nothing is allowed although the policy always
            takes one action.
        """
        return respond_together(self.engine, [Request(self, user, context, allowed, allow_none)])[0]

    def observe(
        self,
        actions: Iterable[str] | Predicted | None = PREDICTED,
        system: str | Predicted = PREDICTED,
        *,
        turn: int | None = None,
    ) -> None:
        """Record what the bot really did, if it differs from the prediction.

        Parameters
        ----------
        actions
            The actions it took. None: it did something that the policy has no action for. Left out: the recorded actions stay.
        system
            What it said; "" if nothing. Left out: the template reply if other actions are given; otherwise the recorded text stays.
        turn
            The turn's number, counted from 0; left out: the last. After an earlier turn is changed, the later turns are computed again.

        Raises
        ------
        OptionError
            If there is no such turn, an action is unknown, or the text is no string.
        """
        if not isinstance(system, str | Predicted):
            raise OptionError(f'expected what the bot said as a string, "" if it said nothing; found {system!r}.')
        number = self._number(turn)
        is_last = number == len(self) - 1
        old = self.last if is_last else self.turns[number]
        done = old.actions
        if not isinstance(actions, Predicted):
            done = None if actions is None else self.engine.check_actions(actions)
        reply = old.system if isinstance(system, Predicted) else _without_surrogates(system)
        if isinstance(system, Predicted) and done != old.actions:
            reply = self._reply_at(number, done)
        changed = msgspec.structs.replace(old, actions=done, system=reply)
        if is_last:
            self._turns.last = SavedTurn.of(changed)
            self.state.actions, self.state.system = changed.actions, changed.system
        else:
            turns = self.turns
            self._replay([*turns[:number], changed, *turns[number + 1 :]])

    def undo(self, turns: int = 1) -> None:
        """Take the last turns back, as if they had not happened.

        Raises
        ------
        OptionError
            If the session has fewer turns.
        """
        if not len(self):
            raise OptionError("there is no turn to undo yet.")
        if not (isinstance(turns, SupportsIndex) and 0 < turns <= len(self)):
            raise OptionError(f"expected a number of turns to undo from 1 to {len(self)}, found {turns!r}.")
        self._replay(self.turns[:-turns])

    def to_dialogue(self, id: str) -> Dialogue:
        """Return the conversation as a dialogue of a corpus: training data, once a person has reviewed it."""
        turns = (
            Turn(user=turn.user or "", context=turn.context, actions=turn.actions, system=turn.system)
            for turn in self.turns
        )
        return Dialogue(id=id, turns=tuple(turns))

    def to_bytes(self) -> bytes:
        """Return the session as MessagePack, for :meth:`dialog_policy.runtime.Policy.resume`.

        The bytes have the turns, so that the session can continue under another run, and the state, so that nothing need be
        computed again under the same run. Older turns are compressed.
        """
        return SavedSession(self.engine.id, self._turns, *self.state.to_parts()).to_bytes()

    @classmethod
    def from_bytes(cls, engine: Engine, saved: bytes) -> Session:
        """Undo :meth:`to_bytes`: see :meth:`dialog_policy.runtime.Policy.resume`."""
        if not isinstance(saved, bytes | bytearray | memoryview):
            raise OptionError(
                f"expected the bytes that to_bytes() returned for a session, found {type(saved).__name__}."
            )
        content = read_saved(saved)
        session = cls(engine)
        session._turns = content.turns
        try:
            if content.run != engine.id:
                session._replay(session.turns)
                return session
            session.state.restore(content.memory, content.state)
        except (ValueError, RecursionError) as error:
            raise SessionError(f"this saved session is damaged ({error}).") from None
        if len(session):
            last = content.turns.last
            session.state.actions, session.state.system = last.actions, last.system
        return session

    def __copy__(self) -> Session:
        """Return a session that goes on by itself from here, under the same policy."""
        return Session.from_bytes(self.engine, self.to_bytes())

    def __deepcopy__(self, _: object) -> Session:
        return copy(self)

    def accept(self, user: str | None, context: dict[str, Any], actions: frozenset[str], text: str) -> None:
        """Add a turn whose user's side the state has taken in already, and in which the bot does what the policy decided."""
        self._turns.append(SavedTurn.of_parts(user, context, actions, actions, text))
        self.state.actions, self.state.system = actions, text

    def _number(self, turn: int | None) -> int:
        number = len(self) - 1 if turn is None else turn
        if not (isinstance(number, SupportsIndex) and 0 <= number < len(self)):
            has = f"turns 0 to {len(self) - 1}" if len(self) else "no turn yet: call respond() first"
            raise OptionError(f"there is no turn {number!r}; the session has {has}.")
        return number

    def _reply_at(self, number: int, actions: frozenset[str] | None) -> str:
        """Return the template reply to turn `number`, had the bot taken these actions."""
        if actions is None:
            return ""
        if number == len(self) - 1:
            return self.engine.reply(actions, self.state.tracker)
        tracker, system = self.engine.new_tracker(), ""
        for turn in self.turns[: number + 1]:
            tracker.observe_turn(system, turn.user or "", turn.context)
            system = turn.system
        return self.engine.reply(actions, tracker)

    def _replay(self, turns: Sequence[SessionTurn]) -> None:
        """Begin again and go through these turns: what was said and done is kept, nothing is decided."""
        state = self.engine.start()
        for turn in turns:
            self.engine.advance([state], [(turn.user, turn.context)])
            state.actions, state.system = turn.actions, turn.system
        self._turns, self.state = PackedList(decode_turns, map(SavedTurn.of, turns)), state


def respond_together(engine: Engine, requests: Sequence[Request]) -> list[Step]:
    """Go on with many sessions of one policy by one turn each: see :meth:`dialog_policy.runtime.Policy.respond_many`."""
    if not requests:
        return []
    sessions = [request.session for request in requests]
    if len(set(map(id, sessions))) != len(sessions):
        raise OptionError(
            "a session occurs twice among these requests. Its turns must be computed one after the other."
        )
    user_sides = []
    masks = allow_none = None
    for session, user, context, allowed, _ in requests:
        if session.engine is not engine:
            raise OptionError("a session belongs to another policy. Transfer it with resume(session.to_bytes()).")
        if not (user is None or isinstance(user, str)):
            raise OptionError(f"expected what the user said as a string, or None without a user; found {user!r}.")
        user_sides.append((None if user is None else _without_surrogates(user), _normal(context) if context else {}))
        if allowed is not None and masks is None:
            masks = np.stack([engine.mask(request.allowed) for request in requests])
            allow_none = np.array([request.allow_none for request in requests], dtype=np.bool_)
    logits = engine.advance([session.state for session in sessions], user_sides)
    impossible = engine.decoder.impossible(session.state.tracker.named_slots for session in sessions)
    decided = engine.decoder.decide(logits, masks, allow_none, impossible)
    names = engine.actions.classes_
    steps = []
    rows = zip(
        decided.actions, decided.probabilities, decided.probabilities.tolist(), decided.confidence.tolist(), strict=True
    )
    for session, (user, context), (actions, shares, listed, confidence) in zip(sessions, user_sides, rows, strict=True):
        tracker = session.state.tracker
        actions, confidence = engine.fillable(actions, confidence, shares, tracker)
        text = engine.reply(actions, tracker)
        session.accept(user, context, actions, text)
        fallback = confidence < engine.fallback_below
        steps.append(Step(actions, dict(zip(names, listed, strict=True)), confidence, fallback, text))
    return steps


def _without_surrogates(text: str) -> str:
    """Return a text with "?" for half of a surrogate pair, which is no text, and could not be saved."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _normal(context: object) -> dict[str, Any]:
    """Return a context as it is after a journey through JSON, so that a session saved and resumed has the same one."""
    try:
        return json_object(context)
    except ValueError as error:
        raise OptionError(f"{error}.") from None
