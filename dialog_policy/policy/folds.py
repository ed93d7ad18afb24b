"""Cross-validation over dialogues: an honest figure where there is too little data for a test part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tqdm import tqdm

from dialog_policy.baselines import load_baselines
from dialog_policy.corpus import ActionSpace, Corpus, Dialogue
from dialog_policy.corpus.splits import fold_numbers
from dialog_policy.errors import CorpusError, check_whole, counted
from dialog_policy.evaluation import Evaluation, evaluate
from dialog_policy.evaluation.intervals import RESAMPLES, check_resamples
from dialog_policy.policy.config import Config
from dialog_policy.policy.dialog_policy import DialogPolicy
from dialog_policy.prediction import Prediction, Predictor
from dialog_policy.runtime import Policy

__all__ = ["FoldedBaseline", "FoldedPolicy", "cross_validate"]


class FoldedBaseline:
    """A Predictor that asks for each dialogue the baseline that was fitted without it.

    Parameters
    ----------
    name
        What reports call it.
    actions
        The actions of the whole corpus.
    fold_of
        Dialogue id to the number of its fold.
    members
        For each fold, what was trained without it.
    """

    def __init__(
        self, name: str, actions: ActionSpace, fold_of: Mapping[str, int], members: Sequence[Predictor]
    ) -> None:
        self.name, self.actions, self._fold_of, self._members = name, actions, fold_of, members

    def predict(self, dialogues: Iterable[Dialogue]) -> Iterator[Prediction]:
        """Yield a prediction for every target turn, fold by fold."""
        for member, own in zip(self._members, self._by_fold(dialogues), strict=True):
            yield from member.predict(own)

    def _by_fold(self, dialogues: Iterable[Dialogue]) -> list[list[Dialogue]]:
        parts: list[list[Dialogue]] = [[] for _ in self._members]
        for dialogue in dialogues:
            if dialogue.id in self._fold_of:
                parts[self._fold_of[dialogue.id]].append(dialogue)
        return parts


class FoldedPolicy(FoldedBaseline):
    """The same for policies, which also run freely, say how likely the logged actions are, and reply."""

    _members: Sequence[Policy]

    def predict(
        self, dialogues: Iterable[Dialogue], *, free_running: bool = False, logged: bool = False
    ) -> Iterator[Prediction]:
        """Yield a prediction for every target turn, fold by fold."""
        for policy, own in zip(self._members, self._by_fold(dialogues), strict=True):
            yield from policy.predict(own, free_running=free_running, logged=logged)

    def replies(self, corpus: Corpus, predictions: Iterable[Prediction]) -> dict[tuple[str, int], str]:
        """Return what the policy of each dialogue's fold would have said at each predicted turn."""
        predicted = list(predictions)
        replies: dict[tuple[str, int], str] = {}
        for policy, own in zip(self._members, self._by_fold(corpus), strict=True):
            part = corpus.with_dialogues(own)
            replies |= policy.replies(part, (p for p in predicted if p.dialogue in part.ids))
        return replies


def cross_validate(
    config: Config | DialogPolicy,
    corpus: Corpus,
    folds: int,
    *,
    split: str = "all",
    free_running: bool = False,
    mistakes: bool = False,
    resamples: int = RESAMPLES,
) -> Evaluation:
    """Train `folds` policies, each on the dialogues outside its fold, and judge all their predictions together.

    The rank of a dialogue id's hash determines the fold, so folds have equal sizes and are the same everywhere. Each policy is
    judged over the actions of the whole corpus, so an action that occurs in one fold only counts as known. Baselines are fitted
    in the same way.

    Parameters
    ----------
    config
        The settings of every policy, or a :class:`~dialog_policy.policy.DialogPolicy` that has them.
    corpus
        The dialogues.
    folds
        How many policies are trained.
    split
        The part of the corpus.
    free_running, mistakes, resamples
        As for :func:`~dialog_policy.evaluation.evaluate`.

    Raises
    ------
    CorpusError
        If there are fewer dialogues with target turns than folds.
    OptionError
        If there are fewer than two folds.
    """
    check_whole("folds", folds, 2)
    check_resamples(resamples)
    part = corpus.split(split)
    usable = [dialogue for dialogue in part if dialogue.n_targets]
    if len(usable) < folds:
        raise CorpusError(
            f"{corpus.name} has {counted(len(usable), 'dialogue')} to predict: expected at least one per fold, {folds}."
        )
    ids = [dialogue.id for dialogue in usable]
    fold_of = dict(zip(ids, fold_numbers(ids, folds), strict=True))
    if isinstance(config, DialogPolicy):
        config = config.config
    policies: list[Policy] = []
    for fold in tqdm(range(folds), desc="folds", disable=None):
        rest = part.with_dialogues(dialogue for dialogue in usable if fold_of[dialogue.id] != fold)
        policies.append(DialogPolicy.from_config(config).fit(rest).runtime_)
    actions = ActionSpace().fit(turn.actions for dialogue in usable for turn in dialogue.turns)
    fitted = [load_baselines(policy.run, policy.actions) for policy in policies]
    evaluation = evaluate(
        FoldedPolicy("cross-validated", actions, fold_of, policies),
        corpus,
        split=split,
        baselines=[
            FoldedBaseline(name, actions, fold_of, [baselines[name] for baselines in fitted]) for name in fitted[0]
        ],
        tokenizer=config.encoders.tokenizer,
        free_running=free_running,
        mistakes=mistakes,
        resamples=resamples,
    )
    evaluation.folds = folds
    return evaluation
