"""Which of several policies is better on the same dialogues, by how much, how sure that is, and where they differ."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dialog_policy.comparison.aligned import align_policies
from dialog_policy.comparison.paired import PairedMetrics
from dialog_policy.comparison.predictors import Source, named_predictors, predictions_of, training_actions
from dialog_policy.comparison.result import (
    ComparedPolicy,
    Comparison,
    DialogueSuccess,
    Disagreement,
    PolicyDifference,
)
from dialog_policy.comparison.significance import bootstrap_p, holm, mcnemar_p, randomisation_p
from dialog_policy.corpus import Corpus
from dialog_policy.corpus.data import Data, as_corpus
from dialog_policy.errors import OptionError, check_known
from dialog_policy.evaluation.intervals import check_resamples, defined_interval
from dialog_policy.evaluation.provenance import coverage_warnings, describe_run, policy_of, training_warnings
from dialog_policy.evaluation.scored_turns import Pairs, ScoredTurns
from dialog_policy.evaluation.totals import SCALARS
from dialog_policy.prediction import Predictor
from dialog_policy.runtime import Policy

__all__ = ["LEAST_RESAMPLES", "METRICS", "RESAMPLES", "compare"]

# The metrics that are compared by default.
METRICS = ("turn_accuracy", "dialogue_accuracy", "micro_f1", "macro_f1")
RESAMPLES = 10_000
# Fewer resamples cannot tell a p of 0.01 from chance.
LEAST_RESAMPLES = 100

Integers = npt.NDArray[np.signedinteger[Any]]


def compare(
    predictors: Mapping[str, Source] | Sequence[Predictor | Policy],
    corpus: Data,
    *,
    known_actions: Iterable[str] | None = None,
    metrics: Sequence[str] = METRICS,
    split: str = "all",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare policies by their predictions for the same turns.

    Parameters
    ----------
    predictors
        At least two policies: runs, baselines, files of predictions, objects of your own (:class:`~dialog_policy.prediction.Predictor`);
        or names to predictors or predictions.
    corpus
        The gold dialogues: a corpus, the path of one, or a sequence of dialogues.
    known_actions
        The actions of the training parts, over which averages of F1 run, together with the gold actions. None: those of the
        predictors; where they know none, those of the corpus' own train part; without one, gold and predicted actions.
    metrics
        The metrics to compare by, from :data:`~dialog_policy.evaluation.totals.SCALARS`.
    split
        The part of the corpus.
    resamples, seed
        Of the bootstrap and of the randomisation test.

    Raises
    ------
    CorpusError
        If predictions do not fit the corpus, or do not cover the same turns: with the place.
    OptionError
        If there are fewer than two policies, a metric is unknown, or the number of resamples impossible.
    """
    policies = named_predictors(predictors)
    if len(policies) < 2:
        raise OptionError(f"expected at least two policies to compare, found {len(policies)}.")
    for metric in metrics:
        check_known("metric", metric, SCALARS)
    check_resamples(resamples, LEAST_RESAMPLES, seed=seed)
    corpus = as_corpus(corpus)
    part = corpus.split(split)
    if known_actions is None:
        known_actions = training_actions(policies.values(), corpus)
    scored = align_policies({name: predictions_of(p, part) for name, p in policies.items()}, part, known_actions)
    names, turns = list(scored), list(scored.values())
    pairs = list(itertools.combinations(range(len(names)), 2))
    paired = PairedMetrics(turns)
    intervals = paired.intervals(pairs, resamples, seed)
    mcnemar = _dialogue_successes(names, pairs, turns)
    return Comparison(
        corpus=corpus.name,
        split=split,
        dialogues=len(turns[0].dialogues),
        turns=len(turns[0]),
        metrics=list(metrics),
        resamples=resamples,
        warnings=_warnings(policies, part) + coverage_warnings(len(turns[0].dialogues), part),
        policies=[
            ComparedPolicy(
                name=name,
                run=None if (run := policy_of(policies[name])) is None else describe_run(run),
                **dict(zip(SCALARS, values.tolist(), strict=True)),
                ci95=dict(zip(SCALARS, map(defined_interval, bounds), strict=True)),
            )
            for name, values, bounds in zip(names, paired.values, intervals, strict=False)
        ],
        pairs=_differences(names, pairs, paired, metrics, intervals[len(names) :], mcnemar, resamples, seed),
        mcnemar=mcnemar,
        disagreements=[row for i, j in pairs for row in _disagreements(names[i], names[j], turns[i], turns[j])],
    )


def _warnings(policies: Mapping[str, Source], part: Corpus) -> list[str]:
    warnings = []
    for name, predictor in policies.items():
        warnings += training_warnings(policy_of(predictor) or predictor, part, name)
    return warnings


