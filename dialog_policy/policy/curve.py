"""Learning curves: how good a policy would be with less training data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tqdm import tqdm

from dialog_policy.comparison.result import CurvePoint
from dialog_policy.corpus import Corpus
from dialog_policy.corpus.data import Data
from dialog_policy.corpus.splits import hash_fraction
from dialog_policy.errors import CorpusError, OptionError
from dialog_policy.policy.config import Config
from dialog_policy.policy.dialog_policy import DialogPolicy

__all__ = ["learning_curve", "share_of"]


def share_of(corpus: Corpus, share: float, seed: int) -> Corpus:
    """Return a share of the dialogues that have target turns, at least one: those of the smallest hash of seed and id.

    A smaller share of the same seed is part of a greater one.
    """
    ids = [dialogue.id for dialogue in corpus if dialogue.n_targets]
    ranked = sorted(ids, key=lambda name: (hash_fraction(f"share:{seed}:{name}"), name))
    chosen = set(ranked[: max(1, round(share * len(ranked)))])
    return corpus.with_dialogues(dialogue for dialogue in corpus if dialogue.id in chosen)


def learning_curve(
    configs: Mapping[str, Config],
    train: Corpus,
    test: Corpus,
    shares: Sequence[float],
    *,
    seeds: int = 3,
    dev: Data | None = "auto",
) -> list[CurvePoint]:
    """Train each configuration on shares of the training part, and score it.

    Parameters
    ----------
    configs
        Policy to its settings. Their seeds are counted up, so that the trainings of a share differ in their dialogues and in
        their random numbers.
    train, test
        The training part, and what is scored.
    shares
        Over 0 and up to 1, in any order.
    seeds
        Trainings for each share.
    dev
        As for :meth:`~dialog_policy.policy.DialogPolicy.fit`: what every training is validated on.

    Returns
    -------
    list of CurvePoint
        One for each training.

    Raises
    ------
    OptionError
        If a share is not over 0 and up to 1, or comes twice; or there are no seeds.
    CorpusError
        If there is nothing to train on or to score.
    MissingExtraError
        If the extra `train` is not installed.
    """
    for share in shares:
        if not 0 < share <= 1:
            raise OptionError(f"expected shares of the training part above 0 and at most 1, found {share:g}.")
    if len(set(shares)) < len(shares):
        raise OptionError(f"a share occurs twice: {', '.join(f'{share:g}' for share in shares)}.")
    if seeds < 1:
        raise OptionError(f"expected at least one seed, found {seeds}.")
    for part in (train, test):
        if not part.n_targets:
            raise CorpusError(f"{part.name} has no turn with system actions.")
    jobs = [(name, share, seed) for name in configs for share in sorted(shares) for seed in range(seeds)]
    rows = []
    for name, share, seed in tqdm(jobs, desc="trainings", disable=None):
        part = share_of(train, share, seed)
        policy = DialogPolicy.from_config(configs[name]).set_params(seed=configs[name].seed + seed).fit(part, dev=dev)
        rows.append(
            CurvePoint(
                policy=name,
                share=share,
                dialogues=len(part),
                turns=part.n_targets,
                seed=seed,
                turn_accuracy=policy.score(test),
            )
        )
    return rows
