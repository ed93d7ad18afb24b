"""A log of dialogues as arrays: what was done, with which probability, and what it was worth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.arrays import Floats
from dialog_policy.corpus import Corpus, Dialogue, Turn
from dialog_policy.errors import CorpusError

__all__ = ["REWARD_FIELD", "Log", "read_log"]

# The field of a dialogue that holds the reward of the whole of it.
REWARD_FIELD = "reward"
# Cubes of weighted sums of such rewards are within double precision.
_LARGEST = 1e50


class Log(NamedTuple):
    """The decisions of n dialogues: every target turn is a decision, in order.

    Attributes
    ----------
    dialogues
        The dialogues.
    dialogue, step
        Of each decision: number of its dialogue, and how many decisions came before it.
    turns
        Of each decision: the turn's number in its dialogue.
    actions
        Of each decision: the set of actions that was taken.
    rewards
        Of each decision: the sum of the rewards from it until the next one.
    propensities
        Of each decision: probability with which its actions were taken. None: not logged.
    rewarded
        ``"turn"``: every target turn has a reward; ``"dialogue"``: every dialogue has one, counted at its last decision.
    """

    dialogues: Sequence[Dialogue]
    dialogue: npt.NDArray[np.int64]
    step: npt.NDArray[np.int64]
    turns: Sequence[int]
    actions: Sequence[frozenset[str]]
    rewards: Floats
    propensities: Floats | None
    rewarded: str

    def spread(self, values: Floats, fill: float) -> Floats:
        """Lay the values of all decisions out as (n_dialogues, longest dialogue); `fill` after a dialogue's end."""
        table = np.full((len(self.dialogues), int(self.step.max()) + 1), fill)
        table[self.dialogue, self.step] = values
        return table

    def returns(self, gamma: float) -> Floats:
        """Return Σ_s γ^s r_t+s from each decision t on, shape (n_decisions,)."""
        table = self.spread(self.rewards, 0.0)
        for step in range(table.shape[1] - 2, -1, -1):
            table[:, step] += gamma * table[:, step + 1]
        return table[self.dialogue, self.step]


def read_log(corpus: Corpus, ids: Iterable[str] | None = None, *, propensities: bool = True) -> Log:
    """Read rewards and propensities of the dialogues that have target turns.

    A reward belongs to a turn, or to a dialogue: then it is the dialogue's field ``reward``, or the reward of its last rewarded
    turn alone, at or after the last decision. A reward in a turn that is history only counts at the decision before it.

    Parameters
    ----------
    corpus
        The log.
    ids
        The dialogues to read; None for all.
    propensities
        Whether to read propensities: all target turns have one, or none has.

    Raises
    ------
    CorpusError
        If a reward is missing, not finite or beyond 1e50, a propensity is missing where others are there, or lies outside (0, 1]: with
        dialogue and turn.
    """
    selected = None if ids is None else set(ids)
    dialogues = [d for d in corpus if d.n_targets and (selected is None or d.id in selected)]
    if not dialogues:
        raise CorpusError(f"{corpus.name} has no dialogue with system actions: there is nothing to value.")
    numbers = [[number for number, turn in enumerate(d.turns) if turn.is_target] for d in dialogues]
    rewarded = "dialogue" if _reward_of_dialogue(dialogues[0], numbers[0]) is not None else "turn"
    rewards: list[float] = []
    for dialogue, targets in zip(dialogues, numbers, strict=True):
        rewards += _rewards(dialogue, targets, rewarded)
    flat = [dialogue.turns[number] for dialogue, targets in zip(dialogues, numbers, strict=True) for number in targets]
    sizes = [len(targets) for targets in numbers]
    of_dialogue = np.repeat(np.arange(len(dialogues)), sizes)
    logged = None
    if propensities and any(turn.propensity is not None for turn in flat):
        places = [(d, number) for d, targets in zip(dialogues, numbers, strict=True) for number in targets]
        logged = np.array([_propensity(d, number) for d, number in places])
    return Log(
        dialogues=dialogues,
        dialogue=of_dialogue,
        step=np.concatenate([np.arange(size) for size in sizes]),
        turns=[number for targets in numbers for number in targets],
        actions=[turn.actions or frozenset() for turn in flat],
        rewards=np.array(rewards),
        propensities=logged,
        rewarded=rewarded,
    )


