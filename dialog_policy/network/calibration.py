"""How sure a decoder is, fitted to a validation part: its temperature, and below which confidence it had better not act."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dialog_policy.runtime.decoder import Decoder
from dialog_policy.text.table import FloatArray

__all__ = ["calibrate", "choose_fallback"]

# Where the temperature is looked for: 1 first, so that it wins among equals.
_TEMPERATURES = (1.0, *np.geomspace(0.25, 4.0, 65))
_MOST_TURNS = 20_000
# Turns that are looked at together: each takes a number for every set.
_TOGETHER = 5_000


def calibrate(decoder: Decoder, logits: FloatArray, gold: Sequence[frozenset[str] | None]) -> None:
    """Set the temperature to the one under which a dev part is most likely (Guo et al. 2017, section 4.2).

    Turns whose gold set cannot be, by an action that training never showed, say nothing of it. Of very many, 20,000 that are
    evenly spread tell the temperature.

    Parameters
    ----------
    decoder
        Its temperature is set.
    logits
        Shape (n_turns, n_actions).
    gold
        The action set of each turn; None: not annotated.
    """
    names = frozenset(decoder.space.classes_)
    possible = {
        turn: actions
        for turn, actions in enumerate(gold)
        if actions is not None and actions <= names and (len(actions) == 1 or not decoder.single_action)
    }
    step = max(1, -(-len(possible) // _MOST_TURNS))
    targets, sets = list(possible)[::step], list(possible.values())[::step]
    pieces = [
        (logits[targets[start : start + _TOGETHER]], sets[start : start + _TOGETHER])
        for start in range(0, len(targets), _TOGETHER)
    ]

    def likelihood(temperature: float) -> float:
        decoder.temperature = temperature
        return sum(float(decoder.log_probabilities(*piece).sum()) for piece in pieces)

    decoder.temperature = float(max(_TEMPERATURES, key=likelihood)) if targets else 1.0


def choose_fallback(
    decoder: Decoder,
    logits: FloatArray,
    gold: Sequence[frozenset[str] | None],
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
