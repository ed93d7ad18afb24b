"""What a cheap model may know of a decision before it is taken: words, context, what was done before."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from dialog_policy.corpus import ActionSpace
from dialog_policy.ope.log import Log
from dialog_policy.text.tokens import context_terms, tokenize

__all__ = ["MAX_TERMS", "state_features"]

# Terms of utterances and contexts that are features, the most frequent ones.
MAX_TERMS = 200
# Decisions with a bit of their own.
_STEPS = 8


def state_features(log: Log, space: ActionSpace) -> npt.NDArray[np.float64]:
    """Encode the state of every decision of a log.

    Returns
    -------
    ndarray of shape (n_decisions, n_features)
        The constant 1; how many decisions came before, a bit for each of 0 to 7 and log(1 + it); bits of the actions of the
        decision before; bits of the terms of what the user said and what the system learnt since the last decision: the 200 that most decisions
        have, among those that at least two have and not all.
    """
    terms: list[set[str]] = []
    before: list[frozenset[str]] = []
    row = 0
    for dialogue in log.dialogues:
        since_last: set[str] = set()
        previous: frozenset[str] = frozenset()
        for turn in dialogue.turns:
            since_last |= {f"user:{token}" for token in tokenize(turn.user)}
            since_last |= {f"context:{term}" for term in context_terms(turn.context)}
            if turn.is_target:
                terms.append(since_last)
                before.append(previous)
                since_last, previous = set(), log.actions[row]
                row += 1
    counts = Counter(term for decision_terms in terms for term in decision_terms)
    usable = [term for term, count in counts.items() if 1 < count < len(terms)]
    chosen = sorted(usable, key=lambda term: (-counts[term], term))[:MAX_TERMS]
    number = {term: i for i, term in enumerate(chosen)}
    words = np.zeros((len(terms), len(chosen)))
    for i, decision_terms in enumerate(terms):
        words[i, [number[term] for term in decision_terms if term in number]] = 1.0
    steps = log.step.astype(np.float64)
    frame = np.concatenate(
        [np.ones((len(steps), 1)), np.log1p(steps)[:, None], steps[:, None] == np.arange(_STEPS)], axis=1
    )
    return np.concatenate([frame, space.transform(before).astype(np.float64), words], axis=1)
