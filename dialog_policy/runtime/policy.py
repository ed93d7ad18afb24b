"""A trained policy without TensorFlow: load a run, predict the turns of dialogues."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dialog_policy.corpus import ActionSpace, Corpus, Dialogue
from dialog_policy.evaluation.baselines import Baselines
from dialog_policy.evaluation.predictions import Prediction
from dialog_policy.features.encoded import PADDING, encode_dialogues
from dialog_policy.features.encoder import START, TurnEncoder
from dialog_policy.runtime.decoder import Decided, Decoder
from dialog_policy.runtime.folder import RunReader, write_run
from dialog_policy.runtime.graph import Graph
from dialog_policy.runtime.replies import Replies

__all__ = ["Policy"]

# Dialogues that are encoded and run together: bounds memory, changes no result.
_CHUNK = 512
# Probabilities below this are left out of predictions.
_NEGLIGIBLE = 1e-3


class Policy:
    """A trained policy.

    Use :meth:`load`. Needs numpy and onnxruntime only.

    Attributes
    ----------
    actions
        The actions it can take.
    info
        What the run says of itself: corpus, settings, history of the training.
    baselines
        The simple policies fitted on the same training part.
    """

    def __init__(
        self,
        encoder: TurnEncoder,
        model: bytes,
        decoder: Decoder,
        replies: Replies,
        baselines: Baselines,
        *,
        info: Mapping[str, Any],
        fingerprints: Mapping[str, Sequence[str]],
        threads: int = 0,
    ) -> None:
        self.actions = encoder.actions
        self.info = dict(info)
        self.baselines = baselines
        self.fingerprints = {part: frozenset(found) for part, found in fingerprints.items()}
        self._encoder, self._model, self._decoder, self._replies = encoder, model, decoder, replies
        self._graph = Graph(model, threads)

    @classmethod
    def load(cls, run: str | os.PathLike[str], *, threads: int = 0) -> Policy:
        """Load a run.

        Parameters
        ----------
        run
            The run's folder.
        threads
            Threads for the network; 0 lets onnxruntime choose.

        Raises
        ------
        RunError
            If it is no run, of another format version, incomplete, or a file was changed.
        """
        reader = RunReader(run)
        space = ActionSpace(reader.manifest["actions"])
        return cls(
            TurnEncoder.from_parts(reader.document("encoder.json"), reader.arrays("encoder.safetensors"), space),
            reader.read("model.onnx"),
            Decoder.from_json(reader.document("decoder.json"), space),
            Replies.from_json(reader.document("replies.json")),
            Baselines.from_parts(reader.document("baselines.json"), reader.arrays("baselines.safetensors"), space),
            info={name: value for name, value in reader.manifest.items() if name not in ("actions", "files")},
            fingerprints=reader.document("dialogues.json"),
            threads=threads,
        )

    def write(self, folder: Path) -> None:
        """Write the run's files into `folder` (:func:`~dialog_policy.runtime.folder.put_in_place` makes it a run)."""
        encoder, encoder_arrays = self._encoder.to_parts()
        baselines, baseline_arrays = self.baselines.to_parts()
        write_run(
            folder,
            {
                "encoder.json": encoder,
                "decoder.json": self._decoder.to_json(),
                "replies.json": self._replies.to_json(),
                "baselines.json": baselines,
                "dialogues.json": {part: sorted(found) for part, found in self.fingerprints.items()},
            },
            {"encoder.safetensors": encoder_arrays, "baselines.safetensors": baseline_arrays},
            {"model.onnx": self._model},
            {**self.info, "actions": list(self.actions.classes_)},
        )

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
        while chunk := list(itertools.islice(stream, _CHUNK)):
            decided = self._free_run(chunk) if free_running else self._teacher_force(chunk)
            row = 0
            for dialogue in chunk:
                for number, turn in enumerate(dialogue.turns):
                    if turn.is_target:
                        yield self._prediction(dialogue.id, number, decided, row, probabilities)
                    row += 1

    def _prediction(self, dialogue: str, turn: int, decided: Decided, row: int, probabilities: bool) -> Prediction:
        shares = None
        if probabilities:
            likely = decided.probabilities[row]
            shares = {self.actions.classes_[bit]: float(likely[bit]) for bit in np.flatnonzero(likely >= _NEGLIGIBLE)}
        return Prediction(
            dialogue=dialogue,
            turn=turn,
            actions=decided.actions[row],
            probabilities=shares,
            confidence=float(decided.confidence[row]),
        )

    def _teacher_force(self, dialogues: Sequence[Dialogue]) -> Decided:
        encoded = encode_dialogues(dialogues, self._encoder)
        logits = np.empty((int(encoded.offsets[-1]), encoded.n_actions), dtype=np.float32)
        order = np.argsort(encoded.lengths, kind="stable")
        for start in range(0, len(order), 64):
            turns = encoded.padded_turns(order[start : start + 64])
            real = turns != PADDING
            if real.any():
                logits[turns[real]] = self._graph.run(encoded.features(turns), self._graph.start(len(turns))).logits[
                    real
                ]
        return self._decoder.decide(logits)

    def _free_run(self, dialogues: Sequence[Dialogue]) -> Decided:
        """All dialogues together, turn by turn."""
        offsets = np.cumsum([0, *(len(dialogue) for dialogue in dialogues)])
        actions: list[frozenset[str]] = [frozenset()] * int(offsets[-1])
        probabilities = np.zeros((int(offsets[-1]), len(self.actions)))
        confidence = np.zeros(int(offsets[-1]))
        memories = [self._replies.memory() for _ in dialogues]
        before: list[frozenset[str] | str | None] = [START] * len(dialogues)
        said = [""] * len(dialogues)
        state = self._graph.start(len(dialogues))
        active = np.arange(len(dialogues))
        for number in range(max(map(len, dialogues), default=0)):
            going_on = np.array([len(dialogues[int(d)]) > number for d in active], dtype=np.bool_)
            active, state = active[going_on], tuple(part[:, going_on] for part in state)
            turns = [dialogues[int(d)].turns[number] for d in active]
            features = [
                self._encoder.encode_turn(turn.user, turn.context, before[d], said[d])
                for d, turn in zip(active, turns, strict=True)
            ]
            logits, state = self._graph.run(np.stack(features)[:, None], state)
            decided = self._decoder.decide(logits[:, 0])
            rows = offsets[active] + number
            probabilities[rows], confidence[rows] = decided.probabilities, decided.confidence
            for d, row, turn, chosen in zip(active, rows, turns, decided.actions, strict=True):
                actions[row] = chosen
                memories[d].hear(turn.user, turn.context)
                if turn.is_target:
                    before[d], said[d] = chosen, self._replies.text(chosen, memories[d])
                else:
                    before[d], said[d] = None, turn.system
                memories[d].say(said[d])
        return Decided(actions, probabilities, confidence)

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
