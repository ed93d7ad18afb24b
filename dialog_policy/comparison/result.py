"""What a comparison of policies finds, typed; the JSON object of ``compare`` is its edge."""

from __future__ import annotations

from typing import Any

import msgspec

from dialog_policy.errors import require
from dialog_policy.evaluation.json_object import frame_as_html, json_object
from dialog_policy.evaluation.provenance import RunDescription

__all__ = ["ComparedPolicy", "Comparison", "DialogueSuccess", "Disagreement", "PolicyDifference"]

Interval = tuple[float, float]


class ComparedPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """One policy's metrics, each a fraction of 1, and their 95 % intervals by metric.

    Attributes
    ----------
    name
        What the result calls the policy.
    run
        Which run it is, or which run the baseline belongs to; absent for other predictors.
    """

    name: str
    run: RunDescription | msgspec.UnsetType = msgspec.UNSET
    turn_accuracy: float
    dialogue_accuracy: float
    micro_f1: float
    macro_f1: float
    macro_f1_gold: float
    weighted_f1: float
    samples_f1: float
    precision: float
    recall: float
    hamming_loss: float
    ci95: dict[str, Interval]


class PolicyDifference(msgspec.Struct, frozen=True, kw_only=True):
    """How much a metric of policy `a` differs from that of `b`, and whether that may be chance.

    Attributes
    ----------
    difference, ci95
        a − b, and its 95 % interval.
    p_bootstrap, p_randomisation, p_holm, p_mcnemar
        Two-sided p values: shifted bootstrap, approximate randomisation, the latter with Holm's correction over the pairs, exact
        McNemar test (of `dialogue_accuracy` only, else None).
    effect_size
        Cohen's d for pairs; None where nothing varies.
    dialogues_better, dialogues_worse, dialogues_equal
        Dialogues in which `a` gets more, fewer or as many turns right.
    """

    a: str
    b: str
    metric: str
    difference: float
    ci95: Interval
    p_bootstrap: float
    p_randomisation: float
    p_holm: float
    p_mcnemar: float | None
    effect_size: float | None
    dialogues_better: int
    dialogues_worse: int
    dialogues_equal: int


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


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
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
        One for each training of a learning curve; absent where no curve was computed.
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
    curve: list[dict[str, Any]] | msgspec.UnsetType = msgspec.UNSET

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of ``compare``."""
        return json_object(self)

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
            row["lower"], row["upper"] = row.pop("ci95")
            rows.append(row)
        return pandas.DataFrame(rows).set_index(["a", "b", "metric"])

    _repr_html_ = frame_as_html
