"""How sure a decoder is, fitted to a validation part: its temperature, and below which confidence it had better not act."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.runtime.decoder import Decoder
from dialog_policy.text.table import FloatArray

__all__ = ["Judged", "calibrate", "choose_fallback", "judge"]

Actions = Sequence[frozenset[str] | None]

# Where the temperature is looked for.
_TEMPERATURES = tuple(np.geomspace(0.25, 4.0, 65).tolist())
_MOST_TURNS = 20_000


class Judged(NamedTuple):
    """Sums over the turns of a validation part, or of some of its dialogues.

    Attributes
    ----------
    right, turns
        How many decisions are exactly the gold set, and of how many turns with gold actions.
    log_likelihood, possible
        The logarithm of the probability of the gold sets, in nats, at the temperature 1, of the turns whose gold set can be.
    """

    right: float
    turns: float
    log_likelihood: float
    possible: float

    @property
    def accuracy(self) -> float:
        """Turn accuracy."""
        return self.right / self.turns

    @property
    def mean_log_likelihood(self) -> float:
        """Nats a turn."""
        return self.log_likelihood / max(1.0, self.possible)


def judge(decoder: Decoder, logits: FloatArray, gold: Actions, impossible: npt.NDArray[np.bool_] | None) -> Judged:
    """Judge a decoder's decisions and probabilities of some turns; parameters as for :func:`choose_fallback`."""
    right, _ = decoder.judge(logits, gold, impossible)
    turns, sets = _possible(decoder, gold)
    # Not copied where it is all of them.
    of_turns = logits if len(turns) == len(logits) else logits[turns]
    likelihood = float(decoder.log_probabilities(of_turns, sets).sum()) if turns else 0.0
    return Judged(float(right.sum()), float(len(right)), likelihood, float(len(turns)))


def _possible(decoder: Decoder, gold: Actions) -> tuple[list[int], list[frozenset[str]]]:
    """Return the turns whose gold set can be, which no action does that training never showed, and these sets."""
    names = frozenset(decoder.space.classes_)
    turns = [
        turn
        for turn, actions in enumerate(gold)
        if actions is not None and actions <= names and (len(actions) == 1 or not decoder.single_action)
    ]
    return turns, [actions for turn in turns if (actions := gold[turn]) is not None]


def calibrate(decoder: Decoder, logits: FloatArray, gold: Actions) -> None:
    """Set the temperature to the one under which a dev part is most likely (Guo et al. 2017, section 4.2).

    Turns whose gold set cannot be, by an action that training never showed, say nothing of it. The logarithm of the likelihood
    is concave in the inverse of the temperature, since the decoder's distribution is of an exponential family: bisection finds
    its maximum. Of very many turns, 20,000 that are evenly spread are looked at.

    Parameters
    ----------
    decoder
        Its temperature is set.
    logits
        Shape (n_turns, n_actions).
    gold
        The action set of each turn; None: not annotated.
    """
    possible, their_sets = _possible(decoder, gold)
    step = max(1, -(-len(possible) // _MOST_TURNS))
    targets, sets = possible[::step], their_sets[::step]

    @cache
    def likelihood(temperature: float) -> float:
        decoder.temperature = temperature
        return float(decoder.log_probabilities(logits[targets], sets).sum())

    first, last = 0, len(_TEMPERATURES) - 1
    while targets and first < last:
        middle = (first + last) // 2
        if likelihood(_TEMPERATURES[middle]) < likelihood(_TEMPERATURES[middle + 1]):
            first = middle + 1
        else:
            last = middle
    # 1 wins among equals.
    decoder.temperature = max(1.0, _TEMPERATURES[first], key=likelihood) if targets else 1.0


def choose_fallback(
    decoder: Decoder,
    logits: FloatArray,
    gold: Actions,
    precision: float,
    impossible: npt.NDArray[np.bool_] | None = None,
) -> tuple[float, float]:
    """Set `fallback_below` to the lowest confidence above which a dev part's decisions are right as often as wanted.

    Parameters
    ----------
    decoder, logits, gold
        As for :func:`calibrate`.
    precision
        The least share of decisions that are to be right.
    impossible
        Shape (n_turns, n_actions): actions that cannot be taken; None: all can.

    Returns
    -------
    coverage, precision
        The share of the dev part's decisions at or above it, and the share of these that are right. Where no confidence
        suffices, `fallback_below` is the highest of the dev part, and the precision less than wanted.
    """
    right, confidence = decoder.judge(logits, gold, impossible)
    order = np.argsort(-confidence, kind="stable")
    confidence = confidence[order]
    precisions = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    # A threshold lies between decisions of different confidence only.
    last = np.append(confidence[1:] != confidence[:-1], True)
    enough = np.flatnonzero(last & (precisions >= precision))
    place = int(enough[-1]) if len(enough) else int(np.flatnonzero(last)[0])
    decoder.fallback_below = float(confidence[place])
    return (place + 1) / len(order), float(precisions[place])
