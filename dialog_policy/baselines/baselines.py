"""What a policy must beat: simple policies fitted on the same training part.

They are policies like any other: they choose one of the action sets seen in training, and yield predictions. A logistic
regression over TF-IDF is itself a table of terms (its coefficients), so the encoders' apply side serves it too.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.baselines.neighbours import Neighbours, fit_neighbours
from dialog_policy.corpus import ActionSpace, Corpus, Dialogue
from dialog_policy.corpus.training_part import TrainingPart
from dialog_policy.errors import require
from dialog_policy.prediction import Prediction
from dialog_policy.text.counts import fit_tfidf, tfidf_matrix
from dialog_policy.text.table import Analyzer, FloatArray, TermTable
from dialog_policy.text.tokens import Tokenizer, get_tokenizer

__all__ = ["Baselines", "fit_baselines"]

ActionSet = frozenset[str]

# Bounds that keep a large corpus' baselines within minutes; documented in docs/evaluation.md.
_MAX_TERMS, _MAX_SETS, _MAX_TURNS = 3_000, 300, 20_000


class _View(NamedTuple):
    """What a baseline may look at in one turn."""

    user: str
    system: str
    before: ActionSet | None
    is_first: bool


def _views(dialogue: Dialogue) -> Iterator[tuple[int, _View, ActionSet]]:
    """Target turns with their number, what may be looked at, and the gold set."""
    before: ActionSet | None = None
    said = ""
    for number, turn in enumerate(dialogue.turns):
        if turn.actions is not None:
            yield number, _View(turn.user, said, before, number == 0), turn.actions
        before, said = turn.actions, turn.system


class _Regression(NamedTuple):
    """Logistic regression: logits of the action sets are sums of table rows."""

    user: TermTable
    system: TermTable | None
    actions: FloatArray | None
    bias: FloatArray


class Baselines:
    """The baselines of a run.

    Parameters
    ----------
    space
        The actions.
    sets
        The action sets that the baselines choose among, the most frequent first.
    after
        The most frequent set after each previous set, as (previous set, set); None stands for a first turn or an unannotated
        one.
    regressions
        Name to fitted regression.
    neighbours
        The training turns that the nearest one is looked for among.
    training
        What is known of the training part.
    tokenizer
        Name of the tokeniser.
    """

    def __init__(
        self,
        space: ActionSpace,
        sets: Sequence[ActionSet],
        after: Mapping[ActionSet | None, ActionSet],
        regressions: Mapping[str, _Regression],
        neighbours: Neighbours,
        training: TrainingPart,
        tokenizer: str,
    ) -> None:
        self.space, self.sets, self.after = space, list(sets), dict(after)
        self.regressions, self.neighbours, self.training = dict(regressions), neighbours, training
        self.tokenizer, self._tokenize = tokenizer, get_tokenizer(tokenizer)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the baselines, the simplest first."""
        return ("majority", "bigram", "nearest_neighbour", *self.regressions)

    def predict(self, name: str, dialogues: Iterable[Dialogue]) -> Iterator[Prediction]:
        """Predict the target turns of dialogues with the true history, by the baseline of this name."""
        for dialogue in dialogues:
            turns = list(_views(dialogue))
            if not turns:
                continue
            views = [view for _, view, _ in turns]
            if name == "majority":
                chosen = [self.sets[0]] * len(views)
            elif name == "bigram":
                chosen = [self.after.get(view.before, self.sets[0]) for view in views]
            elif name == "nearest_neighbour":
                chosen = [self.sets[self._nearest(view)] for view in views]
            else:
                chosen = self._regress(self.regressions[name], views)
            for (number, _, _), actions in zip(turns, chosen, strict=True):
                yield Prediction(dialogue=dialogue.id, turn=number, actions=actions)

    def _regress(self, regression: _Regression, views: Sequence[_View]) -> list[ActionSet]:
        logits = regression.bias + regression.user.encode([self._tokenize(view.user) for view in views])
        if regression.system is not None:
            logits += regression.system.encode([self._tokenize(view.system) for view in views])
        if regression.actions is not None:
            logits += _action_bits(self.space, views) @ regression.actions
        return [self.sets[best] for best in logits.argmax(axis=1)]

    def _nearest(self, view: _View) -> int:
        history = self.regressions["logreg_history"]
        return self.neighbours.nearest(_weighted_terms(self.space, history, self._tokenize, view))

    def to_parts(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return what a run folder stores: a JSON object and named arrays."""
        described: dict[str, Any] = {
            "tokenizer": self.tokenizer,
            "sets": [sorted(actions) for actions in self.sets],
            "after": [[None if k is None else sorted(k), sorted(v)] for k, v in self.after.items()],
            "support": dict(self.training.support),
            "words": sorted(self.training.words),
            "regressions": {},
        }
        arrays = {f"nearest_neighbour.{part}": array for part, array in self.neighbours.to_arrays().items()}
        for name, regression in self.regressions.items():
            described["regressions"][name] = {}
            arrays[f"{name}.bias"] = regression.bias
            if regression.actions is not None:
                arrays[f"{name}.actions"] = regression.actions
            for field in ("user", "system"):
                table: TermTable | None = getattr(regression, field)
                if table is not None:
                    described["regressions"][name][field], own = table.to_parts()
                    arrays.update({f"{name}.{field}.{part}": array for part, array in own.items()})
        return described, arrays

    @classmethod
    def from_parts(
        cls, described: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]], space: ActionSpace
    ) -> Baselines:
        """Undo :meth:`to_parts`."""
        regressions = {}
        for name, tables in described["regressions"].items():
            loaded: dict[str, TermTable] = {}
            for field, description in tables.items():
                prefix = f"{name}.{field}."
                own = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
                loaded[field] = TermTable.from_parts(description, own)
            regressions[name] = _Regression(
                loaded["user"], loaded.get("system"), arrays.get(f"{name}.actions"), arrays[f"{name}.bias"]
            )
        sets = [frozenset(actions) for actions in described["sets"]]
        after = {None if k is None else frozenset(k): frozenset(v) for k, v in described["after"]}
        prefix = "nearest_neighbour."
        neighbours = Neighbours.from_arrays(
            {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
        )
        training = TrainingPart(described["support"], frozenset(described["words"]))
        return cls(space, sets, after, regressions, neighbours, training, described["tokenizer"])


def _weighted_terms(
    space: ActionSpace, history: _Regression, tokenize: Tokenizer, view: _View
) -> list[tuple[npt.NDArray[np.intp], FloatArray]]:
    """Return what is compared of two turns: words of the user, of the system before, the actions before; each of length 1."""
    assert history.system is not None
    bits = np.array([0] if view.is_first else [bit + 1 for bit in space.bits(view.before)], dtype=np.intp)
    weights = np.full(len(bits), 1 / np.sqrt(max(1, len(bits))), dtype=np.float32)
    return [
        history.user.weighted_rows(tokenize(view.user)),
        history.system.weighted_rows(tokenize(view.system)),
        (bits, weights),
    ]


def _action_bits(space: ActionSpace, views: Sequence[_View]) -> FloatArray:
    first = np.array([[view.is_first] for view in views], dtype=np.float32).reshape(len(views), 1)
    return np.concatenate([first, space.transform([view.before for view in views])], axis=1)


def fit_baselines(corpus: Corpus, space: ActionSpace, *, tokenizer: str = "default", seed: int = 0) -> Baselines:
    """Fit all baselines on the training part.

    The regressions see at most 3,000 terms a text, 300 action sets (the most frequent) and 20,000 turns (drawn by seed).
    """
    tokenize = get_tokenizer(tokenizer)
    views, gold = [], []
    follows: dict[ActionSet | None, Counter[ActionSet]] = {}
    for dialogue in corpus:
        for _, view, actions in _views(dialogue):
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
    bits = _action_bits(space, kept)
    history_matrix = sparse.hstack([user_matrix, tfidf_matrix(system, systems), sparse.csr_matrix(bits)], format="csr")
    n_sets, n_user, n_system = len(number), user_matrix.shape[1], len(system.terms)
    weights, bias = _logistic_regression(user_matrix, target, n_sets, seed)
    last = _Regression(_with_rows(user, weights), None, None, bias)
    weights, bias = _logistic_regression(history_matrix, target, n_sets, seed)
    history = _Regression(
        _with_rows(user, weights[:n_user]),
        _with_rows(system, weights[n_user : n_user + n_system]),
        np.ascontiguousarray(weights[n_user + n_system :]),
        bias,
    )
    every = {actions: i for i, actions in enumerate(sets)}
    neighbours = fit_neighbours(
        lambda view: _weighted_terms(space, history, tokenize, view),
        views,
        [every[actions] for actions in gold],
        widths=(n_user, n_system, len(space) + 1),
        seed=seed,
    )
    return Baselines(
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
