"""What the package computes, in the plainest way."""

import numpy as np


def prior_by_hand(seen, everything):
    """Probability of every set before a turn is looked at, and the log-odds of each action, from what training showed."""
    turns, names = [frozenset(s) for s in seen], sorted(frozenset().union(*everything))
    once = sum(turns.count(s) == 1 for s in turns)
    new = (once + 0.5) / (len(turns) + 1)
    rate = {name: (sum(name in s for s in turns) + 0.5) / (len(turns) + 1) for name in names}
    drawn = {s: np.prod([rate[n] if n in s else 1 - rate[n] for n in names]) for s in everything}
    prior = {s: (1 - new) * turns.count(s) / len(turns) + new * drawn[s] for s in everything}
    return prior, {name: np.log(p / (1 - p)) for name, p in rate.items()}
