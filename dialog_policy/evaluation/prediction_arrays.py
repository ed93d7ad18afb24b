"""Predictions of any policy as arrays: bits, and perhaps probabilities, one row a turn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from dialog_policy.corpus import ActionSpace, Dialogue
from dialog_policy.errors import OptionError
from dialog_policy.prediction import Prediction

__all__ = ["PredictionArrays"]


class PredictionArrays:
    """Predictions in arrays, such as those of a classifier of scikit-learn or of your own network: a Predictor.

    The rows are the target turns (those with known actions) of the dialogues that are judged, in their order; the same order as
    ``policy.predict_proba`` and ``[turn for dialogue in corpus for turn in dialogue.turns if turn.is_target]`` have.

    Parameters
    ----------
    actions
        The action of each column; those that the policy was trained on.
    bits
        Shape (n_target_turns, n_actions): 1 where the action is predicted, else 0.
    probabilities
        Of the same shape: the probability of each action. None: there are none.
    name
        What reports call it.

    Raises
    ------
    OptionError
        If a shape is another one, or something is no bit; by `predict`, if there are not as many rows as target turns.

    Examples
    --------
    >>> evaluate(PredictionArrays(["bye", "greet"], probabilities > 0.5, probabilities), test)  # doctest: +SKIP
    """

    def __init__(
        self,
        actions: ActionSpace | Sequence[str],
        bits: npt.ArrayLike,
        probabilities: npt.ArrayLike | None = None,
        *,
        name: str = "arrays",
    ) -> None:
        self.name = name
        self.actions = actions if isinstance(actions, ActionSpace) else ActionSpace(actions)
        self._sets = self.actions.inverse_transform(bits)
        try:
            self._shares = None if probabilities is None else np.asarray(probabilities, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise OptionError(
                f"expected probabilities as an array of numbers, found {type(probabilities).__name__} ({error})."
            ) from None
        expected = len(self._sets), len(self.actions)
        if self._shares is not None and self._shares.shape != expected:
            raise OptionError(
                f"expected probabilities of the same shape as the bits, {expected}; found {self._shares.shape}."
            )

    def predict(self, dialogues: Iterable[Dialogue]) -> Iterator[Prediction]:
        """Yield the rows as the predictions of the target turns of the dialogues, in their order.

        Raises
        ------
        OptionError
            When iterated over: if there are not as many rows as target turns.
        """
        row = 0
        for dialogue in dialogues:
            for number, turn in enumerate(dialogue.turns):
                if not turn.is_target:
                    continue
                if row < len(self._sets):
                    shares = None
                    if self._shares is not None:
                        shares = dict(zip(self.actions, self._shares[row].tolist(), strict=True))
                    yield Prediction(dialogue=dialogue.id, turn=number, actions=self._sets[row], probabilities=shares)
                row += 1
        if row != len(self._sets):
            raise OptionError(
                f"expected a row for each of the {row:,} target turns of these dialogues, found {len(self._sets):,} rows in "
                f"{self.name}. Target turns are those with known actions; use the corpus and the part that the arrays were made for."
            )
