"""Judging a policy: every figure, with its interval, of everything and of parts."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, runtime_checkable

import numpy as np

from dialog_policy.baselines import load_baselines, load_training_part
from dialog_policy.corpus import Corpus
from dialog_policy.corpus.training_part import TrainingPart
from dialog_policy.errors import OptionError
from dialog_policy.evaluation.breakdown import Breakdown
from dialog_policy.evaluation.collect import collect_turns
from dialog_policy.evaluation.evaluation import Evaluation, Metrics, nested
from dialog_policy.evaluation.intervals import RESAMPLES, check_resamples
from dialog_policy.evaluation.mistakes import find_mistakes
from dialog_policy.evaluation.probability_scores import LEAST, TOP, ProbabilityScores
from dialog_policy.evaluation.provenance import Run, describe_run, training_warnings
from dialog_policy.evaluation.scored_turns import ScoredTurns
from dialog_policy.evaluation.slices import slicings
from dialog_policy.evaluation.totals import DialogueTotals, Loss, MetricSet
from dialog_policy.prediction import Prediction, Predictor
from dialog_policy.text.tokens import get_tokenizer

__all__ = ["Replying", "evaluate", "losses_of"]


@runtime_checkable
class Replying(Protocol):
    """A predictor that also words its decisions, as a run does."""

    def replies(self, corpus: Corpus, predictions: Iterable[Prediction]) -> Mapping[tuple[str, int], str]:
        """Return what it would have said at each predicted (dialogue, turn), the dialogue so far being the gold one."""
        ...


def evaluate(
    predictor: Predictor,
    corpus: Corpus,
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
        The gold dialogues.
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
        If `resamples` is out of bounds, or the predictor cannot run freely.
    """
    check_resamples(resamples)
    predictor = getattr(predictor, "runtime_", predictor)  # a trained DialogPolicy is judged as the run that it saves
    options = inspect.signature(predictor.predict).parameters
    runs_freely = "free_running" in options
    if free_running and not runs_freely:
        raise OptionError(
            f"free running needs a run; the past actions of {predictor.name} are those that it was given."
        )
    part = corpus.split(split)
    policy = predictor if isinstance(predictor, Run) else None
    if policy is not None:
        training = load_training_part(policy.run) if training is None else training
        baselines = load_baselines(policy.run, policy.actions).values() if baselines is None else baselines
        tokenizer = tokenizer or policy.tokenizer
    tokenizer = tokenizer or "default"
    known = predictor.actions if predictor.actions is not None else training and training.support
    known = None if known is None else tuple(known)
    mode_option = "free_running" if free_running else "logged" if "logged" in options else None
    predictions = predictor.predict(part, **{mode_option: True}) if mode_option else predictor.predict(part)
    turns = collect_turns(predictions, part, known_actions=known)
    totals, stated, metrics = _figures(turns)
    parts = Breakdown(turns, totals, metrics)
    ways = slicings(
        turns,
        tokenize=get_tokenizer(tokenizer),
        known_words=training and training.words,
        support=training and training.support,
    )
    evaluation = Evaluation(
        warnings=[] if policy is None else training_warnings(policy, part),
        run=None if policy is None else describe_run(policy),
        corpus=corpus.name,
        split=split,
        dialogues=len(turns.dialogues),
        turns=len(turns),
        **nested(metrics.values(totals.totals())),
        unseen_action_turns=len(np.unique(turns.gold.rows[~turns.training[turns.gold.bits]])),
        seen=_metrics(turns.over(turns.training)),
        baselines=_judge_baselines(baselines or (), part, turns, known, resamples, seed),
        by_length=parts.by_length(),
        by_turn=parts.by_turn(),
        by_action=parts.by_action(stated),
        slices=parts.by_slice(ways),
        ci95={},
        policy=None if policy is None else policy.id,
    )
    if stated is not None:
        evaluation.actions_exclude_each_other = stated.exclusive
        evaluation.gold_actions_left_out = int(stated.left_out.sum())
        evaluation.calibration_bits = parts.calibration_of_bits(stated)
    if turns.confidence is not None:
        evaluation.calibration = parts.calibration(turns.confidence)
    if part.replies_are_templates and isinstance(predictor, Replying):
        evaluation.response_accuracy = _reply_accuracy(turns, predictor.replies(part, _without_probabilities(turns)))
    if resamples:
        evaluation.ci95, intervals = totals.intervals(metrics, resamples=resamples, seed=seed)
        parts.fill(intervals)
    if runs_freely:
        evaluation.mode = "free-running" if free_running else "teacher-forced"
    if mistakes:
        modes = {evaluation.mode or "predictions": turns}
        if free_running:
            modes["teacher-forced"] = collect_turns(predictor.predict(part), part, known_actions=known)
        evaluation.mistakes = find_mistakes(modes, tokenizer=tokenizer)
    return evaluation


