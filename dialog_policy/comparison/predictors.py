"""The policies of a comparison: their names, their predictions, the actions that their training parts have."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from dialog_policy.corpus import Corpus
from dialog_policy.errors import CorpusError, OptionError
from dialog_policy.prediction import Prediction, Predictor, check_predictor, distinct_names
from dialog_policy.runtime import Policy

__all__ = ["Source", "named_predictors", "predictions_of", "training_actions"]

# What can be compared.
Source = Predictor | Policy | Iterable[Prediction]


def named_predictors(predictors: Mapping[str, Source] | Sequence[Predictor | Policy]) -> dict[str, Source]:
    """Name predictors as they call themselves; further ones of the same name are numbered.

    Raises
    ------
    OptionError
        If they are no sequence, or a predictor of it has no name.
    """
    if isinstance(predictors, Mapping):
        return {name: _runtime(source) for name, source in predictors.items()}
    if not isinstance(predictors, Iterable):
        raise OptionError(f"expected a list of at least two policies to compare, found {type(predictors).__name__}.")
    sources = [_runtime(predictor) for predictor in predictors]
    return dict(zip(distinct_names(map(_name, sources)), sources, strict=True))


def _name(predictor: Source) -> str:
    name = getattr(predictor, "name", None)
    if not isinstance(name, str):
        raise OptionError(
            f"expected predictors with a name, found {type(predictor).__name__}. Compare {{name: predictor, ...}} instead."
        )
    return name


def _runtime(source: Source) -> Source:
    """Return what predicts without TensorFlow, of a trained DialogPolicy."""
    if isinstance(source, str | os.PathLike):
        check_predictor(source)
    runtime: Source = getattr(source, "runtime_", source)
    return runtime


def predictions_of(source: Source, part: Corpus) -> Iterable[Prediction]:
    """Return what a policy predicts for a part of a corpus."""
    if isinstance(source, Policy):
        # Only the sets are compared.
        return source.predict(part, probabilities=False)
    return source.predict(part) if isinstance(source, Predictor) else source


def training_actions(sources: Iterable[Source], corpus: Corpus) -> list[str] | None:
    """Return the actions that the policies know; where they know none, those of the corpus' own train part, if it has one."""
    known = {action for source in sources for action in getattr(source, "actions", None) or ()}
    if known:
        return sorted(known)
    try:
        train = corpus.split("train")
    except CorpusError:
        return None
    return sorted({action for dialogue in train for turn in dialogue.turns for action in turn.actions or ()})
