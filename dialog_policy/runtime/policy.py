"""A trained policy without TensorFlow: load a run, talk with it, predict the turns of dialogues."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from dialog_policy.corpus import ActionSpace, Corpus, Dialogue
from dialog_policy.errors import OptionError, did_you_mean
from dialog_policy.features.encoder import START, TurnEncoder
from dialog_policy.prediction import Prediction
from dialog_policy.runtime.decoder import Decoder
from dialog_policy.runtime.folder import RunReader
from dialog_policy.runtime.graph import Graph
from dialog_policy.runtime.predicting import run_free, teacher_force
from dialog_policy.runtime.replies import Replies
from dialog_policy.runtime.session import Request, Session, SessionTurn, Step
from dialog_policy.runtime.stepper import Stepper
from dialog_policy.text.table import FloatArray

__all__ = ["Policy"]

# Dialogues that are encoded and run together: bounds memory, changes no result.
_CHUNK = 512
# Probabilities below this are left out of predictions.
_NEGLIGIBLE = 1e-3
# What decides how a policy behaves: two runs with the same of these are the same policy.
_BEHAVIOUR = ("decoder.json", "encoder.json", "encoder.safetensors", "network.safetensors", "replies.json")


class Policy:
    """A trained policy.

    Use :meth:`load`. Needs the core install only. Any number of threads may share one policy.

    Parameters
    ----------
    run
        The run's files.
    threads
        Threads for whole dialogues; 0 lets onnxruntime choose.
    fallback_below
        A step with less confidence is marked as a fallback. None: what training chose (its setting `fallback_precision`), or 0.3.

    Attributes
    ----------
    actions
        The actions it can take.
    run
        The run's files.
    info
        What the run says of itself: corpus, settings, history of the training.
    id
        SHA-256 over everything that decides how it behaves (hexadecimal).
    """

    def __init__(self, run: RunReader, *, threads: int = 0, fallback_below: float | None = None) -> None:
        self.run, self._threads = run, threads
        self.info = {name: value for name, value in run.manifest.items() if name not in ("actions", "files")}
        self.actions = ActionSpace(run.manifest["actions"])
        self._replies = Replies.from_json(run.document("replies.json"))
        self._encoder = TurnEncoder.from_parts(
            run.document("encoder.json"), run.arrays("encoder.safetensors"), self.actions, self._replies.gazetteer
        )
        self._decoder = Decoder.from_json(run.document("decoder.json"), self.actions)
        self.fallback_below = self._decoder.fallback_below if fallback_below is None else fallback_below
        self._stepper = Stepper(run.arrays("network.safetensors"), self._encoder)
        hashes = [[name, run.manifest["files"][name]] for name in _BEHAVIOUR]
        self.id = sha256(msgspec.json.encode([hashes, self.actions.classes_])).hexdigest()
        self._mask = lru_cache(1024)(self._make_mask)

    @classmethod
    def load(cls, run: str | os.PathLike[str], *, threads: int = 0, fallback_below: float | None = None) -> Policy:
        """Load a run.

        Parameters
        ----------
        run
            The run's folder, or the archive that ``dialog-policy export`` wrote.
        threads, fallback_below
            As for the class.

        Raises
        ------
        RunError
            If it is no run, of another format version, incomplete, or a file was changed.
        """
        return cls(RunReader.open(run), threads=threads, fallback_below=fallback_below)

    @cached_property
    def _graph(self) -> Graph:
        return Graph(self.run.read("model.onnx"), self._threads)

    @cached_property
    def fingerprints(self) -> dict[str, frozenset[str]]:
        """Fingerprints of the dialogues it was trained on (``"train"``) and stopped by (``"dev"``)."""
        return {part: frozenset(found) for part, found in self.run.document("dialogues.json").items()}

    @property
    def takes_one_action(self) -> bool:
        """Whether it always takes exactly one action, as in its training part."""
        return self._decoder.single_action

    def start(self) -> Session:
        """Begin a conversation."""
        return Session(self)

    def resume(self, saved: bytes) -> Session:
        """Go on with a conversation that :meth:`Session.to_bytes` saved, here or elsewhere.

        One that was saved under another run is gone through again under this one: what was said and done stays.

        Raises
        ------
        SessionError
            If these are no such bytes.
        """
        return Session._from_bytes(self, saved)

    def respond_many(
        self, requests: Iterable[Request | tuple[Session, str | None] | tuple[Session, str | None, Mapping[str, Any]]]
    ) -> list[Step]:
        """Go on with many conversations by one turn each, computed together.

        Parameters
        ----------
        requests
            ``(session, user)`` or further parts of :class:`~dialog_policy.runtime.session.Request`.

        Returns
        -------
        list of Step
            In the order of the requests.

        Raises
        ------
        OptionError
            As :meth:`Session.respond`; if a session occurs twice or belongs to another policy. Then no session has changed.
        """
        asked = [Request(*request) for request in requests]
        if not asked:
            return []
        sessions = [request.session for request in asked]
        if len(set(map(id, sessions))) != len(sessions):
            raise OptionError("a session occurs twice among these requests: its turns must follow each other.")
        said = []
        masks: npt.NDArray[np.bool_] | None = None
        for session, user, context, allowed in asked:
            if session.policy is not self:
                raise OptionError(
                    "a session belongs to another policy; resume() takes its to_bytes() over to this one."
                )
            if not (user is None or isinstance(user, str)):
                raise OptionError(f"expected what the user said as a string, or None without a user; found {user!r}.")
            said.append((user, _normal(context) if context else {}))
            if allowed is not None and masks is None:
                masks = np.stack([self._mask(None if r.allowed is None else frozenset(r.allowed)) for r in asked])
        decided = self._decoder.decide(self._advance(sessions, said), masks)
        names = self.actions.classes_
        steps = []
        for session, (user, context), actions, shares, confidence in zip(
            sessions, said, decided.actions, decided.probabilities.tolist(), decided.confidence.tolist(), strict=True
        ):
            text = self._replies.text(actions, session._memory)
            session._turns.append(SessionTurn(user, context, actions, actions, text))
            fallback = confidence < self.fallback_below
            steps.append(Step(actions, dict(zip(names, shares, strict=True)), confidence, fallback, text))
        return steps

    def _advance(self, sessions: Sequence[Session], said: Sequence[tuple[str | None, Mapping[str, Any]]]) -> FloatArray:
        """Take in the user side of a turn of each session: logits of shape (n_sessions, n_actions)."""
        turns = []
        for session, (user, context) in zip(sessions, said, strict=True):
            before: frozenset[str] | str | None = START
            system = ""
            if session._turns:
                last = session._turns[-1]
                before, system = last.actions, last.system
            turns.append(self._encoder.values(session._memory, user or "", context, system, before))
        logits, after = self._stepper.step(
            turns, np.concatenate([session._state for session in sessions]).reshape(len(sessions), -1)
        )
        for session, state in zip(sessions, after, strict=True):
            session._state = state.copy()  # a view would keep the states of all of them alive
        return logits

    def _make_mask(self, allowed: frozenset[str] | None) -> npt.NDArray[np.bool_]:
        if allowed is None:
            return np.ones(len(self.actions), dtype=np.bool_)
        known = self._known_actions(allowed) or frozenset()
        if self.takes_one_action and not known:
            raise OptionError("allowed: expected at least one action, since this policy always takes one; found none.")
        mask: npt.NDArray[np.bool_] = self.actions.transform([known])[0] > 0
        return mask

    def _known_actions(self, actions: Iterable[str] | None) -> frozenset[str] | None:
        """Check names of actions."""
        if actions is None:
            return None
        if isinstance(actions, str):
            raise OptionError(f"expected a set of actions, found the string {actions!r}; write {{{actions!r}}}.")
        named = frozenset(actions)
        for name in sorted(named, key=str):
            if name not in self.actions:
                raise OptionError(
                    f"the policy has no action {name!r}; it has {len(self.actions)}, {self.actions.classes_[0]!r} among "
                    f"them.{did_you_mean(str(name), self.actions.classes_)}"
                )
        return named

    def predict(
        self, dialogues: Iterable[Dialogue], *, free_running: bool = False, probabilities: bool = True
    ) -> Iterator[Prediction]:
        """Predict every target turn, in the order of the dialogues.

        Parameters
        ----------
        dialogues
            A corpus or any dialogues.
        free_running
            False: the system side of earlier turns is the gold one (teacher forcing). True: earlier actions are the
            policy's own and earlier system texts its own replies; user turns and contexts stay as they were logged, and
            so does the system side of turns that are history only.
        probabilities
            Whether to say the probability of each action that has at least 0.001.
        """
        stream = iter(dialogues)
        names = self.actions.classes_
        while chunk := list(itertools.islice(stream, _CHUNK)):
            if free_running:
                found = run_free(chunk, self)
            else:
                found = teacher_force(chunk, self._encoder, self._graph, self._decoder)
            for seen in found:
                shares = None
                if probabilities:
                    likely = np.flatnonzero(seen.probabilities >= _NEGLIGIBLE)
                    shares = {names[bit]: float(seen.probabilities[bit]) for bit in likely}
                yield Prediction(
                    dialogue=chunk[seen.dialogue].id,
                    turn=seen.turn,
                    actions=seen.actions,
                    probabilities=shares,
                    confidence=seen.confidence,
                )

    def replies(self, corpus: Corpus, predictions: Iterable[Prediction]) -> dict[tuple[str, int], str]:
        """Return what the policy would have said at each predicted turn, the dialogue so far being the gold one."""
        predicted = {(p.dialogue, p.turn): p.actions for p in predictions}
        texts: dict[tuple[str, int], str] = {}
        for dialogue in corpus:
            memory = self._replies.memory()
            for number, turn in enumerate(dialogue.turns):
                memory.hear(turn.user, turn.context)
                actions = predicted.get((dialogue.id, number))
                if actions is not None:
                    texts[dialogue.id, number] = self._replies.text(actions, memory)
                memory.say(turn.system)
        return texts


def _normal(context: object) -> dict[str, Any]:
    """Return a context as it is after a journey through JSON, so that a session saved and resumed has the same one."""
    try:
        normal = msgspec.json.decode(msgspec.json.encode(context))
    except (TypeError, ValueError, RecursionError) as error:
        raise OptionError(f"a context must be a JSON object: {error}.") from None
    if not isinstance(normal, dict):
        raise OptionError(f"expected a context as a JSON object, found {context!r}.")
    return normal
