"""What a comparison of policies finds, typed; the JSON object of ``compare`` is its edge."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from dialog_policy.errors import counted, require
from dialog_policy.evaluation.evaluation import Scores
from dialog_policy.evaluation.intervals import Interval
from dialog_policy.evaluation.json_object import frame_as_html, json_object
from dialog_policy.evaluation.provenance import RunDescription

__all__ = [
    "ComparedPolicy",
    "Comparison",
    "CurvePoint",
    "CurveStep",
    "DialogueSuccess",
    "Disagreement",
    "PolicyDifference",
    "curve_steps",
]

SIGNIFICANT = 0.05


class ComparedPolicy(Scores, kw_only=True, omit_defaults=True):
    """One policy's metrics, and their 95 % intervals by metric; None where nothing can be said.

    Attributes
    ----------
    name
        What the result calls the policy.
    run
        Which run it is, or which run the baseline belongs to; None for other predictors.
    """

    name: str
    run: RunDescription | None = None
    ci95: dict[str, Interval | None]


class PolicyDifference(msgspec.Struct, frozen=True, kw_only=True):
    """How much a metric of policy `a` differs from that of `b`, and whether that may be chance.

    Attributes
    ----------
    difference, ci95
        a − b, and its 95 % interval; None where nothing can be said, as of a single dialogue.
    p_bootstrap, p_randomisation, p_holm, p_mcnemar
        Two-sided p values: shifted bootstrap, approximate randomisation, the latter with Holm's correction over the pairs, exact
        McNemar test (of `dialogue_accuracy` only, else None).
    effect_size
        Cohen's d for pairs; None where nothing varies.
    dialogues_better, dialogues_worse, dialogues_equal
        Dialogues in which `a` predicts more, fewer or as many turns correctly as `b`.
    """

    a: str
    b: str
    metric: str
    difference: float
    ci95: Interval | None
    p_bootstrap: float
    p_randomisation: float
    p_holm: float
    p_mcnemar: float | None
    effect_size: float | None
    dialogues_better: int
    dialogues_worse: int
    dialogues_equal: int

    @property
    def is_significant(self) -> bool:
        """Whether p after Holm's correction is below 0.05."""
        return self.p_holm < SIGNIFICANT


class DialogueSuccess(msgspec.Struct, frozen=True, kw_only=True):
    """Dialogues with every turn right: ids of those of one policy only, counts of both and neither, exact McNemar p."""

    a: str
    b: str
    both: int
    neither: int
    a_only: list[str]
    b_only: list[str]
    p: float
    p_holm: float


class Disagreement(msgspec.Struct, frozen=True, kw_only=True):
    """A turn that one policy of a pair gets right and the other wrong."""

    a: str
    b: str
    dialogue: str
    turn: int
    user: str
    gold: list[str]
    a_actions: list[str]
    b_actions: list[str]
    right: str

    @property
    def predicted(self) -> list[str]:
        """The wrong policy's actions."""
        return self.b_actions if self.right == self.a else self.a_actions


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """One training of a learning curve: on which share of the training part, and what it reached.

    Attributes
    ----------
    policy
        Whose settings were trained.
    share, dialogues, turns
        The share of the training part, and how many dialogues and target turns it has.
    seed, turn_accuracy
        Which of the trainings with this share, and its turn accuracy.
    """

    policy: str
    share: float
    dialogues: int
    turns: int
    seed: int
    turn_accuracy: float


class CurveStep(NamedTuple):
    """What the trainings of one policy with one share reached: mean, lowest and highest turn accuracy over the seeds."""

    policy: str
    share: float
    dialogues: int
    mean: float
    lowest: float
    highest: float
    seeds: int


def curve_steps(points: Iterable[CurvePoint]) -> list[CurveStep]:
    """Return the steps of a learning curve, policy by policy in the order of the points."""
    grouped: dict[tuple[str, float], list[CurvePoint]] = {}
    for point in points:
        grouped.setdefault((point.policy, point.share), []).append(point)
    steps = []
    for (policy, share), same in grouped.items():
        values = [point.turn_accuracy for point in same]
        mean = sum(values) / len(values)
        steps.append(CurveStep(policy, share, same[0].dialogues, mean, min(values), max(values), len(values)))
    return steps


class Comparison(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Several policies on the same turns.

    Attributes
    ----------
    corpus, split, dialogues, turns
        What they were compared on.
    metrics, resamples
        By what, and with how many resamples.
    warnings
        Sentences that come first in every output, such as that a run was trained on these dialogues.
    policies
        Each policy's metrics.
    pairs
        One for each pair of policies and metric.
    mcnemar
        One for each pair.
    disagreements
        Every turn that one policy of a pair gets right and the other wrong, in the order of pairs and of the corpus.
    curve
        One for each training of a learning curve; None where no curve was computed.
    """

    corpus: str
    split: str
    dialogues: int
    turns: int
    metrics: list[str]
    resamples: int
    warnings: list[str]
    policies: list[ComparedPolicy]
    pairs: list[PolicyDifference]
    mcnemar: list[DialogueSuccess]
    disagreements: list[Disagreement]
    curve: list[CurvePoint] | None = None

    def __repr__(self) -> str:
        names = ", ".join(policy.name for policy in self.policies)
        return f"<Comparison of {names} on {self.corpus!r}, split {self.split}: {counted(self.turns, 'turn')}>"

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of ``compare``."""
        fields = json_object(self)
        for row in fields["policies"]:
            figures = {key: row.pop(key) for key in (*Scores.__struct_fields__, "ci95")}
            row |= figures
        return fields

    def to_frame(self) -> Any:
        """Return the differences as a pandas DataFrame: a row for each pair and metric.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        pandas = require("pandas", extra="train", purpose="a table of differences")
        rows = []
        for pair in self.pairs:
            row = msgspec.structs.asdict(pair)
            row["lower"], row["upper"] = row.pop("ci95") or (None, None)
            rows.append(row)
        return pandas.DataFrame(rows).set_index(["a", "b", "metric"])

    _repr_html_ = frame_as_html
