"""Dialogues by their positions, as scikit-learn asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from dialog_policy.corpus.corpus import Corpus

__all__ = ["Positions"]


class Positions:
    """Makes corpora of a corpus by positions or by a mask: ``corpus.iloc[[0, 2]]``, ``corpus.loc[is_chosen]``."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus

    def __getitem__(self, key: slice | Sequence[SupportsIndex] | npt.NDArray[Any]) -> Corpus:
        """Return the corpus of the dialogues that a slice, positions or truth values (one a dialogue) choose."""
        if isinstance(key, slice):
            return self._corpus[key]
        chosen = np.asarray(key)
        if chosen.dtype != np.bool_:
            return self._corpus.take(chosen.tolist())
        if len(chosen) != len(self._corpus):
            raise IndexError(f"expected {len(self._corpus):,} truth values, one a dialogue; found {len(chosen):,}.")
        return self._corpus.only(chosen.tolist())
