"""The run's ONNX graph: a step or a whole sequence, the state explicit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime

from dialog_policy.errors import RunError

__all__ = ["OnnxNetwork", "State"]

FloatArray = npt.NDArray[np.float32]
# (hidden, cell) of each LSTM layer, each of shape (1, batch, units).
State = tuple[FloatArray, ...]


class Stepped(NamedTuple):
    """Logits of shape (batch, time, actions) and the state after the last step."""

    logits: FloatArray
    state: State


class OnnxNetwork:
    """Runs a policy's network.

    Parameters
    ----------
    model
        The serialised ONNX model, as :func:`dialog_policy.runtime.onnx_graph.onnx_graph` describes it.
    threads
        Threads of one run; 0 lets onnxruntime choose.

    Raises
    ------
    RunError
        If it is not such a model.
    """

    def __init__(self, model: bytes, threads: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no common base of their own
            raise RunError(f"the run's model.onnx cannot be loaded: {error}") from None
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._state_names = [i.name for i in self._session.get_inputs() if i.name != "features"]
        self._units = [i.shape[2] for i in self._session.get_inputs() if i.name != "features"]

    def start(self, batch: int) -> State:
        """Return the state before the first turn of `batch` dialogues."""
        return tuple(np.zeros((1, batch, units), dtype=np.float32) for units in self._units)

    def run(self, features: FloatArray, state: State) -> Stepped:
        """Go on from `state` over the turns of a batch of dialogues.

        Parameters
        ----------
        features
            Shape (batch, time, n_features).
        state
            The state before the first of these turns.
        """
        feed = dict(zip(self._state_names, state, strict=True))
        feed["features"] = np.ascontiguousarray(features.transpose(1, 0, 2))
        logits, *after = self._session.run(self._outputs, feed)
        return Stepped(logits.transpose(1, 0, 2), tuple(after))
