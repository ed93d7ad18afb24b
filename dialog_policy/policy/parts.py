"""What a policy is trained on, and what it is validated on."""

from __future__ import annotations

import os
from typing import NamedTuple

from dialog_policy.corpus import Corpus
from dialog_policy.corpus.data import Data, as_corpus
from dialog_policy.corpus.splits import hash_fraction
from dialog_policy.errors import CorpusError, OptionError, counted, did_you_mean

__all__ = ["Parts", "choose_parts", "hold_out", "own_dev"]

# Dialogues of a validation part that are looked at: more tell no more of a turn accuracy (about 0.15 % standard error).
_MOST_DEV = 10_000


class Parts(NamedTuple):
    """A training part, the validation part that is used (None: none), and what that is, in words."""

    train: Corpus
    dev: Corpus | None
    validation: str


def hold_out(corpus: Corpus) -> tuple[Corpus, Corpus | None]:
    """Cut an inner tenth, by a hash of the dialogue's id, off a training part: (the rest, the tenth or None if empty)."""
    held = [hash_fraction(f"inner:{dialogue_id}") < 0.1 for dialogue_id in corpus.ids]
    if not any(held) or all(held):
        return corpus, None
    return corpus.only(not is_held for is_held in held), corpus.only(held)


def own_dev(corpus: Corpus, dev: str) -> Corpus | str | None:
    """Return what the option ``--dev`` names: a part of the corpus, ``"inner"``, or nothing; another name as it is.

    Parameters
    ----------
    corpus
        The whole corpus.
    dev
        The option's value; ``auto`` is the corpus' part `dev`, and ``inner`` where it has none.
    """
    if dev in ("none", "inner"):
        return None if dev == "none" else dev
    if dev == "auto":
        dev = "dev" if "dev" in corpus.splits else "inner"
    if dev in corpus.splits:
        try:
            return corpus.split(dev)
        except CorpusError:  # the hash may leave a small corpus' dev part empty
            return corpus[:0]
    return dev


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
    if size > _MOST_DEV:
        numbers = range(size)
        held = held.only(n * _MOST_DEV // size != (n - 1) * _MOST_DEV // size for n in numbers)
        return Parts(rest, held, f"{source}, {len(held):,} of its {counted(size, 'dialogue')}, evenly spread")
    return Parts(rest, held, f"{source}, {counted(size, 'dialogue')}")


def _divide(corpus: Corpus, dev: Data | None) -> tuple[Corpus, Corpus | None, str]:
    """Return what is left to train on, the validation part, and what that is called."""
    if dev is None or (isinstance(dev, str) and dev == "none"):
        return corpus, None, "as requested"
    if isinstance(dev, str) and dev == "auto":
        labelled = [label == "dev" for label in corpus.labels]
        dev = corpus.only(labelled) if 0 < sum(labelled) < len(corpus) else "inner"
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
    labels = set(held.labels)
    label = next(iter(labels)) if len(labels) == 1 else None
    source = f"the {label} part of {held.name}" if label else f"a held-out part of {held.name}"
    ids = held.ids
    return corpus.only(dialogue_id not in ids for dialogue_id in corpus.ids), held, source


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
            remedy="Fill in the `actions` (an empty cell or list means that the system did nothing).",
        )
