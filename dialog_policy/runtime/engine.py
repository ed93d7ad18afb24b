"""A run's parts at work: advance dialogue states by a turn, decide, word replies, check names of actions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from hashlib import sha256
from numbers import Real
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from dialog_policy.corpus import ActionSpace
from dialog_policy.corpus.entity_tracker import EntityTracker
from dialog_policy.corpus.gazetteer import static_gazetteer
from dialog_policy.errors import OptionError, check_whole, did_you_mean
from dialog_policy.features.encoder import TurnEncoder
from dialog_policy.runtime.decoder import Decoder
from dialog_policy.runtime.numpy_lstm import NumpyLSTM
from dialog_policy.runtime.onnx_graph import onnx_graph
from dialog_policy.runtime.onnx_network import OnnxNetwork
from dialog_policy.runtime.replies import Replies
from dialog_policy.runtime.run_reader import RunReader
from dialog_policy.runtime.state import DialogueState
from dialog_policy.runtime.stored import check_weights
from dialog_policy.text.table import FloatArray

__all__ = ["Engine"]

# What decides how a policy behaves: two runs with the same of these are the same policy.
_BEHAVIOUR = ("decoder.json", "encoder.json", "encoder.safetensors", "network.safetensors", "replies.json")


class Engine:
    """What computes a policy's decisions. Any number of threads may share one.

    Parameters
    ----------
    run
        The run's files.
    threads
        Threads for whole dialogues; 0 lets onnxruntime choose.
    fallback_below
        A decision with less confidence is a fallback; from 0 to 1. None: what training chose, or 0.3.

    Attributes
    ----------
    actions
        The actions of the training part.
    encoder, decoder, replies, network
        The run's parts; the network computes one turn of any number of dialogues.
    id
        SHA-256 over everything that decides how the policy behaves (hexadecimal).

    Raises
    ------
    OptionError
        If `threads` or `fallback_below` is out of bounds.
    """

    def __init__(self, run: RunReader, *, threads: int = 0, fallback_below: float | None = None) -> None:
        check_whole("threads", threads, 0)
        if fallback_below is not None and not (isinstance(fallback_below, Real) and 0 <= fallback_below <= 1):
            raise OptionError(f"fallback_below: expected a number from 0 to 1, found {fallback_below!r}.")
        self._run, self._threads = run, int(threads)
        self.actions = ActionSpace(run.manifest["actions"])
        with run.contents("replies.json"):
            self.replies = Replies.from_json(run.document("replies.json"))
        self._gazetteer = static_gazetteer(self.replies.gazetteer)
        described, arrays = run.document("encoder.json"), run.arrays("encoder.safetensors")
        with run.contents("encoder.json"):
            self.encoder = TurnEncoder.from_parts(described, arrays, self.actions, self.replies.gazetteer)
        with run.contents("decoder.json"):
            self.decoder = Decoder.from_json(run.document("decoder.json"), self.actions)
        self.fallback_below = self.decoder.fallback_below if fallback_below is None else float(fallback_below)
        weights = run.arrays("network.safetensors")
        with run.contents("network.safetensors"):
            check_weights(weights, self.encoder.dim, len(self.actions))
        self.network = NumpyLSTM(weights, self.encoder)
        hashes = [[name, run.manifest["files"][name]] for name in _BEHAVIOUR]
        self.id = sha256(msgspec.json.encode([hashes, self.actions.classes_])).hexdigest()
        self._mask = lru_cache(1024)(self._make_mask)

    @cached_property
    def onnx_network(self) -> OnnxNetwork:
        """The network for whole dialogues at once, made when it is first needed.

        Raises
        ------
        RunError
            If the graph in the run is not that of the run's weights.
        """
        graph = onnx_graph(self._run.arrays("network.safetensors"))
        with self._run.contents("model.onnx"):
            if self._run.read("model.onnx") != graph:
                raise ValueError("it is not the graph of the weights in network.safetensors")
        return OnnxNetwork(graph, self._threads)

    def start(self) -> DialogueState:
        """Return the state before the first turn of a dialogue."""
        return DialogueState(self.network.start(), self.new_tracker())

    def new_tracker(self) -> EntityTracker:
        """Return the entity tracker of a new dialogue."""
        return EntityTracker(self._gazetteer, self.replies.records, self.decoder.slots, self.encoder.unlisted)

    def advance(
        self, states: Sequence[DialogueState], user_sides: Sequence[tuple[str | None, Mapping[str, Any]]]
    ) -> FloatArray:
        """Take in the user's side of a turn of n dialogues.

        Parameters
        ----------
        states
            The dialogues' states, which this changes; each may occur once.
        user_sides
            What each user said (None without a user), and the context.

        Returns
        -------
        ndarray of shape (n, n_actions)
            The logits of the turn's actions.
        """
        turns = [
            self.encoder.values(state.tracker, user or "", context, state.system, state.actions)
            for state, (user, context) in zip(states, user_sides, strict=True)
        ]
        logits, after = self.network.step(turns, [state.recurrent for state in states])
        for state, recurrent in zip(states, after, strict=True):
            state.recurrent = recurrent
        return logits

    def mask(self, allowed: Iterable[str] | None) -> npt.NDArray[np.bool_]:
        """Return which actions may be taken, shape (n_actions,); None: all.

        Raises
        ------
        OptionError
            If an action is unknown, or none is allowed although the policy always takes one.
        """
        return self._mask(None if allowed is None else _as_set(allowed))

    def _make_mask(self, allowed: frozenset[str] | None) -> npt.NDArray[np.bool_]:
        if allowed is None:
            return np.ones(len(self.actions), dtype=np.bool_)
        self.check_actions(allowed)
        if self.decoder.single_action and not allowed:
            raise OptionError("allowed: expected at least one action, since this policy always takes one; found none.")
        mask: npt.NDArray[np.bool_] = self.actions.transform([allowed])[0] > 0
        return mask

    def check_actions(self, names: Iterable[str]) -> frozenset[str]:
        """Return names of actions as a set.

        Raises
        ------
        OptionError
            If the policy lacks one of them.
        """
        named = _as_set(names)
        for name in sorted(named, key=str):
            if name not in self.actions:
                raise OptionError(
                    f"the policy has no action {name!r}; it has {len(self.actions)}, {self.actions.classes_[0]!r} among "
                    f"them.{did_you_mean(str(name), self.actions.classes_)}"
                )
        return named

    def fillable(
        self,
        actions: frozenset[str],
        confidence: float,
        probabilities: npt.NDArray[np.floating],
        tracker: EntityTracker,
    ) -> tuple[frozenset[str], float]:
        """Return what is done in a turn and how probable it is: what was decided, where the dialogue can fill its template.

        Else it is the most probable action whose template can be filled, since an action that cannot be filled would be an
        empty reply. Where actions are no templates (:attr:`~dialog_policy.runtime.decoder.Decoder.only_fillable`), what was
        decided is done.

        Parameters
        ----------
        actions, confidence
            What was decided, and its probability.
        probabilities
            Of all actions, shape (n_actions,). Those with 0 cannot be taken.
        tracker
            The dialogue's, before the system acts.
        """
        if not self.decoder.only_fillable or self.reply(actions, tracker):
            return actions, confidence
        return next(self.all_fillable(probabilities, tracker), (actions, confidence))

    def all_fillable(
        self, probabilities: npt.NDArray[np.floating], tracker: EntityTracker
    ) -> Iterator[tuple[frozenset[str], float]]:
        """Yield the actions that the dialogue can fill, each as a set with its probability, the most probable first.

        Parameters are those of :meth:`fillable`.
        """
        for bit in np.argsort(-probabilities, kind="stable").tolist():
            one = frozenset([self.actions.classes_[bit]])
            if probabilities[bit] > 0 and self.reply(one, tracker):
                yield one, float(probabilities[bit])

    def reply(self, actions: frozenset[str], tracker: EntityTracker) -> str:
        """Return the template reply of some actions, refilled from the dialogue; empty where training showed none."""
        return self.replies.text(actions, tracker)


def _as_set(names: Iterable[str]) -> frozenset[str]:
    if isinstance(names, str):
        raise OptionError(f"expected a set of actions, found the string {names!r}; write {{{names!r}}}.")
    try:
        return frozenset(names)
    except TypeError:  # no iterable, or of what is no name
        raise OptionError(f"expected a set of actions, found {names!r}.") from None