def _differences(
    names: Sequence[str],
    pairs: Sequence[tuple[int, int]],
    paired: PairedMetrics,
    metrics: Sequence[str],
    intervals: npt.NDArray[np.floating[Any]],
    mcnemar: Sequence[DialogueSuccess],
    resamples: int,
    seed: int,
) -> list[PolicyDifference]:
    """One row for each pair and metric, shape (n_pairs, n_metrics) flattened; Holm's correction runs over the pairs of a metric."""
    n = len(paired.totals[0])
    chosen = [SCALARS.index(metric) for metric in metrics]
    drawn = paired.in_resamples(resamples, seed)
    right = paired.turns_right
    observed = np.stack([paired.values[i] - paired.values[j] for i, j in pairs])
    p_bootstrap = [bootstrap_p(drawn[:, i] - drawn[:, j], at) for (i, j), at in zip(pairs, observed, strict=True)]
    p_randomisation = np.stack(
        [
            randomisation_p(paired.totals[i], paired.totals[j], paired.metrics, resamples=resamples, seed=seed)
            for i, j in pairs
        ]
    )
    p_holm = {m: holm(p_randomisation[:, m].tolist()) for m in chosen}
    rows = []
    for number, (i, j) in enumerate(pairs):
        # The spread of what one dialogue adds to the difference, in the first order.
        spread = (drawn[:, i] - drawn[:, j]).std(axis=0) * np.sqrt(n)
        for m in chosen:
            difference = float(observed[number, m])
            rows.append(
                PolicyDifference(
                    a=names[i],
                    b=names[j],
                    metric=SCALARS[m],
                    difference=difference,
                    ci95=defined_interval(intervals[number, m]),
                    p_bootstrap=float(p_bootstrap[number][m]),
                    p_randomisation=float(p_randomisation[number, m]),
                    p_holm=p_holm[m][number],
                    p_mcnemar=mcnemar[number].p if SCALARS[m] == "dialogue_accuracy" else None,
                    effect_size=difference / float(spread[m]) if spread[m] > 0 else None,
                    dialogues_better=int((right[i] > right[j]).sum()),
                    dialogues_worse=int((right[i] < right[j]).sum()),
                    dialogues_equal=int((right[i] == right[j]).sum()),
                )
            )
    return rows


def _dialogue_successes(
    names: Sequence[str], pairs: Sequence[tuple[int, int]], scored: Sequence[ScoredTurns]
) -> list[DialogueSuccess]:
    """Compare which dialogues the policies of each pair get right throughout; Holm's correction runs over the pairs."""
    dialogues = scored[0].dialogues
    successes = [np.bincount(turns.dialogue, ~turns.exact, minlength=len(dialogues)) == 0 for turns in scored]
    exclusive = [
        tuple(
            [dialogues[row].id for row in np.flatnonzero(only).tolist()]
            for only in (successes[i] & ~successes[j], successes[j] & ~successes[i])
        )
        for i, j in pairs
    ]
    ps = [mcnemar_p(len(a_only), len(b_only)) for a_only, b_only in exclusive]
    return [
        DialogueSuccess(
            a=names[i],
            b=names[j],
            both=int((successes[i] & successes[j]).sum()),
            neither=int((~successes[i] & ~successes[j]).sum()),
            a_only=a_only,
            b_only=b_only,
            p=p,
            p_holm=corrected,
        )
        for (i, j), (a_only, b_only), p, corrected in zip(pairs, exclusive, ps, holm(ps), strict=True)
    ]


def _disagreements(a: str, b: str, of_a: ScoredTurns, of_b: ScoredTurns) -> list[Disagreement]:
    """Find the turns that one policy gets right and the other wrong, in the order of the corpus."""
    rows = []
    for row in np.flatnonzero(of_a.exact != of_b.exact).tolist():
        dialogue, number = of_a.dialogues[of_a.dialogue[row]], int(of_a.number[row])
        rows.append(
            Disagreement(
                a=a,
                b=b,
                dialogue=dialogue.id,
                turn=number,
                user=dialogue.turns[number].user,
                gold=sorted(dialogue.turns[number].actions or ()),
                a_actions=_action_names(of_a, of_a.predicted, row),
                b_actions=_action_names(of_b, of_b.predicted, row),
                right=a if of_a.exact[row] else b,
            )
        )
    return rows


def _action_names(turns: ScoredTurns, pairs: Pairs, row: int) -> list[str]:
    start, end = np.searchsorted(pairs.rows, [row, row + 1])
    return sorted(turns.space.classes_[bit] for bit in pairs.bits[start:end])
