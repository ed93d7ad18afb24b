"""What is known of a policy once it is judged: typed, with the JSON keys as attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from dialog_policy.errors import counted, require
from dialog_policy.evaluation.json_object import frame_as_html, json_object
from dialog_policy.evaluation.mistakes import Mistakes
from dialog_policy.evaluation.provenance import RunDescription

if TYPE_CHECKING:
    import pandas

__all__ = [
    "ActionRow",
    "Calibration",
    "CalibrationBin",
    "Evaluation",
    "LengthRow",
    "Metrics",
    "Scores",
    "SliceRow",
    "TurnRow",
]

# Lower and upper end.
Interval = list[float]

# What comes first in the JSON object.
_FIRST = ("warnings", "run", "corpus", "split", "dialogues", "turns")


class Scores(msgspec.Struct, kw_only=True):
    """What every policy has, whether it states probabilities or not; all but the loss are fractions of 1.

    Attributes
    ----------
    turn_accuracy
        Share of turns whose predicted set of actions is exactly the gold set.
    dialogue_accuracy
        Share of dialogues of which every turn is right.
    micro_f1, macro_f1, weighted_f1, samples_f1
        Averages of F1 over training's and gold's actions, as scikit-learn has them with ``zero_division=0``.
    macro_f1_gold
        The macro average over the actions that occur in gold.
    precision, recall
        Micro averages.
    hamming_loss
        Share of (turn, action) pairs that are wrong.
    """

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


class Metrics(Scores, kw_only=True, omit_defaults=True):
    """Figures of one policy; what does not apply is None, and left out of the JSON object.

    Attributes
    ----------
    log_loss
        Binary cross-entropy of the stated probabilities, summed over the actions, mean over turns, in nats; where the actions
        exclude each other, −ln p of the gold one.
    brier
        Σ (p − y)² over the actions, mean over turns (Brier 1950, "Verification of forecasts expressed in terms of probability").
    set_negative_log_likelihood
        −ln of the probability that the policy gives the whole gold set (``logged`` of its predictions), at least 1e-12, mean
        over turns, in nats.
    top_k
        k to the share of turns with gold actions of which all gold actions are among the k most probable.
    set_top_k
        k to the share of turns whose whole gold set is among the k most probable sets (``sets`` of its predictions).
    ci95
        Metric to its 95 % confidence interval.
    """

    log_loss: float | None = None
    brier: float | None = None
    set_negative_log_likelihood: float | None = None
    top_k: dict[str, float] | None = None
    set_top_k: dict[str, float] | None = None
    ci95: dict[str, Interval] | None = None

    @classmethod
    def of(cls, values: dict[str, float], **more: Any) -> Metrics:
        """Make metrics from values by name, in which ``a.b`` stands for ``b`` in ``a``."""
        return cls(**nested(values), **more)


def nested(values: dict[str, float]) -> dict[str, Any]:
    """Put ``a.b`` under ``b`` in ``a``."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        group, dot, key = name.partition(".")
        if dot:
            result.setdefault(group, {})[key] = value
        else:
            result[name] = value
    return result


class LengthRow(msgspec.Struct, kw_only=True, omit_defaults=True, rename={"from_": "from"}):
    """Dialogues with `from_` to `to` target turns (None: or more); `small` marks fewer than 30 turns."""

    length: str
    from_: int
    to: int | None
    dialogues: int
    turns: int
    turn_accuracy: float
    dialogue_accuracy: float
    small: bool = False
    ci95: Interval | None = None


