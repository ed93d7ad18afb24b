"""Arguments that name a policy: a run, a baseline of a run, or a file of predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialog_policy.baselines import load_baselines
from dialog_policy.cli.options import read_corpus
from dialog_policy.corpus import ActionSpace, Corpus, Dialogue
from dialog_policy.errors import OptionError, did_you_mean
from dialog_policy.evaluation.prediction_files import PredictionFile
from dialog_policy.prediction import Prediction, Predictor
from dialog_policy.runtime import Policy

__all__ = ["NamedPolicy", "find_policies", "read_their_corpus"]


@dataclass(frozen=True)
class NamedPolicy:
    """A policy that an argument names; it is a Predictor.

    Attributes
    ----------
    name
        For reports; no two policies of a command share one.
    source
        The run, the baseline or the file of predictions.
    policy
        The run that it is or that the baseline belongs to; None for predictions.
    """

    name: str
    source: Predictor
    policy: Policy | None = None

    @property
    def actions(self) -> ActionSpace | None:
        """The actions of the run; None for predictions."""
        return None if self.policy is None else self.policy.actions

    @property
    def predictor(self) -> Predictor:
        """What judges and predicts: the run itself, of which a judge may ask more than of others, or this object."""
        return self if self.is_baseline else self.source

    @property
    def is_baseline(self) -> bool:
        """Whether it is a baseline of a run."""
        return self.policy is not None and self.source is not self.policy

    def predict(self, dialogues: Iterable[Dialogue]) -> Iterator[Prediction]:
        """Yield a prediction for every target turn of these dialogues; from a file, those that it has."""
        return self.source.predict(dialogues)


def find_policies(arguments: Sequence[str]) -> list[NamedPolicy]:
    """Find the policies that arguments name: ``RUN``, ``RUN:BASELINE`` or ``PREDICTIONS.jsonl``.

    Raises
    ------
    OptionError
        If there is no such file or folder, or the run has no such baseline.
    RunError
        If a folder or an archive is not a run.
    """
    runs: dict[str, Policy] = {}
    return [_find(argument, name, runs) for argument, name in zip(arguments, _names(arguments), strict=True)]


def _find(argument: str, name: str, runs: dict[str, Policy]) -> NamedPolicy:
    path, baseline = _parts(argument)
    place = Path(path)
    if baseline is None and place.is_file() and place.suffix != ".zip":
        return NamedPolicy(name, PredictionFile(path))
    if not place.exists():
        raise OptionError(f"{argument!r} does not exist: expected a run or a file of predictions.")
    if path not in runs:
        runs[path] = Policy.load(path)
    run = runs[path]
    if baseline is None:
        return NamedPolicy(name, run, run)
    known = load_baselines(run.run, run.actions)
    if baseline not in known:
        listed = ", ".join(known) if known else "none, because it was exported"
        raise OptionError(f"{path} has no baseline {baseline!r}; it has: {listed}.{did_you_mean(baseline, known)}")
    return NamedPolicy(name, known[baseline], run)


def _parts(argument: str) -> tuple[str, str | None]:
    """Split ``RUN:BASELINE``; a path that exists as a whole is left whole."""
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


def read_their_corpus(path: str, policies: Sequence[NamedPolicy], format_: str | None, reader: Iterable[str]) -> Corpus:
    """Read the corpus as the first of the runs remembers it.

    Raises
    ------
    OptionError
        If another run read the same format in another way, and the user does not say which way it is to be.
    """
    runs = [(policy.name, policy.policy.info["corpus"]) for policy in policies if policy.policy is not None]
    remembered: dict[str, Any] | None = runs[0][1] if runs else None
    given = tuple(reader)
    for name, other in runs[1:]:
        if (
            remembered is not None
            and other["format"] == remembered["format"]
            and _said(other["reader"]) != _said(remembered["reader"])
        ):
            first_options, other_options = _listed(_said(remembered["reader"])), _listed(_said(other["reader"]))
            if not given:
                raise OptionError(
                    f"{runs[0][0]} was trained on a corpus read with {first_options}, {name} with {other_options}. "
                    "Use --reader KEY=VALUE to choose how this corpus is read."
                )
    return read_corpus(path, format_, given, remembered)


def _said(options: dict[str, str]) -> dict[str, str]:
    """Return the options of a reader that say something; a later version may have more of them."""
    return {name: value for name, value in options.items() if value}


def _listed(options: dict[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(options.items())) or "no options"
