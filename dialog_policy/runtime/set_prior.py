"""How much whole action sets weigh before any logit is seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.corpus import ActionSpace

__all__ = ["MOST_SETS", "SetPrior"]

# How often what was never seen counts as seen (Krichevsky & Trofimov 1981).
_UNSEEN_COUNT = 0.5
# At most so many sets compete by name, the most frequent; the others count as new.
MOST_SETS = 5_000


class SetPrior(NamedTuple):
    """What whole action sets weigh beside their actions' logits: the probability of a set s is proportional to exp(Σ s_k z_k + w_s).

    Where every logit is the log-odds of its action in the training part, this is a mixture: with the probability u a set is a new
    one, its actions drawn each by its own frequency; else it is one of those that training showed, as often as there. u is the
    share of turns whose set occurs once (Good 1953).

    Attributes
    ----------
    bits
        Shape (n_sets, n_actions): the sets that training showed.
    log_weights
        Shape (n_sets,): w of each of them.
    log_new
        w of any other set.
    """

    bits: npt.NDArray[np.float64]
    log_weights: npt.NDArray[np.float64]
    log_new: float

    @classmethod
    def fit(cls, space: ActionSpace, sets: Sequence[frozenset[str]], counts: Sequence[int]) -> SetPrior:
        """Weigh sets by how many training turns have each; the most frequent sets come first."""
        bits = space.transform(sets[:MOST_SETS]).astype(np.float64)
        if not sets:
            return cls(bits, np.zeros(0), 0.0)
        of_sets = np.array(counts, dtype=np.float64)
        total = of_sets.sum() + 2 * _UNSEEN_COUNT
        once = of_sets[of_sets == 1].sum() + of_sets[MOST_SETS:][of_sets[MOST_SETS:] > 1].sum()
        new = (once + _UNSEEN_COUNT) / total
        of_actions = np.zeros(len(space))
        for start in range(0, len(sets), MOST_SETS):
            chunk = slice(start, start + MOST_SETS)
            of_actions += of_sets[chunk] @ space.transform(sets[chunk])
        rates = (of_actions + _UNSEEN_COUNT) / total
        log_new = float(np.log(new) + np.log1p(-rates).sum())
        log_seen = np.log1p(-new) + np.log(of_sets[:MOST_SETS] / of_sets.sum())
        # The logits of these actions bring their log-odds with them.
        log_seen -= bits @ (np.log(rates) - np.log1p(-rates))
        return cls(bits, np.logaddexp(log_seen, log_new), log_new)

    @property
    def log_excess(self) -> npt.NDArray[np.float64]:
        """Shape (n_sets,): log of what each set weighs beyond what it would as a new one."""
        # e^a - e^b as e^(a + log(1 - e^(b - a))).
        excess: npt.NDArray[np.float64] = self.log_weights + np.log(-np.expm1(self.log_new - self.log_weights))
        return excess

    def tempered(self, temperature: float) -> SetPrior:
        """Return all logs divided by a temperature."""
        return SetPrior(self.bits, self.log_weights / temperature, self.log_new / temperature)
