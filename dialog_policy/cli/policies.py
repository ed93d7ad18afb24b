"""Arguments that name a policy: a run, a baseline of a run, or a file of predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dialog_policy.baselines import load_baselines
from dialog_policy.cli.options import read_corpus
from dialog_policy.corpus import Corpus
from dialog_policy.errors import CorpusError, OptionError, did_you_mean
from dialog_policy.evaluation.prediction_files import read_predictions
from dialog_policy.prediction import Prediction
from dialog_policy.runtime import Policy

__all__ = ["Contender", "find_contenders", "read_their_corpus", "training_actions"]


class Contender(NamedTuple):
    """A policy to be compared or valued.

    Attributes
    ----------
    name
        For reports; no two contenders share one.
    run
        The run that it is or that lends the baseline; None for predictions.
    baseline
        Name of the run's baseline; None for the run itself and for predictions.
    path
        The file of predictions; the run's folder or archive.
    """

    name: str
    run: Policy | None
    baseline: str | None
    path: str

    def predictions(self, corpus: Corpus) -> Iterable[Prediction]:
        """Return its predictions for a part of a corpus, a run's without probabilities; a file's are those that it has."""
        if self.run is None:
            return read_predictions(self.path)
        if self.baseline is None:
            return self.run.predict(corpus, probabilities=False)
        return load_baselines(self.run.run, self.run.actions)[self.baseline].predict(corpus)


def find_contenders(arguments: Sequence[str]) -> list[Contender]:
    """Find the policies that arguments name: ``RUN``, ``RUN:BASELINE`` or ``PREDICTIONS.jsonl``.

    Raises
    ------
    OptionError
        If there is no such file or folder, or the run has no such baseline.
    RunError
        If a folder or an archive is no run.
    """
    runs: dict[str, Policy] = {}
    names = _names(arguments)
    return [_find(argument, name, runs) for argument, name in zip(arguments, names, strict=True)]


def _find(argument: str, name: str, runs: dict[str, Policy]) -> Contender:
    path, baseline = _parts(argument)
    place = Path(path)
    if baseline is None and place.is_file() and place.suffix != ".zip":
        return Contender(name, None, None, path)
    if not place.exists():
        raise OptionError(f"there is no run and no file of predictions {argument!r}.")
    if path not in runs:
        runs[path] = Policy.load(path)
    run = runs[path]
    if baseline is not None:
        known = tuple(load_baselines(run.run, run.actions))
        if baseline not in known:
            listed = ", ".join(known) if known else "none, as it was exported"
            raise OptionError(f"{path} has no baseline {baseline!r}; it has: {listed}.{did_you_mean(baseline, known)}")
    return Contender(name, run, baseline, path)


def _parts(argument: str) -> tuple[str, str | None]:
    """Split ``RUN:BASELINE``; a path that exists as it stands is no such thing."""
    path, colon, baseline = argument.rpartition(":")
    if Path(argument).exists() or not colon or not Path(path).exists():
        return argument, None
    return path, baseline


def _names(arguments: Sequence[str]) -> list[str]:
    """Name each policy by the last part of its path; by the whole where others have the same; and number what is still the same."""
    short = []
    for argument in arguments:
        path, baseline = _parts(argument)
        name = Path(path).resolve().name
        stem = name.removesuffix(".jsonl").removesuffix(".zip")
        short.append(stem if baseline is None else f"{stem}:{baseline}")
    counts = Counter(short)
    names = [name if counts[name] == 1 else argument for name, argument in zip(short, arguments, strict=True)]
    seen: Counter[str] = Counter()
    for i, name in enumerate(names):
        seen[name] += 1
        if seen[name] > 1:
            names[i] = f"{name} ({seen[name]})"
    return names


def read_their_corpus(path: str, contenders: Sequence[Contender], format_: str | None, reader: Iterable[str]) -> Corpus:
    """Read the corpus as the first of the runs remembers it.

    Raises
    ------
    OptionError
        If another run read the same format in another way, and the user does not say which way it is to be.
    """
    runs = [(contender.name, contender.run.info["corpus"]) for contender in contenders if contender.run is not None]
    remembered: dict[str, Any] | None = runs[0][1] if runs else None
    given = tuple(reader)
    for name, other in runs[1:]:
        if (
            remembered is not None
            and other["format"] == remembered["format"]
            and other["reader"] != remembered["reader"]
        ):
            ours, theirs = _listed(remembered["reader"]), _listed(other["reader"])
            if not given:
                raise OptionError(
                    f"{runs[0][0]} was trained on a corpus read with {ours}, {name} with {theirs}. "
                    "Say with --reader KEY=VALUE how to read it."
                )
    return read_corpus(path, format_, given, remembered)


def _listed(options: dict[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(options.items())) or "no options"


def training_actions(corpus: Corpus, contenders: Sequence[Contender]) -> list[str] | None:
    """Return the actions of the runs; without a run, those of the corpus' own train part, if it has one."""
    of_runs = {action for contender in contenders if contender.run for action in contender.run.actions.classes_}
    if of_runs:
        return sorted(of_runs)
    try:
        train = corpus.split("train")
    except CorpusError:
        return None
    return sorted({action for dialogue in train for turn in dialogue.turns for action in turn.actions or ()})
