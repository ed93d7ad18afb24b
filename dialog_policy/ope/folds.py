"""Folds over dialogues, so that no model judges the dialogues it was fitted on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dialog_policy.corpus.splits import fold_numbers
from dialog_policy.errors import CorpusError
from dialog_policy.ope.log import Log

__all__ = ["FOLDS", "fold_of_dialogues"]

FOLDS = 5


def fold_of_dialogues(log: Log) -> npt.NDArray[np.int64]:
    """Return the fold of each dialogue, shape (n_dialogues,): by the rank of its id's hash, so folds are of equal size.

    Raises
    ------
    CorpusError
        If there is only one dialogue.
    """
    ids = [dialogue.id for dialogue in log.dialogues]
    if len(ids) < 2:
        raise CorpusError(
            "expected at least two dialogues, because the model that judges a dialogue is fitted on the others."
        )
    return np.array(fold_numbers(ids, FOLDS), dtype=np.int64)
