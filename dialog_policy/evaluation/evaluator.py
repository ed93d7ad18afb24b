"""Judging a policy: every figure, with its interval, of everything and of parts."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable

from dialog_policy.baselines import load_training_part
from dialog_policy.corpus.data import Data, as_corpus
from dialog_policy.corpus.training_part import TrainingPart
from dialog_policy.errors import OptionError
from dialog_policy.evaluation.evaluation import Evaluation, Metrics, nested
from dialog_policy.evaluation.intervals import RESAMPLES, check_resamples
from dialog_policy.evaluation.judging import Job, Judged, Replying, jobs_of, judge
from dialog_policy.evaluation.policy_sums import Plan, PolicySums
from dialog_policy.evaluation.provenance import Run, coverage_warnings, describe_run, training_warnings
from dialog_policy.executor import Executor
from dialog_policy.prediction import Predictor, check_predictor
from dialog_policy.text.tokens import get_tokenizer

__all__ = ["Replying", "evaluate"]


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
    executor: Executor | None = None,
) -> Evaluation:
    """Judge a policy by the dialogues of a corpus.

    Parameters
    ----------
    predictor
        A run, a baseline, a file of predictions, or any other object with `name`, `actions` and `predict(dialogues)`. Its
        predictions are read one by one and not kept. F1 is averaged over its `actions` and the gold ones. A gold action that it
        lacks is a false negative, and its turn is wrong and counts in `unseen_action_turns`. If `actions` is None, the actions
        of `training` are used, or else the gold and predicted ones.
    corpus
        The gold dialogues: a corpus, the path of one, or a sequence of dialogues.
    split
        The part of the corpus to evaluate on.
    training
        Description of the training part, for the slices by unknown words and by rare actions. None: a run's own.
    baselines
        Policies to compare with; of those with the same name, all but the first are numbered. None: those of a run; none for
        other predictors.
    tokenizer
        Name of the tokenizer that splits utterances into words. None: a run's own or, for other predictors, the default.
    free_running
        Whether the policy sees its own earlier actions and replies instead of the gold ones.
    mistakes
        Whether to analyse the wrong turns.
    resamples
        Bootstrap resamples of dialogues for the 95 % confidence intervals, at most 100,000; 0: no intervals.
    seed
        Of the bootstrap.
    executor
        Runs the evaluation in several processes, a few thousand dialogues at a time, such as
        :class:`~dialog_policy.executor.LocalProcesses`; the figures are exactly the same. The predictor must be a run,
        which every process loads itself; one that is not saved is sent whole with every task. None: this process.

    Returns
    -------
    Evaluation
        Its `warnings` say whether the run was trained on some of these dialogues, whether predictions leave some out, and whether no
        predicted action is known to the corpus.

    Raises
    ------
    CorpusError
        If there is no such part, or the predictions (or those of a baseline) do not belong to it.
    OptionError
        If `resamples` or `seed` is out of bounds, something is no predictor or no corpus, or the predictor cannot run freely or
        not in several processes.
    RunError
        If a process was lost.
    """
    check_resamples(resamples, seed=seed)
    predictor = getattr(predictor, "runtime_", predictor)  # a trained DialogPolicy is judged as the run that it saves
    baselines = None if baselines is None else list(baselines)
    for candidate in (predictor, *(baselines or ())):
        check_predictor(candidate)
    options = inspect.signature(predictor.predict).parameters
    runs_freely = "free_running" in options
    if free_running and not runs_freely:
        raise OptionError(f"free running needs a run, because {predictor.name} has fixed past actions.")
    part = as_corpus(corpus).split(split)
    policy = predictor if isinstance(predictor, Run) else None
    if policy is not None:
        training = load_training_part(policy.run) if training is None else training
        tokenizer = tokenizer or policy.tokenizer
    elif executor is not None:
        raise OptionError(f"several processes judge a run; {predictor.name} is none, and judged by one.")
    tokenizer = tokenizer or "default"
    known = predictor.actions if predictor.actions is not None else training and training.support
    known = None if known is None else tuple(known)
    plan = Plan.of(part, training, get_tokenizer(tokenizer))
    job = Job(
        predictor,
        baselines,
        part,
        0,
        0,
        known,
        plan,
        tokenizer,
        mode="free_running" if free_running else "logged" if "logged" in options else None,
        replies=part.replies_are_templates and isinstance(predictor, Replying),
        mistakes=mistakes,
    )
    judged = _judge(job, executor)
    sums = judged.sums
    figures = sums.figures()
    ci95, intervals = figures.intervals(resamples=resamples, seed=seed) if resamples else ({}, ())
    evaluation = Evaluation(
        warnings=training_warnings(predictor, part) + coverage_warnings(figures.totals.n, part),
        run=None if policy is None else describe_run(policy),
        corpus=part.name,
        split=split,
        dialogues=figures.totals.n,
        turns=sums.n_turns,
        **nested(figures.values),
        unseen_action_turns=sums.unseen_action_turns,
        seen=figures.seen,
        baselines={name: _metrics(own, resamples, seed) for name, own in judged.baselines.items()},
        by_length=[],
        by_turn=[],
        by_action=[],
        slices=[],
        ci95=ci95,
        policy=None if policy is None else policy.id,
        response_accuracy=None if judged.replies is None else judged.replies.accuracy,
    )
    sums.fill(evaluation, figures, intervals)
    evaluation.warnings += _unknown_names(evaluation, sums.actions.names, {*plan.gold, *(known or ())})
    if runs_freely:
        evaluation.mode = "free-running" if free_running else "teacher-forced"
    if mistakes:
        own, others = judged.mistakes.pop(""), judged.mistakes
        evaluation.mistakes = own.mistakes(evaluation.mode or "predictions", others, find=part.dialogue)
    return evaluation


def _judge(whole: Job, executor: Executor | None) -> Judged:
    """Judge all dialogues, in one piece or in several."""
    jobs = [] if executor is None else jobs_of(whole)
    if executor is None or len(jobs) < 2:
        return judge(whole)
    together = Judged(whole.known, whole.plan)
    for judged in executor.map(judge, jobs):
        together.merge(judged)
    return together


def _unknown_names(evaluation: Evaluation, names: Iterable[str], known: Collection[str]) -> list[str]:
    """Say so where no predicted action is one of the training part or the corpus: then names were given in another form."""
    unknown = sorted(name for name in names if name not in known)
    if not unknown or any(row.predicted for row in evaluation.by_action if row.action in known):
        return []
    return [
        f"No predicted action is known: neither training nor the corpus has {', '.join(map(repr, unknown[:3]))}. Predictions need "
        "the names of actions; ActionSpace.inverse_transform makes sets of names of bits."
    ]


def _metrics(sums: PolicySums, resamples: int, seed: int) -> Metrics:
    """Return the metrics of a baseline."""
    figures = sums.figures()
    metrics = Metrics.of(figures.values)
    if resamples:
        metrics.ci95, _ = figures.intervals(resamples=resamples, seed=seed)
    return metrics