def _reward_of_dialogue(dialogue: Dialogue, targets: Sequence[int]) -> float | None:
    """Return the reward that belongs to a dialogue as a whole, if it has one."""
    in_turns = [number for number, turn in enumerate(dialogue.turns) if turn.reward is not None]
    if REWARD_FIELD not in dialogue.fields:
        # One reward at the end of several decisions is that of the dialogue.
        alone = len(targets) > 1 and len(in_turns) == 1 and in_turns[0] >= targets[-1]
        return _finite(dialogue.turns[in_turns[0]], dialogue, in_turns[0]) if alone else None
    if in_turns:
        raise CorpusError(
            "found a reward of the dialogue and another one of a turn.",
            dialogue=dialogue.id,
            turn=in_turns[0],
            remedy=f"Keep either the field {REWARD_FIELD!r} or the turns' rewards.",
        )
    value = dialogue.fields[REWARD_FIELD]
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
        found = "an integer beyond it" if type(value) is int else repr(value)
        raise CorpusError(
            f"expected a finite number of at most {_LARGEST:g} in the field {REWARD_FIELD!r}, found {found}.",
            dialogue=dialogue.id,
        )
    return float(value)


def _rewards(dialogue: Dialogue, targets: Sequence[int], rewarded: str) -> list[float]:
    whole = _reward_of_dialogue(dialogue, targets)
    if rewarded == "dialogue":
        # With a single decision, its reward is the dialogue's.
        if whole is None and len(targets) == 1:
            return _turn_rewards(dialogue, targets)
        if whole is None:
            raise CorpusError(
                "expected a reward of the dialogue, as the first dialogue has one; found none.",
                dialogue=dialogue.id,
                remedy=f"Put it into the dialogue's field {REWARD_FIELD!r} or into its last turn, but into no other turn.",
            )
        return [0.0] * (len(targets) - 1) + [whole]
    return _turn_rewards(dialogue, targets)


def _turn_rewards(dialogue: Dialogue, targets: Sequence[int]) -> list[float]:
    rewards: list[float] = []
    for number, turn in enumerate(dialogue.turns):
        if turn.is_target:
            if turn.reward is None:
                raise CorpusError(
                    "expected a reward, found none.",
                    dialogue=dialogue.id,
                    turn=number,
                    remedy="Log a reward for every target turn (it may be 0), or one for each dialogue in its field 'reward'.",
                )
            rewards.append(_finite(turn, dialogue, number))
        elif turn.reward is not None:
            if not rewards:
                raise CorpusError(
                    "found a reward before the first decision, which no action has earned.",
                    dialogue=dialogue.id,
                    turn=number,
                )
            rewards[-1] += _finite(turn, dialogue, number)
    return rewards


def _finite(turn: Turn, dialogue: Dialogue, number: int) -> float:
    if turn.reward is None or not abs(turn.reward) <= _LARGEST:
        raise CorpusError(
            f"expected a finite reward of at most {_LARGEST:g}, found {turn.reward}.",
            dialogue=dialogue.id,
            turn=number,
        )
    return turn.reward


def _propensity(dialogue: Dialogue, number: int) -> float:
    value = dialogue.turns[number].propensity
    if value is None:
        raise CorpusError(
            "expected a propensity, as other turns have one; found none.",
            dialogue=dialogue.id,
            turn=number,
            remedy="Log the propensity of every turn, or let all be estimated (--estimate-propensities).",
        )
    if not 0 < value <= 1:
        raise CorpusError(
            f"expected a propensity above 0 and at most 1, found {value}.",
            dialogue=dialogue.id,
            turn=number,
            remedy="It is the probability with which the logging policy chose these actions; what was done had one over 0.",
        )
    return value
