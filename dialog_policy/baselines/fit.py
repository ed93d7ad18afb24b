"""Fitting the baselines on a training part.

A logistic regression over TF-IDF is itself a table of terms (its coefficients), so the encoders' apply side serves it too.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dialog_policy.baselines.baseline import Regression, previous_action_bits, weighted_terms
from dialog_policy.baselines.neighbours import fit_neighbours
from dialog_policy.baselines.storage import FittedBaselines
from dialog_policy.baselines.stored import NEVER
from dialog_policy.baselines.view import ActionSet, Part, TurnView, turn_views
from dialog_policy.corpus import ActionSpace, Corpus, Dialogue
from dialog_policy.corpus.training_part import TrainingPart
from dialog_policy.errors import require
from dialog_policy.text.counts import fit_tfidf, tfidf_matrix
from dialog_policy.text.table import FloatArray, TermTable
from dialog_policy.text.tokens import Analyzer, Tokenizer, get_tokenizer
from dialog_policy.threads import one_thread

__all__ = ["fit_baselines"]

# Bounds that keep a large corpus' baselines within a minute or two; documented in docs/evaluation.md.
_MAX_TERMS, _MAX_SETS, _MAX_TURNS = 3_000, 300, 15_000
_MAX_VIEWS = 200_000
# Bits for what the turn before did: every one costs as many coefficients as there are sets.
_MAX_PREVIOUS = 1_000
# Turns whose bits are held unpacked at a time.
_TOGETHER = 1_000
# What each regression sees; all but the first also see the actions of the turn before.
_PARTS: Mapping[str, tuple[Part, ...]] = {
    "logreg_utterance": ("user",),
    "logreg_history": ("user", "system"),
    "logreg_context": ("user", "system", "context"),
    "logreg_dialogue": ("user", "system", "context", "past"),
}
# Single words of what was said before: pairs of them add coefficients and no accuracy (bundled corpus: 79.2 and 80.4 %).
_ANALYZERS: Mapping[Part, Analyzer] = {
    "user": Analyzer("word", 1, 2),
    "system": Analyzer("word", 1, 2),
    "context": Analyzer("term"),
    "past": Analyzer("word"),
}


def fit_baselines(corpus: Corpus, space: ActionSpace, *, tokenizer: str = "default", seed: int = 0) -> FittedBaselines:
    """Fit all baselines on the training part.

    The regressions see at most 3,000 terms of each part, 1,000 actions of the turn before and 300 action sets (the most
    frequent) and 15,000 turns (drawn by seed). They and the nearest neighbours are taken from dialogues of 200,000 turns, evenly spread, if there are more.

    Parameters
    ----------
    corpus
        The training part; at least one target turn.
    space
        Its actions.
    tokenizer
        Name of the tokeniser.
    seed
        Of the draws.
    """
    tokenize = get_tokenizer(tokenizer)
    examined, gold = [], []
    counts: Counter[ActionSet] = Counter()
    follows: dict[ActionSet | None, Counter[ActionSet]] = {}
    step = -(-corpus.n_turns // _MAX_VIEWS)
    for position, dialogue in enumerate(corpus):
        if position % step == 0:
            examined.append(dialogue)
        for view, actions in turn_views(dialogue):
            if position % step == 0:
                gold.append(actions)
            counts[actions] += 1
            follows.setdefault(view.exchange.before, Counter())[actions] += 1
    sets = sorted(counts, key=lambda actions: (-counts[actions], sorted(actions)))
    after = {
        before: min(nexts, key=lambda actions: (-nexts[actions], sorted(actions))) for before, nexts in follows.items()
    }
    number = {actions: i for i, actions in enumerate(sets)}
    numbers = np.array([number[actions] for actions in gold])
    usable = np.flatnonzero(numbers < _MAX_SETS)
    if len(usable) > _MAX_TURNS:
        usable = np.sort(np.random.default_rng(seed).choice(usable, _MAX_TURNS, replace=False))
    chosen = np.zeros(len(gold), dtype=np.bool_)
    chosen[usable] = True
    # Made twice: the views of all turns take as much memory as the regressions.
    views = [view for view, is_chosen in zip(_views(examined), chosen, strict=True) if is_chosen]
    with one_thread():
        regressions = _fit_regressions(views, numbers[usable], min(_MAX_SETS, len(sets)), space, tokenize, seed)
    history = regressions["logreg_history"]
    neighbours = fit_neighbours(
        lambda exchange: weighted_terms(space, history, tokenize, exchange),
        [view.exchange for view in _views(examined)],
        numbers.tolist(),
        widths=(len(history.tables["user"].terms), len(history.tables["system"].terms), len(space) + 1),
        seed=seed,
    )
    return FittedBaselines(space, sets, after, regressions, neighbours, TrainingPart.of(corpus, tokenize), tokenizer)


def _views(dialogues: Iterable[Dialogue]) -> Iterator[TurnView]:
    return (view for dialogue in dialogues for view, _ in turn_views(dialogue))


def _fit_regressions(
    views: Sequence[TurnView],
    target: npt.NDArray[np.intp],
    n_sets: int,
    space: ActionSpace,
    tokenize: Tokenizer,
    seed: int,
) -> dict[str, Regression]:
    """Fit every regression on the same turns; `target`, shape (n_turns,), has the number of each turn's action set."""
    sparse = require("scipy.sparse", extra="train", purpose="fitting the baselines")
    tables: dict[Part, TermTable] = {}
    matrices: dict[Part, Any] = {}
    for part, analyzer in _ANALYZERS.items():
        texts = [view.terms(part, tokenize) for view in views]
        tables[part] = fit_tfidf(analyzer, texts, _MAX_TERMS)
        matrices[part] = tfidf_matrix(tables[part], texts)
    exchanges = [view.exchange for view in views]
    bits = sparse.vstack(
        [
            sparse.csr_matrix(previous_action_bits(space, exchanges[start : start + _TOGETHER]))
            for start in range(0, len(exchanges), _TOGETHER)
        ],
        format="csr",
    )
    seen = np.sort(np.argsort(-bits.getnnz(axis=0), kind="stable")[:_MAX_PREVIOUS])
    bits = bits[:, seen]
    regressions = {}
    for name, parts in _PARTS.items():
        blocks = [matrices[part] for part in parts] + ([bits] if len(parts) > 1 else [])
        weights, bias = _logistic_regression(sparse.hstack(blocks, format="csr"), target, n_sets, seed)
        *own, of_actions = np.split(weights, np.cumsum([len(tables[part].terms) for part in parts]))
        regressions[name] = Regression(
            {part: _with_rows(tables[part], rows) for part, rows in zip(parts, own, strict=True)},
            _rows_at(seen, of_actions, 1 + len(space)) if len(parts) > 1 else None,
            bias,
        )
    return regressions


