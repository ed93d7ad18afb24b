"""Several policies on the same turns, over the same actions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from dialog_policy.corpus import ActionSpace, Corpus
from dialog_policy.errors import CorpusError, counted
from dialog_policy.evaluation.collect import collect_turns
from dialog_policy.evaluation.scored_turns import Pairs, ScoredTurns
from dialog_policy.prediction import Prediction

__all__ = ["align_policies"]


def align_policies(
    policies: Mapping[str, Iterable[Prediction]], corpus: Corpus, known_actions: Iterable[str] | None
) -> dict[str, ScoredTurns]:
    """Match the predictions of several policies to a corpus.

    Returns
    -------
    dict
        Policy to its turns: the same dialogues and one space of actions, of which training's and gold's come first. Without
        `known_actions` all actions that any policy predicts count as training's. ProbabilityScores are left out.

    Raises
    ------
    CorpusError
        If predictions do not fit the corpus, or one policy has predictions for a dialogue and another none: with the place.
    """
    known = None if known_actions is None else sorted(known_actions)
    scored = {
        name: collect_turns(predictions, corpus, known_actions=known, by=name) for name, predictions in policies.items()
    }
    first = next(iter(scored))
    for name, turns in scored.items():
        _same_dialogues(first, scored[first], name, turns)
    if known is None:
        listed: set[str] = {action for turns in scored.values() for action in turns.space.classes_}
    else:
        listed = set(scored[first].space.classes_[: scored[first].n_listed])
    others = {action for turns in scored.values() for action in turns.space.classes_} - listed
    space = ActionSpace([*sorted(listed), *sorted(others)])
    return {name: _over(turns, space, len(listed)) for name, turns in scored.items()}


def _same_dialogues(a: str, of_a: ScoredTurns, b: str, of_b: ScoredTurns) -> None:
    ids_a, ids_b = ({dialogue.id for dialogue in turns.dialogues} for turns in (of_a, of_b))
    for with_, without, turns, missing in ((a, b, of_a, ids_a - ids_b), (b, a, of_b, ids_b - ids_a)):
        for dialogue in turns.dialogues:
            if dialogue.id in missing:
                turn = next(number for number, turn in enumerate(dialogue.turns) if turn.is_target)
                raise CorpusError(
                    f"{with_} has a prediction for this turn, but {without} has none; this is so in "
                    f"{counted(len(missing), 'dialogue')}.",
                    dialogue=dialogue.id,
                    turn=turn,
                    remedy="Policies are compared on the same turns: predict the same part with both, or name it with --split.",
                )


def _over(turns: ScoredTurns, space: ActionSpace, n_listed: int) -> ScoredTurns:
    """Return the same turns over a wider space, in which the actions keep their order."""
    number = np.array([space.bits([name])[0] for name in turns.space.classes_], dtype=turns.gold.bits.dtype)

    def moved(pairs: Pairs) -> Pairs:
        return Pairs(pairs.rows, number[pairs.bits])

    training = np.arange(len(space)) < n_listed
    return replace(
        turns,
        space=space,
        n_listed=n_listed,
        training=training,
        gold=moved(turns.gold),
        predicted=moved(turns.predicted),
        probabilities=None,
        confidence=None,
    )
