"""Baselines in a run: ``baselines.json`` and ``baselines.safetensors``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt

from dialog_policy.baselines.baseline import (
    Baseline,
    BigramBaseline,
    LogisticRegressionBaseline,
    MajorityBaseline,
    NearestNeighbourBaseline,
    Regression,
)
from dialog_policy.baselines.neighbours import Neighbours
from dialog_policy.baselines.stored import StoredBaselines, check_neighbours, check_regression, stored_baselines
from dialog_policy.baselines.view import ActionSet
from dialog_policy.corpus import ActionSpace
from dialog_policy.corpus.training_part import TrainingPart
from dialog_policy.text.table import TermTable
from dialog_policy.text.tokens import get_tokenizer

__all__ = ["DOCUMENT", "FittedBaselines", "RunFiles", "load_baselines", "load_training_part"]

DOCUMENT = "baselines.json"
ARRAYS = "baselines.safetensors"

_NEIGHBOURS = "nearest_neighbour."


class RunFiles(Protocol):
    """The part of a run's reader (``Policy.run``) that is needed here."""

    def has(self, name: str) -> bool:
        """Whether the run has this file."""

    def document(self, name: str) -> Any:
        """Return a JSON document."""

    def arrays(self, name: str) -> dict[str, Any]:
        """Return named arrays."""

    def contents(self, name: str) -> AbstractContextManager[None]:
        """Turn what is wrong with a file's contents into the run's error."""


@dataclass(frozen=True)
class FittedBaselines:
    """What was learnt from a training part.

    Attributes
    ----------
    actions
        The actions.
    sets
        The action sets that the baselines choose among, the most frequent first.
    after
        The most frequent set after each previous set; None stands for a first turn or an unannotated one.
    regressions
        Name to fitted regression.
    neighbours
        The training turns that the nearest one is looked for among.
    training
        What is known of the training part.
    tokenizer
        Name of the tokeniser.
    """

    actions: ActionSpace
    sets: Sequence[ActionSet]
    after: Mapping[ActionSet | None, ActionSet]
    regressions: Mapping[str, Regression]
    neighbours: Neighbours
    training: TrainingPart
    tokenizer: str

    def predictors(self) -> dict[str, Baseline]:
        """Return the baselines by name, the simplest first."""
        tokenize = get_tokenizer(self.tokenizer)
        baselines: list[Baseline] = [
            MajorityBaseline(self.actions, self.sets[0]),
            BigramBaseline(self.actions, self.after, self.sets[0]),
            NearestNeighbourBaseline(
                self.actions, self.sets, self.neighbours, self.regressions["logreg_history"], tokenize
            ),
            *(
                LogisticRegressionBaseline(name, self.actions, self.sets, regression, tokenize)
                for name, regression in self.regressions.items()
            ),
        ]
        return {baseline.name: baseline for baseline in baselines}

    def to_parts(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return what a run stores: a JSON object and named arrays."""
        described: dict[str, Any] = {
            "tokenizer": self.tokenizer,
            "sets": [sorted(actions) for actions in self.sets],
            "after": [[None if k is None else sorted(k), sorted(v)] for k, v in self.after.items()],
            "support": dict(self.training.support),
            "words": sorted(self.training.words),
            "regressions": {},
        }
        arrays = {_NEIGHBOURS + part: array for part, array in self.neighbours.to_arrays().items()}
        for name, regression in self.regressions.items():
            described["regressions"][name] = {}
            arrays[f"{name}.bias"] = regression.bias
            if regression.actions is not None:
                arrays[f"{name}.actions"] = regression.actions
            for part, table in regression.tables.items():
                described["regressions"][name][part], own = table.to_parts()
                arrays.update({f"{name}.{part}.{key}": array for key, array in own.items()})
        return described, arrays

    @classmethod
    def from_parts(
        cls, described: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]], actions: ActionSpace
    ) -> FittedBaselines:
        """Undo :meth:`to_parts`.

        Raises
        ------
        ValueError
            If the parts do not fit together.
        """
        stored = stored_baselines(described)
        n_sets = len(stored.sets)
        regressions = {}
        for name, tables in stored.regressions.items():
            loaded = {
                part: TermTable.from_parts(table, _under(f"{name}.{part}.", arrays)) for part, table in tables.items()
            }
            regressions[name] = Regression(loaded, arrays.get(f"{name}.actions"), arrays[f"{name}.bias"])
            check_regression(name, *regressions[name], n_sets=n_sets, space=actions)
        history = regressions["logreg_history"].tables
        neighbours = _under(_NEIGHBOURS, arrays)
        widths = len(history["user"].terms), len(history["system"].terms), len(actions) + 1
        check_neighbours(neighbours, widths, n_sets=n_sets)
        return cls(
            actions,
            [frozenset(names) for names in stored.sets],
            {None if k is None else frozenset(k): frozenset(v) for k, v in stored.after},
            regressions,
            Neighbours.from_arrays(neighbours),
            _training_part(stored),
            stored.tokenizer,
        )


def _under(prefix: str, arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}


def _training_part(stored: StoredBaselines) -> TrainingPart:
    return TrainingPart(stored.support, frozenset(stored.words))


def load_baselines(run: RunFiles, actions: ActionSpace) -> dict[str, Baseline]:
    """Load the baselines that were fitted on a run's training part, by name.

    Parameters
    ----------
    run
        A run's files: ``Policy.run``.
    actions
        The run's actions: ``Policy.actions``.

    Returns
    -------
    dict
        The simplest first; empty for a run that was exported without them.

    Raises
    ------
    RunError
        If a file is damaged or was changed.
    """
    if not run.has(DOCUMENT):
        return {}
    described, arrays = run.document(DOCUMENT), run.arrays(ARRAYS)
    with run.contents(DOCUMENT):
        baselines = FittedBaselines.from_parts(described, arrays, actions).predictors()
    fingerprints = {"train": frozenset(run.document("dialogues.json")["train"])}
    for baseline in baselines.values():
        baseline.fingerprints = fingerprints
    return baselines


def load_training_part(run: RunFiles) -> TrainingPart | None:
    """Load what a run knows of its training part; None for a run that was exported without it."""
    if not run.has(DOCUMENT):
        return None
    with run.contents(DOCUMENT):
        return _training_part(stored_baselines(run.document(DOCUMENT)))