def _rows_at(places: npt.NDArray[np.intp], rows: FloatArray, count: int) -> FloatArray:
    """Return `count` rows: these at their places, the others zero."""
    placed = np.zeros((count, rows.shape[1]), dtype=rows.dtype)
    placed[places] = rows
    return placed


def _with_rows(table: TermTable, rows: FloatArray) -> TermTable:
    return TermTable(
        table.analyzer,
        table.terms,
        np.ascontiguousarray(rows),
        table.weights,
        frequency=table.frequency,
        unit_length=table.unit_length,
    )


def _logistic_regression(
    matrix: Any, target: npt.NDArray[np.intp], n_sets: int, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Coefficients (n_terms, n_sets) and intercepts (n_sets,) of a multinomial logistic regression."""
    weights = np.zeros((matrix.shape[1], n_sets), dtype=np.float32)
    bias = np.full(n_sets, NEVER, dtype=np.float32)
    counts = np.bincount(target, minlength=n_sets)
    occurring = np.flatnonzero(counts)
    if len(occurring) == 1 or not matrix.shape[1]:  # nothing to tell apart, or nothing to tell it by
        bias[occurring] = np.log(counts[occurring])
        return weights, bias
    linear_model = require("sklearn.linear_model", extra="train", purpose="fitting the baselines")
    model = linear_model.LogisticRegression(C=10.0, max_iter=50, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may stop at max_iter, close to the optimum; the bound is documented
        model.fit(matrix, target)
    if len(occurring) == 2:  # scikit-learn has one column then, of the second
        bias[occurring] = 0, model.intercept_[0]
        weights[:, occurring[1]] = model.coef_[0]
    else:
        weights[:, occurring], bias[occurring] = model.coef_.T, model.intercept_
    return weights, bias
