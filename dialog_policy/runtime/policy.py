"""A trained policy without TensorFlow: load a run, talk with it, predict the turns of dialogues."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from dialog_policy.corpus import ActionSpace, Corpus, Dialogue
from dialog_policy.corpus.data import Data, as_dialogues
from dialog_policy.errors import counted
from dialog_policy.prediction import Prediction
from dialog_policy.runtime import predicting
from dialog_policy.runtime.engine import Engine
from dialog_policy.runtime.folder import repack
from dialog_policy.runtime.run_reader import RunReader
from dialog_policy.runtime.session import Request, Session, respond_together
from dialog_policy.runtime.turns import Step

__all__ = ["Policy"]


class _Fingerprints(msgspec.Struct):
    train: frozenset[str]
    dev: frozenset[str]


class Policy:
    """A trained policy.

    Use :meth:`load`. Needs the core install only. Any number of threads may share one policy. It is a
    :class:`~dialog_policy.prediction.Predictor`.

    Parameters
    ----------
    run
        The run's files.
    threads
        Threads for whole dialogues; 0 lets onnxruntime choose.
    fallback_below
        A step with less confidence is a fallback; from 0 to 1. None: the threshold that training chose (setting `fallback_precision`), or 0.3.

    Attributes
    ----------
    run
        The run's files, which also have the baselines.
    engine
        The run's parts, which compute its decisions.
    info
        The run's description: corpus, settings, history of the training.
    """

    def __init__(self, run: RunReader, *, threads: int = 0, fallback_below: float | None = None) -> None:
        self.run = run
        self.engine = Engine(run, threads=threads, fallback_below=fallback_below)
        self._options = threads, fallback_below
        self.info = {name: value for name, value in run.manifest.items() if name not in ("actions", "files")}

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
            If it is not a run, has another format version, is incomplete, or a file was changed or is invalid.
        OptionError
            If `threads` or `fallback_below` is out of bounds.
        """
        return cls(RunReader.open(run), threads=threads, fallback_below=fallback_below)

    def __reduce__(self) -> tuple[Callable[..., Policy], tuple[Any, ...]]:
        """Go to another process as the place of the run or, if it is not saved, as its files; there it is loaded, once."""
        if self.run.path is None:
            return _of_files_once, (tuple(repack(self.run).items()), self.run.place, *self._options)
        return _loaded_once, (str(self.run.path.absolute()), *self._options)

    def __repr__(self) -> str:
        return f"<Policy {self.name!r}: {counted(len(self.actions), 'action')}, trained {self.info['created'][:10]}>"

    @property
    def name(self) -> str:
        """The name of the run's folder or archive; of a policy that is not saved yet, the one that training gave it."""
        place = Path(self.run.place)
        return place.resolve().name if place.exists() else str(self.info.get("name") or "policy")

    @property
    def id(self) -> str:
        """SHA-256 over everything that decides how it behaves (hexadecimal)."""
        return self.engine.id

    @property
    def actions(self) -> ActionSpace:
        """The actions it can take."""
        return self.engine.actions

    @property
    def fallback_below(self) -> float:
        """A step with less confidence is marked as a fallback."""
        return self.engine.fallback_below

    @property
    def takes_one_action(self) -> bool:
        """Whether it always takes exactly one action, as in its training part."""
        return self.engine.decoder.single_action

    @cached_property
    def tokenizer(self) -> str:
        """Name of the tokeniser that its encoder was fitted with."""
        return self.engine.encoder.tokenizer

    @cached_property
    def fingerprints(self) -> dict[str, frozenset[str]]:
        """Fingerprints of the dialogues it was trained on (``"train"``), and of its validation part (``"dev"``)."""
        document = self.run.document("dialogues.json")
        with self.run.contents("dialogues.json"):
            return msgspec.structs.asdict(msgspec.convert(document, _Fingerprints))

    def start(self) -> Session:
        """Begin a conversation."""
        return Session(self.engine)

    def resume(self, saved: bytes) -> Session:
        """Continue a conversation that :meth:`Session.to_bytes` saved, here or elsewhere.

        If it was saved under another run, its state is computed again from its turns, whose texts and actions stay.

        Raises
        ------
        SessionError
            If these are not the bytes of a session.
        OptionError
            If it is something else than bytes.
        """
        return Session.from_bytes(self.engine, saved)

    def respond_many(
        self, requests: Iterable[Request | tuple[Session, str | None] | tuple[Session, str | None, Mapping[str, Any]]]
    ) -> list[Step]:
        """Compute one turn of each of many conversations together.

        Parameters
        ----------
        requests
            ``(session, user)``, or with further fields of :class:`~dialog_policy.runtime.session.Request`.

        Returns
        -------
        list of Step
            In the order of the requests.

        Raises
        ------
        OptionError
            As :meth:`Session.respond`; if a session occurs twice or belongs to another policy. Then no session has changed.
        """
        return respond_together(self.engine, [Request(*request) for request in requests])

    def predict(
        self,
        dialogues: Data,
        *,
        free_running: bool = False,
        probabilities: bool = True,
        logged: bool = False,
        every_turn: bool = False,
    ) -> Iterator[Prediction]:
        """Predict every target turn, in the order of the dialogues.

        Parameters
        ----------
        dialogues
            A corpus, the path of one, or dialogues.
        free_running
            False: the system side of earlier turns is the gold one (teacher forcing). True: earlier actions are the
            policy's own and earlier system texts its own replies; user turns and contexts stay as they were logged, and
            so does the system side of turns that are history only.
        probabilities
            Whether to give the probability of each action that has at least 0.001.
        logged
            Whether to give, with the true history, the probability of the dialogue's own set of actions and the five most
            probable sets.
        every_turn
            Whether to predict turns without known actions, too, for dialogues whose system actions were not logged.
        """
        dialogues = as_dialogues(dialogues)
        least = predicting.NEGLIGIBLE if probabilities else None
        if free_running:
            return predicting.free_running(self.engine, dialogues, least=least, every_turn=every_turn)
        return predicting.teacher_forced(
            self.engine, dialogues, least=least, logged=logged, listed=logged, every_turn=every_turn
        )

    def predict_proba(self, dialogues: Data) -> npt.NDArray[np.float64]:
        """Compute the probability of each action at every target turn, given the true history.

        Parameters
        ----------
        dialogues
            As for :meth:`predict`.

        Returns
        -------
        ndarray of shape (n_target_turns, n_actions)
            Turns in the order of the dialogues, actions in the order of :attr:`actions`. Where a turn may have several actions,
            these are the probabilities of single ones. The sets that :meth:`predict` decides on are not always those over 0.5.
        """
        predicted = predicting.teacher_forced(self.engine, as_dialogues(dialogues), least=0.0)
        rows = [list((prediction.probabilities or {}).values()) for prediction in predicted]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(self.actions))

    def logged_probabilities(self, dialogues: Iterable[Dialogue]) -> Iterator[Prediction]:
        """Predict every target turn as :meth:`predict` does, with the probability of the logged actions.

        Each prediction has the probability of every action and, as ``logged``, that of the set of actions which the dialogue
        has: what off-policy evaluation needs.
        """
        return predicting.teacher_forced(self.engine, as_dialogues(dialogues), least=0.0, logged=True)

    def replies(self, corpus: Corpus, predictions: Iterable[Prediction]) -> dict[tuple[str, int], str]:
        """Return what the policy would have said at each predicted turn, the dialogue so far being the gold one.

        Returns
        -------
        dict
            (dialogue id, number of the turn from 0) to the reply that a session gives there.
        """
        predicted: dict[str, dict[int, frozenset[str]]] = {}
        for prediction in predictions:
            predicted.setdefault(prediction.dialogue, {})[prediction.turn] = prediction.actions
        return {
            (dialogue.id, number): text
            for dialogue in corpus
            for number, text in predicting.teacher_forced_replies(
                self.engine, dialogue, predicted.get(dialogue.id, {})
            ).items()
        }


@lru_cache(maxsize=1)
def _loaded_once(run: str, threads: int, fallback_below: float | None) -> Policy:
    return Policy.load(run, threads=threads, fallback_below=fallback_below)


@lru_cache(maxsize=1)
def _of_files_once(
    files: tuple[tuple[str, bytes], ...], place: str, threads: int, fallback_below: float | None
) -> Policy:
    return Policy(RunReader.of_files(dict(files), place), threads=threads, fallback_below=fallback_below)
