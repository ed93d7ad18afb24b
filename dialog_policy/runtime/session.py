"""One conversation with a policy: respond, say what was really done, undo, keep for later."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np

from dialog_policy.corpus import Dialogue, Turn
from dialog_policy.corpus.templates import DialogueMemory
from dialog_policy.errors import OptionError, SessionError
from dialog_policy.text.table import FloatArray

if TYPE_CHECKING:
    from dialog_policy.runtime.policy import Policy

__all__ = ["PREDICTED", "Request", "Session", "SessionTurn", "Step"]

_VERSION = 2


class _Predicted(Enum):
    PREDICTED = "predicted"


PREDICTED: Final = _Predicted.PREDICTED
"""In :meth:`Session.observe`: the bot did what the policy said."""


class Step(msgspec.Struct, frozen=True):
    """What the policy would do in a turn.

    Attributes
    ----------
    actions
        The decided set of actions.
    probabilities
        Of each action, whatever the set.
    confidence
        Probability of the decided set among the sets that competed.
    fallback
        Whether the confidence is below the policy's ``fallback_below``: better ask the user to say it otherwise, or hand over.
    text
        The template reply of these actions, refilled from the dialogue; empty where training showed none.
    """

    actions: frozenset[str]
    probabilities: dict[str, float]
    confidence: float
    fallback: bool
    text: str


class SessionTurn(msgspec.Struct, frozen=True):
    """A turn of a session.

    Attributes
    ----------
    user
        What the user said; None in a turn without a user.
    context
        What the system learnt before it acted.
    predicted
        What the policy decided.
    actions, system
        What the bot did and said; as long as nothing else was observed, what the policy decided and its reply. Actions None:
        nobody knows what it did.
    """

    user: str | None
    context: dict[str, Any]
    predicted: frozenset[str]
    actions: frozenset[str] | None
    system: str


class Request(NamedTuple):
    """A turn to respond to, for :meth:`dialog_policy.runtime.Policy.respond_many`; a tuple of the first few will do."""

    session: Session
    user: str | None
    context: Mapping[str, Any] | None = None
    allowed: Iterable[str] | None = None


class _Saved(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    run: str
    turns: list[SessionTurn]
    memory: dict[str, Any]
    state: str


class Session:
    """One conversation. Made by :meth:`dialog_policy.runtime.Policy.start` and :meth:`~dialog_policy.runtime.Policy.resume`.

    One thread at a time may use a session; any number of sessions share a policy.

    Attributes
    ----------
    policy
        The policy.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._turns: list[SessionTurn] = []
        self._state: FloatArray = policy._stepper.start()
        self._memory: DialogueMemory = policy._replies.memory()

    def __len__(self) -> int:
        return len(self._turns)

    def __repr__(self) -> str:
        return f"<Session: {len(self)} turns>"

    @property
    def turns(self) -> tuple[SessionTurn, ...]:
        """The turns so far."""
        return tuple(self._turns)

    def respond(
        self, user: str | None, context: Mapping[str, Any] | None = None, *, allowed: Iterable[str] | None = None
    ) -> Step:
        """Go on by one turn.

        Parameters
        ----------
        user
            What the user said; None for a turn without a user, such as after a database answered.
        context
            What the system learnt before it acts: database results, slots. Any JSON object.
        allowed
            The actions that may be taken now; None: all.

        Raises
        ------
        OptionError
            If the context is no JSON object, an allowed action is unknown, or nothing is allowed although the policy always
            takes one action.
        """
        return self.policy.respond_many([Request(self, user, context, allowed)])[0]

    def observe(
        self,
        actions: Iterable[str] | _Predicted | None = PREDICTED,
        system: str | _Predicted = PREDICTED,
        *,
        turn: int | None = None,
    ) -> None:
        """Say what the bot really did, if it is not what the policy said.

        Parameters
        ----------
        actions
            The actions it took. None: what it did is none of the policy's actions. Left out: those that stand.
        system
            What it said. Left out: the template reply where other actions are given, else what stands.
        turn
            Which turn, counted from 0; left out: the last. What follows an earlier turn is computed again.

        Raises
        ------
        OptionError
            If there is no such turn or an action is unknown.
        """
        number = self._number(turn)
        old = self._turns[number]
        done = old.actions if isinstance(actions, _Predicted) else self.policy._known_actions(actions)
        said = old.system if isinstance(system, _Predicted) else system
        is_last = number == len(self._turns) - 1
        if isinstance(system, _Predicted) and done != old.actions:
            said = self._reply_at(number, done)
        changed = msgspec.structs.replace(old, actions=done, system=said)
        if is_last:
            self._turns[-1] = changed
        else:
            self._replay([*self._turns[:number], changed, *self._turns[number + 1 :]])

    def undo(self, turns: int = 1) -> None:
        """Take the last turns back, as if they had not been.

        Raises
        ------
        OptionError
            If there are not so many.
        """
        if not 0 < turns <= len(self._turns):
            raise OptionError(f"expected 1 to {len(self._turns)} turns to undo, found {turns}.")
        self._replay(self._turns[:-turns])

    def to_dialogue(self, id: str) -> Dialogue:
        """Return the conversation as a dialogue of a corpus: training data, once a person has looked at it."""
        turns = (
            Turn(user=turn.user or "", context=turn.context, actions=turn.actions, system=turn.system)
            for turn in self._turns
        )
        return Dialogue(id=id, turns=tuple(turns))

    def to_bytes(self) -> bytes:
        """Return the session as JSON, for :meth:`dialog_policy.runtime.Policy.resume`.

        It holds the turns, so that it can go on under another run, and the state, so that under the same run nothing is
        computed again.
        """
        state = base64.b64encode(self._state.astype("<f4").tobytes()).decode()
        return msgspec.json.encode(
            _Saved(_VERSION, self.policy.id, self._turns, self._memory.state(), state), order="deterministic"
        )

    @classmethod
    def _from_bytes(cls, policy: Policy, saved: bytes) -> Session:
        try:
            found = msgspec.json.decode(saved, type=_Saved)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SessionError(f"this is not a saved session ({error}).") from None
        if found.version != _VERSION:
            raise SessionError(f"expected a session saved in version {_VERSION}, found version {found.version}.")
        session = cls(policy)
        if found.run != policy.id:
            session._replay(found.turns)
            return session
        try:
            state = np.frombuffer(base64.b64decode(found.state, validate=True), dtype="<f4").astype(np.float32)
            if state.shape != session._state.shape:
                raise ValueError(f"a state of {len(state)} numbers instead of {len(session._state)}")
            session._memory.restore(found.memory)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SessionError(f"this saved session is damaged ({error}).") from None
        session._turns, session._state = found.turns, state
        return session

    def _number(self, turn: int | None) -> int:
        number = len(self._turns) - 1 if turn is None else turn
        if not 0 <= number < len(self._turns):
            there_is = f"turns 0 to {len(self._turns) - 1}" if self._turns else "no turn yet: call respond() first"
            raise OptionError(f"there is no turn {number}; the session has {there_is}.")
        return number

    def _reply_at(self, number: int, actions: frozenset[str] | None) -> str:
        """Return the template reply to turn `number`, had the bot taken these actions."""
        if actions is None:
            return ""
        if number == len(self._turns) - 1:
            return self.policy._replies.text(actions, self._memory)
        memory = self.policy._replies.memory()
        for past in self._turns[:number]:
            memory.hear(past.user or "", past.context)
            memory.say(past.system)
        here = self._turns[number]
        memory.hear(here.user or "", here.context)
        return self.policy._replies.text(actions, memory)

    def _replay(self, turns: list[SessionTurn]) -> None:
        """Begin again and go through these turns: what was said and done is kept, nothing is decided."""
        fresh = Session(self.policy)
        for turn in turns:
            self.policy._advance([fresh], [(turn.user, turn.context)])
            fresh._turns.append(turn)
        self._turns, self._state, self._memory = fresh._turns, fresh._state, fresh._memory
