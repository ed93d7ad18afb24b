"""What a judgement must say of a run: which one it is, and whether it has seen the dialogues before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import msgspec

from dialog_policy.baselines.storage import RunFiles
from dialog_policy.corpus import ActionSpace, Corpus, Dialogue
from dialog_policy.errors import counted
from dialog_policy.prediction import Predictor

__all__ = ["Run", "RunDescription", "coverage_warnings", "describe_run", "policy_of", "training_warnings"]


@runtime_checkable
class Run(Predictor, Protocol):
    """A Predictor that knows how it came about: a loaded run (:class:`dialog_policy.Policy`)."""

    info: Mapping[str, Any]

    @property
    def run(self) -> RunFiles:
        """Its files."""
        ...

    @property
    def actions(self) -> ActionSpace:
        """The actions of its training part."""
        ...

    @property
    def id(self) -> str:
        """SHA-256 over everything that decides how it behaves."""
        ...

    @property
    def fingerprints(self) -> Mapping[str, frozenset[str]]:
        """Part of the training (``train``, ``dev``) to the hashes of its dialogues."""
        ...

    @property
    def tokenizer(self) -> str:
        """Name of the tokeniser of its encoder."""
        ...


class RunDescription(msgspec.Struct, frozen=True, kw_only=True):
    """Which run was judged.

    Attributes
    ----------
    name
        The name of its folder or archive.
    created
        When it was trained: a date and time of ISO 8601.
    package_version
        The version of this package that trained it.
    id
        SHA-256 over everything that decides how it behaves.
    """

    name: str
    created: str
    package_version: str
    id: str


def describe_run(policy: Run) -> RunDescription:
    """Return name, date, version and id of a run."""
    return RunDescription(
        name=policy.name,
        created=policy.info["created"],
        package_version=policy.info["package_version"],
        id=policy.id,
    )


def training_warnings(predictor: object, dialogues: Iterable[Dialogue], name: str = "") -> list[str]:
    """Say so where a run or a baseline was trained or validated on dialogues that it is judged on.

    Parameters
    ----------
    predictor
        A run, or a baseline of one; of others it is not known.
    dialogues
        What it is judged on.
    name
        What the sentences call the run, where there are several.
    """
    fingerprints: Mapping[str, frozenset[str]] = getattr(predictor, "fingerprints", {})
    if not fingerprints:
        return []
    kind = "run" if isinstance(predictor, Run) else "baseline"
    judged = dialogues.fingerprints() if isinstance(dialogues, Corpus) else [d.fingerprint() for d in dialogues]
    warnings = []
    for verb, part in (("trained on", "train"), ("validated on", "dev")):
        known = fingerprints.get(part, frozenset())
        shared = sum(fingerprint in known for fingerprint in judged)
        if shared:
            subject = f"The {kind} {name}" if name else f"The {kind}"
            warnings.append(
                f"{subject} was {verb} {shared:,} of these {counted(len(judged), 'dialogue')}; "
                "results on them say nothing about new ones."
            )
    return warnings


def coverage_warnings(scored: int, part: Corpus) -> list[str]:
    """Say so where predictions leave out dialogues that have something to predict.

    Parameters
    ----------
    scored
        Number of dialogues that were predicted.
    part
        What was to be predicted.
    """
    expected = sum(targets > 0 for targets in part.targets)
    if scored == expected:
        return []
    return [
        f"The predictions cover {scored:,} of the {counted(expected, 'dialogue')} that have turns to predict; nothing "
        "is known of the others."
    ]


def policy_of(predictor: object) -> Run | None:
    """Return the run that a predictor is, or that it says it belongs to by an attribute `policy`, as baselines may."""
    policy = predictor if isinstance(predictor, Run) else getattr(predictor, "policy", None)
    return policy if isinstance(policy, Run) else None
