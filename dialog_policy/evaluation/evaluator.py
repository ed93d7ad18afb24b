"""Judging a policy: every figure, with its interval, of everything and of parts."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from dialog_policy.baselines import load_baselines, load_training_part
from dialog_policy.corpus import Corpus
from dialog_policy.corpus.data import Data, as_corpus
from dialog_policy.corpus.training_part import TrainingPart
from dialog_policy.errors import OptionError
from dialog_policy.evaluation.collect import Actions, Collector
from dialog_policy.evaluation.evaluation import Evaluation, Metrics, nested
from dialog_policy.evaluation.intervals import RESAMPLES, check_resamples
from dialog_policy.evaluation.mistakes import MistakeSums
from dialog_policy.evaluation.provenance import Run, describe_run, training_warnings
from dialog_policy.evaluation.scored_turns import ScoredTurns
from dialog_policy.evaluation.sums import Plan, PolicySums
from dialog_policy.prediction import Prediction, Predictor, check_predictor
from dialog_policy.text.tokens import get_tokenizer

__all__ = ["Replying", "evaluate"]


@runtime_checkable
class Replying(Protocol):
    """A predictor that also words its decisions, as a run does."""

    def replies(self, corpus: Corpus, predictions: Iterable[Prediction]) -> Mapping[tuple[str, int], str]:
        """Return what it would have said at each predicted (dialogue, turn), the dialogue so far being the gold one."""
        ...


def evaluate(
    predictor: Predictor,
    corpus: Data,
    *,
    split: str = "all",
    training: TrainingPart | None = None,
    baselines: Iterable[Predictor] | None = None,
    tokenizer: str | None = None,
    free_running: bool = False,
    mistakes: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Evaluation:
    """Judge a policy by the dialogues of a corpus.

    Parameters
    ----------
    predictor
        A run, a baseline, a file of predictions, or anything else with `name`, `actions` and `predict(dialogues)`. Its
        predictions are taken one by one and not kept. F1 averages run over its `actions` and the gold ones; a gold action
        that is not among them is a false negative, makes its turn wrong, and its turn counts in `unseen_action_turns`. None:
        the actions of `training`; of neither: the gold and the predicted actions.
    corpus
        The gold dialogues: a corpus, the path of one, or a sequence of dialogues.
    split
        The part of them to judge by.
    training
        What is known of the training part, for the slices by unknown words and by rare actions. None: what a run knows.
    baselines
        Policies to compare with. None: those of a run; none for other predictors.
    tokenizer
        Name of what splits utterances into words. None: a run's own, else the default.
    free_running
        Whether the policy's own earlier actions and replies are its history, not the gold ones.
    mistakes
        Whether to say where it goes wrong.
    resamples
        Bootstrap resamples of dialogues for the 95 % confidence intervals, at most 100,000; 0: no intervals.
    seed
        Of the bootstrap.

    Returns
    -------
    Evaluation
        Its first `warnings` say whether the run was trained on some of these dialogues.

    Raises
    ------
    CorpusError
        If there is no such part, or the predictions (or those of a baseline) do not belong to it.
    OptionError
        If `resamples` or `seed` is out of bounds, something is no predictor or no corpus, or the predictor cannot run freely.
    """
    check_resamples(resamples, seed=seed)
    predictor = getattr(predictor, "runtime_", predictor)  # a trained DialogPolicy is judged as the run that it saves
    baselines = None if baselines is None else list(baselines)
    for candidate in (predictor, *(baselines or ())):
        check_predictor(candidate)
    options = inspect.signature(predictor.predict).parameters
    runs_freely = "free_running" in options
    if free_running and not runs_freely:
        raise OptionError(
            f"free running needs a run; the past actions of {predictor.name} are those that it was given."
        )
    part = as_corpus(corpus).split(split)
    policy = predictor if isinstance(predictor, Run) else None
    if policy is not None:
        training = load_training_part(policy.run) if training is None else training
        baselines = load_baselines(policy.run, policy.actions).values() if baselines is None else baselines
        tokenizer = tokenizer or policy.tokenizer
    tokenizer = tokenizer or "default"
    known = predictor.actions if predictor.actions is not None else training and training.support
    known = None if known is None else tuple(known)
    mode_option = "free_running" if free_running else "logged" if "logged" in options else None
    plan = Plan.of(part, training, get_tokenizer(tokenizer))
    sums = PolicySums(Actions(known, plan.gold), plan)
    collector = Collector(part, sums.actions)
    replies = _Replies(predictor, part) if part.replies_are_templates and isinstance(predictor, Replying) else None
    wrong = MistakeSums(tokenizer=tokenizer) if mistakes else None
    predictions = predictor.predict(part, **{mode_option: True}) if mode_option else predictor.predict(part)
    for chunk in collector.chunks(predictions):
        sums.add(chunk)
        if replies is not None:
            replies.add(chunk.turns)
        if wrong is not None:
            wrong.add(chunk.turns, chunk.numbers.tolist())
    figures = sums.figures()
    ci95, intervals = figures.intervals(resamples=resamples, seed=seed) if resamples else ({}, ())
    evaluation = Evaluation(
        warnings=training_warnings(predictor, part),
        run=None if policy is None else describe_run(policy),
        corpus=part.name,
        split=split,
        dialogues=figures.totals.n,
        turns=sums.n_turns,
        **nested(figures.values),
        unseen_action_turns=sums.unseen_action_turns,
        seen=figures.seen,
        baselines=_judge_baselines(baselines or (), part, collector.is_scored, known, plan, resamples, seed),
        by_length=[],
        by_turn=[],
        by_action=[],
        slices=[],
        ci95=ci95,
        policy=None if policy is None else policy.id,
        response_accuracy=None if replies is None else replies.accuracy,
    )
    sums.fill(evaluation, figures, intervals)
    if runs_freely:
        evaluation.mode = "free-running" if free_running else "teacher-forced"
    if wrong is not None:
        others = {}
        if free_running:
            others["teacher-forced"] = MistakeSums(tokenizer=tokenizer)
            for chunk in Collector(part, Actions(known, plan.gold)).chunks(predictor.predict(part)):
                others["teacher-forced"].add(chunk.turns, chunk.numbers.tolist())
        evaluation.mistakes = wrong.mistakes(evaluation.mode or "predictions", others)
    return evaluation


def _judge_baselines(
    baselines: Iterable[Predictor],
    part: Corpus,
    is_scored: npt.NDArray[np.bool_],
    known: Iterable[str] | None,
    plan: Plan,
    resamples: int,
    seed: int,
) -> dict[str, Metrics]:
    """Judge each baseline by all dialogues that the policy is judged by; what a file has of other ones is passed over."""
    scored = part.only(is_scored.tolist())
    judged = {}
    for baseline in baselines:
        own = (p for p in baseline.predict(scored) if p.dialogue in scored.ids or p.dialogue not in part.ids)
        sums = PolicySums(Actions(known, plan.gold), plan, parts=False)
        by = f"the baseline {baseline.name!r}"
        for chunk in Collector(scored, sums.actions, by).chunks(own, everything=True):
            sums.add(chunk)
        figures = sums.figures()
        judged[baseline.name] = Metrics.of(figures.values)
        if resamples:
            judged[baseline.name].ci95, _ = figures.intervals(resamples=resamples, seed=seed)
    return judged


class _Replies:
    """Counts how many replies are the gold one, but for white space."""

    def __init__(self, predictor: Replying, part: Corpus) -> None:
        self._predictor, self._part, self._right, self._n = predictor, part, 0, 0

    def add(self, turns: ScoredTurns) -> None:
        """Ask for the replies of scored turns."""
        replies = self._predictor.replies(self._part.with_dialogues(turns.dialogues), _without_probabilities(turns))
        for d, number in zip(turns.dialogue.tolist(), turns.number.tolist(), strict=True):
            dialogue = turns.dialogues[d]
            self._right += replies.get((dialogue.id, number), "").split() == dialogue.turns[number].system.split()
        self._n += len(turns)

    @property
    def accuracy(self) -> float:
        """Share of target turns whose reply is the gold one."""
        return self._right / self._n


def _without_probabilities(turns: ScoredTurns) -> Iterator[Prediction]:
    """Yield the predicted sets again."""
    rows = zip(turns.dialogue.tolist(), turns.number.tolist(), turns.sets(turns.predicted), strict=True)
    for dialogue, number, actions in rows:
        yield Prediction(dialogue=turns.dialogues[dialogue].id, turn=number, actions=actions)
