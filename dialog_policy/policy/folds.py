"""Cross-validation over dialogues: an honest figure where there is too little data for a test part."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm

from dialog_policy.baselines import load_baselines
from dialog_policy.corpus import Corpus
from dialog_policy.corpus.splits import hash_fraction
from dialog_policy.errors import CorpusError
from dialog_policy.evaluation.intervals import RESAMPLES
from dialog_policy.evaluation.metrics import score_predictions
from dialog_policy.policy.config import Config
from dialog_policy.policy.dialog_policy import DialogPolicy
from dialog_policy.prediction import Prediction

__all__ = ["cross_validate"]


def cross_validate(
    config: Config,
    corpus: Corpus,
    folds: int,
    *,
    split: str = "all",
    free_running: bool = False,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Train `folds` policies, each on the dialogues outside its fold, and score all predictions together.

    A dialogue's fold follows from the rank of its id's hash, so folds are of equal size and the same everywhere. Actions that
    occur in one fold only count as known: each policy is scored over the actions of the whole corpus.

    Raises
    ------
    CorpusError
        If there are fewer dialogues with target turns than folds.
    """
    usable = [dialogue for dialogue in corpus if dialogue.n_targets]
    if len(usable) < folds:
        raise CorpusError(
            f"{corpus.name} has {len(usable)} dialogues to predict: expected at least one a fold, {folds}."
        )
    ranked = sorted(usable, key=lambda dialogue: (hash_fraction(dialogue.id), dialogue.id))
    fold_of = {dialogue.id: rank % folds for rank, dialogue in enumerate(ranked)}
    predictions: list[Prediction] = []
    baselines: dict[str, list[Prediction]] = {}
    for fold in tqdm(range(folds), desc="folds", disable=None):
        held = corpus.with_dialogues(dialogue for dialogue in usable if fold_of[dialogue.id] == fold)
        rest = corpus.with_dialogues(dialogue for dialogue in usable if fold_of[dialogue.id] != fold)
        policy = DialogPolicy.from_config(config).fit(rest)
        predictions += policy.predict(held, free_running=free_running)
        for name, baseline in load_baselines(policy.runtime_.run, policy.runtime_.actions).items():
            baselines.setdefault(name, []).extend(baseline.predict(held))
    actions = sorted({action for d in usable for turn in d.turns for action in turn.actions or ()})
    result = score_predictions(
        predictions,
        corpus,
        known_actions=actions,
        tokenizer=config.encoders.tokenizer,
        split=split,
        baselines=baselines,
        resamples=resamples,
    )
    result["mode"] = "free-running" if free_running else "teacher-forced"
    result["folds"] = folds
    return result
