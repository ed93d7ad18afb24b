"""What a policy is trained on, and what it is validated on."""

from __future__ import annotations

import os
from typing import NamedTuple

from dialog_policy.corpus import Corpus
from dialog_policy.corpus.data import Data, as_corpus
from dialog_policy.corpus.splits import hash_fraction
from dialog_policy.errors import CorpusError, OptionError, counted, did_you_mean

__all__ = ["Parts", "choose_parts", "hold_out"]


class Parts(NamedTuple):
    """A training part, the validation part that is used (None: none), and what that is, in words."""

    train: Corpus
    dev: Corpus | None
    validation: str


def hold_out(corpus: Corpus) -> tuple[Corpus, Corpus | None]:
    """Cut an inner tenth, by a hash of the dialogue's id, off a training part: (the rest, the tenth or None if empty)."""
    held = {dialogue.id for dialogue in corpus if hash_fraction(f"inner:{dialogue.id}") < 0.1}
    if not held or len(held) == len(corpus):
        return corpus, None
    rest = corpus.with_dialogues(dialogue for dialogue in corpus if dialogue.id not in held)
    return rest, corpus.with_dialogues(dialogue for dialogue in corpus if dialogue.id in held)


def choose_parts(corpus: Corpus, dev: Data | None, smallest: int) -> Parts:
    """Choose the training and the validation part.

    Parameters
    ----------
    corpus
        What was given to train on.
    dev
        What was given to validate on; see :meth:`~dialog_policy.policy.DialogPolicy.fit`.
    smallest
        Fewest dialogues of a validation part.

    Raises
    ------
    CorpusError
        If there is nothing to learn.
    """
    _check_learnable(corpus)
    rest, held, source = _divide(corpus, dev)
    if held is None:
        return Parts(corpus, None, f"none ({source}); training runs for its fixed number of epochs")
    if not rest.n_targets:
        return Parts(
            corpus, None, "none (nothing else would be left to train on); training runs for its fixed number of epochs"
        )
    size = len(held) if held.n_targets else 0
    if size < smallest:
        few = f"none ({counted(size, 'dialogue')} in {source}; early stopping needs {smallest}, setting smallest_dev)"
        return Parts(corpus, None, f"{few}; training runs for its fixed number of epochs")
    return Parts(rest, held, f"{source}, {counted(size, 'dialogue')}")


def _divide(corpus: Corpus, dev: Data | None) -> tuple[Corpus, Corpus | None, str]:
    """Return what is left to train on, the validation part, and what that is called."""
    if dev is None or (isinstance(dev, str) and dev == "none"):
        return corpus, None, "as requested"
    if isinstance(dev, str) and dev == "auto":
        labelled = [dialogue for dialogue in corpus if dialogue.split == "dev"]
        dev = corpus.with_dialogues(labelled) if 0 < len(labelled) < len(corpus) else "inner"
    if isinstance(dev, str) and dev == "inner":
        rest, held = hold_out(corpus)
        source = (
            "a tenth of the training part" if held is not None else "the training part is too small to spare a tenth"
        )
        return rest, held, source
    if isinstance(dev, str) and dev in corpus.splits:
        dev = corpus.split(dev)
    if isinstance(dev, str) and not os.path.exists(dev) and "://" not in dev:
        known = ("auto", "inner", "none", *corpus.splits)
        raise OptionError(
            f"dev: expected a part of the corpus ({', '.join(known)}), dialogues, or the path of a corpus; found {dev!r}."
            f"{did_you_mean(dev, known)}"
        )
    held = as_corpus(dev)
    ids = {dialogue.id for dialogue in held}
    labels = {dialogue.split for dialogue in held}
    label = next(iter(labels)) if len(labels) == 1 else None
    source = f"the {label} part of {held.name}" if label else f"a held-out part of {held.name}"
    return corpus.with_dialogues(dialogue for dialogue in corpus if dialogue.id not in ids), held, source


def _check_learnable(corpus: Corpus) -> None:
    """Refuse a training part without any action."""
    if not corpus.n_targets:
        raise CorpusError(
            f"{corpus.name} has no turn with system actions: there is nothing to learn.",
            remedy="Give turns their `actions`; an empty list means that the system did nothing.",
        )
    if not any(turn.actions for dialogue in corpus for turn in dialogue.turns):
        raise CorpusError(
            f"no turn of {corpus.name} has an action: in all of its {counted(corpus.n_targets, 'turn')} the set of actions is "
            "empty, so there is nothing to learn.",
            remedy="Fill the `actions` in (an empty cell or list means that the system did nothing).",
        )
