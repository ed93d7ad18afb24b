"""Fitting the baselines on a training part.

A logistic regression over TF-IDF is itself a table of terms (its coefficients), so the encoders' apply side serves it too.
"""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import numpy as np

from dialog_policy.baselines.baseline import Regression, previous_action_bits, weighted_terms
from dialog_policy.baselines.neighbours import fit_neighbours
from dialog_policy.baselines.storage import FittedBaselines
from dialog_policy.baselines.view import ActionSet, turn_views
from dialog_policy.corpus import ActionSpace, Corpus
from dialog_policy.corpus.training_part import TrainingPart
from dialog_policy.errors import require
from dialog_policy.text.counts import fit_tfidf, tfidf_matrix
from dialog_policy.text.table import FloatArray, TermTable
from dialog_policy.text.tokens import Analyzer, get_tokenizer

__all__ = ["fit_baselines"]

# Bounds that keep a large corpus' baselines within minutes; documented in docs/evaluation.md.
_MAX_TERMS, _MAX_SETS, _MAX_TURNS = 3_000, 300, 20_000


def fit_baselines(corpus: Corpus, space: ActionSpace, *, tokenizer: str = "default", seed: int = 0) -> FittedBaselines:
    """Fit all baselines on the training part.

    The regressions see at most 3,000 terms a text, 300 action sets (the most frequent) and 20,000 turns (drawn by seed).
    """
    tokenize = get_tokenizer(tokenizer)
    views, gold = [], []
    follows: dict[ActionSet | None, Counter[ActionSet]] = {}
    for dialogue in corpus:
        for _, view, actions in turn_views(dialogue):
            views.append(view)
            gold.append(actions)
            follows.setdefault(view.before, Counter())[actions] += 1
    counts = Counter(gold)
    sets = sorted(counts, key=lambda actions: (-counts[actions], sorted(actions)))
    after = {
        before: min(nexts, key=lambda actions: (-nexts[actions], sorted(actions))) for before, nexts in follows.items()
    }
    number = {actions: i for i, actions in enumerate(sets[:_MAX_SETS])}
    usable = np.array([i for i, actions in enumerate(gold) if actions in number])
    if len(usable) > _MAX_TURNS:
        usable = np.sort(np.random.default_rng(seed).choice(usable, _MAX_TURNS, replace=False))
    kept = [views[i] for i in usable]
    target = np.array([number[gold[i]] for i in usable])
    users = [tokenize(view.user) for view in kept]
    systems = [tokenize(view.system) for view in kept]
    sparse = require("scipy.sparse", extra="train", purpose="fitting the baselines")
    words = Analyzer("word", 1, 2)
    user, system = fit_tfidf(words, users, _MAX_TERMS), fit_tfidf(words, systems, _MAX_TERMS)
    user_matrix = tfidf_matrix(user, users)
    bits = previous_action_bits(space, kept)
    history_matrix = sparse.hstack([user_matrix, tfidf_matrix(system, systems), sparse.csr_matrix(bits)], format="csr")
    n_sets, n_user, n_system = len(number), user_matrix.shape[1], len(system.terms)
    weights, bias = _logistic_regression(user_matrix, target, n_sets, seed)
    last = Regression({"user": _with_rows(user, weights)}, None, bias)
    weights, bias = _logistic_regression(history_matrix, target, n_sets, seed)
    history = Regression(
        {
            "user": _with_rows(user, weights[:n_user]),
            "system": _with_rows(system, weights[n_user : n_user + n_system]),
        },
        np.ascontiguousarray(weights[n_user + n_system :]),
        bias,
    )
    every = {actions: i for i, actions in enumerate(sets)}
    neighbours = fit_neighbours(
        lambda view: weighted_terms(space, history, tokenize, view),
        views,
        [every[actions] for actions in gold],
        widths=(n_user, n_system, len(space) + 1),
        seed=seed,
    )
    return FittedBaselines(
        space,
        sets,
        after,
        {"logreg_utterance": last, "logreg_history": history},
        neighbours,
        TrainingPart.of(corpus, tokenize),
        tokenizer,
    )


def _with_rows(table: TermTable, rows: FloatArray) -> TermTable:
    return TermTable(
        table.analyzer,
        table.terms,
        np.ascontiguousarray(rows),
        table.weights,
        frequency=table.frequency,
        unit_length=table.unit_length,
    )


def _logistic_regression(matrix: Any, target: Any, n_sets: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Coefficients (n_terms, n_sets) and intercepts (n_sets,) of a multinomial logistic regression."""
    weights = np.zeros((matrix.shape[1], n_sets), dtype=np.float32)
    bias = np.zeros(n_sets, dtype=np.float32)
    if n_sets == 1:
        return weights, bias
    linear_model = require("sklearn.linear_model", extra="train", purpose="fitting the baselines")
    model = linear_model.LogisticRegression(C=10.0, max_iter=50, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may stop at max_iter, close to the optimum; the bound is documented
        model.fit(matrix, target)
    if n_sets == 2:
        weights[:, 1], bias[1] = model.coef_[0], model.intercept_[0]
    else:
        weights[:], bias[:] = model.coef_.T, model.intercept_
    return weights, bias
