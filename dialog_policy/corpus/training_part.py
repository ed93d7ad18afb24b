"""What is known of the training part when a policy is scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from dialog_policy.corpus.dialogue import Dialogue

__all__ = ["TrainingPart"]


class TrainingPart(NamedTuple):
    """What is known of a training part.

    Attributes
    ----------
    support
        Action to the number of turns that have it.
    words
        The words of its users.
    """

    support: Mapping[str, int]
    words: frozenset[str]

    @classmethod
    def of(cls, dialogues: Iterable[Dialogue], tokenize: Callable[[str], Sequence[str]]) -> TrainingPart:
        """Count actions and collect words."""
        support: Counter[str] = Counter()
        words: set[str] = set()
        for dialogue in dialogues:
            for turn in dialogue.turns:
                support.update(turn.actions or ())
                words.update(tokenize(turn.user))
        return cls(dict(sorted(support.items())), frozenset(words))
