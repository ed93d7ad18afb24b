"""Made-up dialogues with real lengths: what benchmarks run on where no corpus is given."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dialog_policy.corpus import Dialogue, Turn

__all__ = ["N_ACTIONS", "STAR_LENGTHS", "conversations"]

# Of the 2,184 happy single-task dialogues in STAR's published train part (Mosig et al. 2020), how many have 1, 2, 3 … turns to
# predict: 17,801 turns in all.
STAR_LENGTHS = (14, 62, 101, 154, 210, 228, 260, 230, 253, 180, 146, 97, 83, 47, 34, 27, 16, 13, 10, 6, 5, 1, 1, 0, 0, 2, 1,
                1, 0, 0, 1, 0, 0, 0, 0, 1)  # fmt: skip
N_ACTIONS = 40

_VOCABULARY = 2_000
_SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]


def conversations(n: int, seed: int = 0) -> Iterator[Dialogue]:
    """Yield `n` dialogues: lengths as in STAR, words by Zipf's law, 40 actions, database results before a quarter of the turns.

    Hardly an utterance of the users occurs twice; the system speaks in templates with a name in some of them.
    """
    random = np.random.default_rng(seed)
    words = np.array(sorted({"".join(random.choice(_SYLLABLES, size=random.integers(1, 4))) for _ in range(4_000)}))
    words = random.permutation(words)[:_VOCABULARY]
    shares = 1 / np.arange(1, len(words) + 1)
    shares /= shares.sum()

    def text(shortest: int, longest: int) -> str:
        return " ".join(random.choice(words, size=random.integers(shortest, longest + 1), p=shares))

    replies = [text(4, 12) for _ in range(N_ACTIONS)]
    names = [text(2, 2) for _ in range(200)]
    share_of_length = np.array(STAR_LENGTHS) / sum(STAR_LENGTHS)
    for number in range(n):
        turns = []
        for _ in range(1 + random.choice(len(STAR_LENGTHS), p=share_of_length)):
            action = int(min(random.geometric(0.08), N_ACTIONS)) - 1
            context = {}
            reply = replies[action]
            if action % 4 == 0:
                name = str(random.choice(names))
                context = {"results": [{"name": name, "price": str(random.choice(["cheap", "moderate", "expensive"]))}]}
                reply = f"{reply} {name}"
            actions = {f"action_{action:02}"} | ({"action_39"} if random.random() < 0.1 else set())
            turns.append(Turn(user=text(2, 14), context=context, actions=frozenset(actions), system=reply))
        yield Dialogue(id=f"{number:06}", turns=tuple(turns))