def _figures(turns: ScoredTurns) -> tuple[DialogueTotals, ProbabilityScores | None, MetricSet]:
    totals = DialogueTotals(turns)
    stated = None if turns.probabilities is None else ProbabilityScores(turns)
    return totals, stated, MetricSet(totals, turns, losses_of(turns, stated))


def losses_of(turns: ScoredTurns, stated: ProbabilityScores | None) -> dict[str, Loss]:
    """Return the metrics of probabilities that are means over turns; none where there are no probabilities."""
    losses: dict[str, Loss] = {}
    if stated is not None:
        losses |= {"log_loss": Loss(stated.log_loss(), is_rate=False), "brier": Loss(stated.brier(), is_rate=False)}
        losses |= {f"top_k.{k}": Loss(stated.top(k), counted=stated.has_gold) for k in TOP}
    if turns.gold_set is not None:
        losses["set_negative_log_likelihood"] = Loss(-np.log(np.maximum(turns.gold_set, LEAST)), is_rate=False)
    return losses


def _metrics(turns: ScoredTurns) -> Metrics:
    totals = DialogueTotals(turns)
    return Metrics.of(MetricSet(totals, turns).values(totals.totals()))


def _judge_baselines(
    baselines: Iterable[Predictor],
    part: Corpus,
    of_policy: ScoredTurns,
    known: Iterable[str] | None,
    resamples: int,
    seed: int,
) -> dict[str, Metrics]:
    """Judge each baseline by all dialogues that the policy is judged by; what a file has of other ones is passed over."""
    scored = part.with_dialogues(of_policy.dialogues)
    judged = {}
    for baseline in baselines:
        own = (p for p in baseline.predict(scored) if p.dialogue in scored.ids or p.dialogue not in part.ids)
        by = f"the baseline {baseline.name!r}"
        turns = collect_turns(own, scored, known_actions=known, everything=True, by=by)
        totals, _, metrics = _figures(turns)
        judged[baseline.name] = Metrics.of(metrics.values(totals.totals()))
        if resamples:
            judged[baseline.name].ci95, _ = totals.intervals(metrics, resamples=resamples, seed=seed)
    return judged


def _without_probabilities(turns: ScoredTurns) -> Iterator[Prediction]:
    """Yield the predicted sets again."""
    rows = zip(turns.dialogue.tolist(), turns.number.tolist(), turns.sets(turns.predicted), strict=True)
    for dialogue, number, actions in rows:
        yield Prediction(dialogue=turns.dialogues[dialogue].id, turn=number, actions=actions)


def _reply_accuracy(turns: ScoredTurns, replies: Mapping[tuple[str, int], str]) -> float:
    """Share of target turns whose reply is the gold one, but for white space."""
    places = zip(turns.dialogue.tolist(), turns.number.tolist(), strict=True)
    right = [
        replies.get((turns.dialogues[d].id, number), "").split() == turns.dialogues[d].turns[number].system.split()
        for d, number in places
    ]
    return float(np.mean(right))