class TurnRow(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Turns with this number in their dialogue, from 0; `small` marks fewer than 30."""

    turn: int
    turns: int
    turn_accuracy: float
    small: bool = False
    ci95: Interval | None = None


class ActionRow(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One action: how many turns have it in gold (`support`) and in the prediction, and how good that is.

    `precision_recall` has points (recall, precision) by rising recall; `ci95` is of F1.
    """

    action: str
    support: int
    predicted: int
    precision: float
    recall: float
    f1: float
    average_precision: float | None = None
    precision_recall: list[list[float]] | None = None
    ci95: Interval | None = None


class SliceRow(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The turns whose `field` has this value; `small` marks fewer than 30."""

    field: str
    value: str
    dialogues: int
    turns: int
    turn_accuracy: float
    micro_f1: float
    ci95: dict[str, Interval]
    small: bool = False


class CalibrationBin(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What was stated with a probability over `low`, up to `high`: the mean probability, and the share that is right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float
    ci95: Interval | None = None


class Calibration(msgspec.Struct, kw_only=True):
    """Stated probabilities against how often they come true, `of` sets or of actions; `ece`: expected calibration error."""

    of: str
    ece: float
    bins: list[CalibrationBin]


class Evaluation(Metrics, kw_only=True, omit_defaults=True):
    """A judged policy: what :func:`~dialog_policy.evaluation.evaluate` returns.

    Attributes
    ----------
    warnings
        Sentences to be read before the figures.
    run
        Which run it is; None for other policies.
    corpus, split
        What it was judged on.
    dialogues, turns
        How many dialogues and target turns were scored.
    seen
        The metrics over the actions that training has.
    unseen_action_turns
        Turns with a gold action that training lacks.
    gold_actions_left_out
        Number of gold actions without a probability.
    actions_exclude_each_other
        Whether exactly one action is taken in every turn.
    response_accuracy
        For corpora whose replies are templates: share of turns whose reply equals the gold one except for white space.
    baselines
        Name to the metrics of a simple policy on the same turns.
    by_length, by_turn, by_action, slices
        The same figures for parts.
    calibration, calibration_bits
        Calibration of the confidence in predicted sets, and of the probabilities of single actions.
    mode
        ``"teacher-forced"`` or ``"free-running"``.
    policy
        The run's id.
    folds
        Number of folds, after cross-validation.
    mistakes
        Where it goes wrong.
    """

    warnings: list[str]
    run: RunDescription | None = None
    corpus: str
    split: str
    dialogues: int
    turns: int
    unseen_action_turns: int
    seen: Metrics
    actions_exclude_each_other: bool | None = None
    gold_actions_left_out: int | None = None
    response_accuracy: float | None = None
    baselines: dict[str, Metrics]
    by_length: list[LengthRow]
    by_turn: list[TurnRow]
    by_action: list[ActionRow]
    slices: list[SliceRow]
    calibration: Calibration | None = None
    calibration_bits: Calibration | None = None
    mode: str | None = None
    policy: str | None = None
    folds: int | None = None
    mistakes: Mistakes | None = None

    def __repr__(self) -> str:
        place = f"{self.corpus!r}, split {self.split}"
        return f"<Evaluation on {place}: {counted(self.turns, 'turn')}, turn accuracy {self.turn_accuracy:.3f}>"

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of ``evaluate`` and ``score``: docs/evaluation.md describes every key."""
        fields = json_object(self)
        return {key: fields.pop(key) for key in _FIRST if key in fields} | fields

    def to_frame(self) -> pandas.DataFrame:
        """Return a pandas DataFrame: a row for this policy and for each baseline, a column for each metric.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        library = require("pandas", extra="train", purpose="Evaluation.to_frame()")
        rows = {"this policy": self, **self.baselines}
        figures = [_flat({name: getattr(row, name) for name in _METRICS}) for row in rows.values()]
        frame: pandas.DataFrame = library.DataFrame(figures, index=library.Index(list(rows), name="policy"))
        return frame

    _repr_html_ = frame_as_html


_METRICS = tuple(name for name in Metrics.__struct_fields__ if name != "ci95")


def _flat(metrics: dict[str, Any]) -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, dict):
            flat.update({f"{name}.{key}": inner for key, inner in value.items()})
        elif value is not None:
            flat[name] = value
    return flat
