"""The report of one policy: every figure, with its interval, of everything and of parts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np

from dialog_policy.corpus import Corpus
from dialog_policy.evaluation.breakdown import Breakdown
from dialog_policy.evaluation.intervals import RESAMPLES
from dialog_policy.evaluation.probabilities import TOP, Probabilities
from dialog_policy.evaluation.slices import slicings
from dialog_policy.evaluation.sums import SCALARS, Headline, Loss, Sums
from dialog_policy.evaluation.turns import Turns, collect_turns
from dialog_policy.prediction import Prediction
from dialog_policy.text.tokens import get_tokenizer

__all__ = ["SCALARS", "losses_of", "score_predictions"]


def score_predictions(
    predictions: Iterable[Prediction],
    corpus: Corpus,
    *,
    known_actions: Iterable[str] | None = None,
    known_words: Collection[str] | None = None,
    support: Mapping[str, int] | None = None,
    tokenizer: str = "default",
    split: str = "all",
    baselines: Mapping[str, Iterable[Prediction]] | None = None,
    replies: Mapping[tuple[str, int], str] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Score predictions against the corpus they belong to.

    Parameters
    ----------
    predictions
        One for each target turn of the dialogues they mention. They are taken one by one and not kept.
    corpus
        The gold dialogues.
    known_actions
        The actions of the training part. F1 averages run over these and the gold actions; a gold action that is not among
        them is a false negative, makes its turn wrong, and its turn counts in ``unseen_action_turns``. None: the gold and
        the predicted actions.
    known_words
        The words of the training part's users, for the slices by unknown words.
    support
        How often each action occurs in the training part, for the slices by it. None: in the scored turns.
    tokenizer
        Name of the tokeniser that makes words of utterances.
    split
        The name of the part, for the report.
    baselines
        Name to the predictions of other policies for the same turns, or more.
    replies
        (dialogue, turn) to what the policy would have said, where replies are to be scored too.
    resamples
        Bootstrap resamples of dialogues for the intervals; 0: none.
    seed
        Of the bootstrap.

    Returns
    -------
    dict
        The JSON object of ``evaluate`` and ``score``: docs/evaluation.md describes every key.

    Raises
    ------
    CorpusError
        If predictions (or those of a baseline) and corpus do not belong together.
    """
    known = None if known_actions is None else tuple(known_actions)
    turns = collect_turns(predictions, corpus, known_actions=known)
    sums = Sums(turns)
    told = None if turns.shares is None else Probabilities(turns)
    headline = Headline(sums, turns, losses_of(told))
    unseen = np.bincount(turns.gold.rows[~turns.training[turns.gold.bits]])
    result: dict[str, Any] = {
        "corpus": corpus.name,
        "split": split,
        "dialogues": len(turns.dialogues),
        "turns": len(turns),
        **_nested(headline.values(sums.totals())),
        "unseen_action_turns": int(np.count_nonzero(unseen)),
        "seen": _scalars(turns.over(turns.training)),
    }
    if told is not None:
        result["actions_exclude_each_other"] = told.exclusive
        result["gold_actions_left_out"] = int(told.left_out.sum())
    if replies is not None:
        result["response_accuracy"] = _reply_accuracy(turns, replies)
    result["baselines"] = {}
    scored = corpus.with_dialogues(turns.dialogues) if baselines else corpus
    for name, theirs in (baselines or {}).items():
        mine = (p for p in theirs if p.dialogue in scored.ids or p.dialogue not in corpus.ids)
        others = collect_turns(mine, scored, known_actions=known, everything=True, by=f"the baseline {name!r}")
        result["baselines"][name] = _of_baseline(others, resamples, seed)
    parts = Breakdown(turns, sums, headline)
    result["by_length"] = parts.by_length()
    result["by_turn"] = parts.by_turn()
    result["by_action"] = parts.by_action(told)
    ways = slicings(turns, tokenize=get_tokenizer(tokenizer), known_words=known_words, support=support)
    result["slices"] = parts.by_slice(ways)
    if turns.confidence is not None:
        result["calibration"] = parts.calibration(turns.confidence)
    if told is not None:
        result["calibration_bits"] = parts.calibration_of_bits(told)
    result["ci95"] = {}
    if resamples:
        result["ci95"], intervals = sums.intervals(headline, resamples=resamples, seed=seed)
        parts.fill(intervals)
    return result


def losses_of(told: Probabilities | None) -> dict[str, Loss]:
    """Return the metrics of probabilities that are means over turns; none where there are no probabilities."""
    if told is None:
        return {}
    losses = {"log_loss": Loss(told.log_loss(), is_rate=False), "brier": Loss(told.brier(), is_rate=False)}
    losses |= {f"top_k.{k}": Loss(told.top(k), counted=told.has_gold) for k in TOP}
    return losses


def _nested(values: dict[str, float]) -> dict[str, Any]:
    """Put ``a.b`` under ``b`` in ``a``."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        group, dot, key = name.partition(".")
        if dot:
            nested.setdefault(group, {})[key] = value
        else:
            nested[name] = value
    return nested


def _scalars(turns: Turns) -> dict[str, Any]:
    sums = Sums(turns)
    headline = Headline(sums, turns)
    return headline.values(sums.totals())


def _of_baseline(turns: Turns, resamples: int, seed: int) -> dict[str, Any]:
    sums = Sums(turns)
    headline = Headline(sums, turns, losses_of(None if turns.shares is None else Probabilities(turns)))
    found = _nested(headline.values(sums.totals()))
    if resamples:
        found["ci95"], _ = sums.intervals(headline, resamples=resamples, seed=seed)
    return found


def _reply_accuracy(turns: Turns, replies: Mapping[tuple[str, int], str]) -> float:
    """Share of target turns whose reply is the gold one, but for white space."""
    places = zip(turns.dialogue.tolist(), turns.number.tolist(), strict=True)
    right = [
        replies.get((turns.dialogues[d].id, number), "").split() == turns.dialogues[d].turns[number].system.split()
        for d, number in places
    ]
    return float(np.mean(right))
