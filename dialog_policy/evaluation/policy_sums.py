"""All that figures are computed from, added up some dialogues at a time.

Whole numbers throughout, so that sums of parts of a corpus, merged in any order, give the figures of the whole to the last digit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.corpus import Dialogue
from dialog_policy.corpus.training_part import TrainingPart
from dialog_policy.evaluation.breakdown import Breakdown, Intervals, calibration_of_bits
from dialog_policy.evaluation.calibration import BINS, Reliability, bin_of
from dialog_policy.evaluation.collect import Actions, Chunk
from dialog_policy.evaluation.evaluation import Evaluation, Metrics
from dialog_policy.evaluation.grouped_totals import GroupedTotals
from dialog_policy.evaluation.probability_scores import LEAST, TOP, ProbabilityScores, Shares, exclude_each_other
from dialog_policy.evaluation.scored_turns import Pairs, ScoredTurns, SparseProbabilities
from dialog_policy.evaluation.slices import FieldValues, SlicePlan, Slicing, slicings
from dialog_policy.evaluation.totals import UNIT, DialogueTotals, Loss, MetricSet
from dialog_policy.text.tokens import Tokenizer

__all__ = ["Plan", "PolicySums", "losses_of"]

# A loss of the probabilities where actions exclude each other, kept beside the other one until it is known whether they do.
_OF_GOLD = "log_loss_of_gold"


class Plan(NamedTuple):
    """What is known of a corpus before predictions come.

    Attributes
    ----------
    gold
        How many turns have each action.
    longest
        Turns of the longest dialogue.
    slices
        How turns are sliced.
    known_words
        The words of the training part's users, where they are known.
    tokenize
        Splits an utterance into words.
    """

    gold: Mapping[str, int]
    longest: int
    slices: SlicePlan
    known_words: Collection[str] | None
    tokenize: Tokenizer

    @classmethod
    def of(cls, dialogues: Iterable[Dialogue], training: TrainingPart | None, tokenize: Tokenizer) -> Plan:
        """Look through a corpus once."""
        gold: Counter[str] = Counter()
        fields, longest = FieldValues(), 1
        for dialogue in dialogues:
            for turn in dialogue.turns:
                gold.update(turn.actions or ())
            longest = max(longest, len(dialogue))
            if dialogue.n_targets:
                fields.add(dialogue)
        support = gold if training is None else training.support
        words = None if training is None else training.words
        return cls(gold, longest, SlicePlan(support, fields.slicings()), words, tokenize)


def losses_of(
    turns: ScoredTurns, stated: ProbabilityScores | None, *, logged: bool | None = None, listed: bool | None = None
) -> dict[str, Loss]:
    """Return the metrics of probabilities that are means over turns; none where there are no probabilities.

    Parameters
    ----------
    turns
        The scored turns.
    stated
        Their probabilities.
    logged
        Whether the probability of the gold set is to be there. None: if it is known.
    listed
        Whether its place among the most probable sets is to be there. None: if it is known.
    """
    losses: dict[str, Loss] = {}
    if stated is not None:
        of_gold, of_others = stated.log_losses()
        losses |= {"log_loss": Loss(of_gold + of_others, is_rate=False), _OF_GOLD: Loss(of_gold, is_rate=False)}
        losses |= {"brier": Loss(stated.brier(), is_rate=False)}
        losses |= {f"top_k.{k}": Loss(stated.top(k), counted=stated.has_gold) for k in TOP}
    if logged or (logged is None and turns.gold_set is not None):
        gold_set = np.ones(len(turns)) if turns.gold_set is None else turns.gold_set
        losses["set_negative_log_likelihood"] = Loss(-np.log(np.maximum(gold_set, LEAST)), is_rate=False)
    if listed or (listed is None and turns.set_rank is not None):
        rank = np.zeros(len(turns)) if turns.set_rank is None else turns.set_rank
        losses |= {f"set_top_k.{k}": Loss(rank < k) for k in TOP}
    return losses


class _Columns(NamedTuple):
    totals: DialogueTotals
    metrics: MetricSet
    parts: Breakdown | None
    stated: ProbabilityScores | None
    seen: DialogueTotals
    seen_metrics: MetricSet


class _Bins:
    """What falls into each bin of probability: how many, the sum of their probabilities in 1/UNIT, how many are right."""

    def __init__(self) -> None:
        self.sums = np.zeros((3, BINS), dtype=np.int64)

    def add(self, values: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> None:
        bins = bin_of(values)
        for row, weights in enumerate((np.ones(len(values)), np.rint(values * UNIT), right)):
            self.sums[row] += np.bincount(bins, weights, minlength=BINS).astype(np.int64)

    def reliability(self) -> Reliability:
        n, confidence, right = self.sums.astype(np.float64)
        return Reliability(n, confidence / UNIT, right)


class PolicySums:
    """The sums of one policy.

    Parameters
    ----------
    actions
        The actions; those that only predictions have are added by whoever collects these.
    plan
        What is known of the corpus.
    parts
        Whether figures of parts are wanted, too.
    """

    def __init__(self, actions: Actions, plan: Plan, *, parts: bool = True) -> None:
        self.actions, self._plan, self._wants_parts = actions, plan, parts
        self.n_turns = self.unseen_action_turns = self.left_out = 0
        # Whether there are probabilities, confidences, probabilities of the gold set, and lists of sets.
        self._has: tuple[bool, bool, bool, bool] | None = None
        self._all_logged = self._all_listed = self._may_exclude = True
        self._least, self._most = np.inf, -np.inf
        self._totals, self._seen = GroupedTotals(), GroupedTotals(groups=False)
        self._sets, self._bits, self._shares = _Bins(), _Bins(), Shares()

    def add(self, chunk: Chunk) -> None:
        """Add scored turns."""
        turns = chunk.turns
        if self._has is None:
            first = turns.probabilities, turns.confidence, turns.gold_set, turns.set_rank
            has_probabilities, has_confidence, has_logged, has_listed = (column is not None for column in first)
            self._has = has_probabilities, has_confidence, has_logged, has_listed
        columns = self._columns(turns)
        self.n_turns += len(turns)
        self.unseen_action_turns += len(np.unique(turns.gold.rows[~turns.training[turns.gold.bits]]))
        self._all_logged = self._all_logged and turns.gold_set is not None
        self._all_listed = self._all_listed and turns.set_rank is not None
        self._totals.add(columns.totals, chunk.numbers)
        self._seen.add(columns.seen, chunk.numbers)
        stated = columns.stated
        if turns.confidence is not None:
            self._sets.add(turns.confidence, turns.exact)
        if stated is not None and turns.probabilities is not None:
            self.left_out += int(stated.left_out.sum())
            self._may_exclude = self._may_exclude and stated.may_exclude
            self._least, self._most = min(self._least, stated.least), max(self._most, stated.most)
            self._bits.add(turns.probabilities.values, stated.is_gold)
            if self._wants_parts:
                self._shares.merge(stated.shares())

    def __getstate__(self) -> dict[str, object]:
        """Leave the plan behind when the sums are sent to another process, which has it."""
        return {name: value for name, value in vars(self).items() if name != "_plan"}

    def merge(self, other: PolicySums) -> None:
        """Add the sums of other dialogues."""
        bits = np.array([self.actions.bit(name) for name in other.actions.names], dtype=np.int64)
        self._has = self._has or other._has
        self.n_turns += other.n_turns
        self.unseen_action_turns += other.unseen_action_turns
        self.left_out += other.left_out
        self._all_logged = self._all_logged and other._all_logged
        self._all_listed = self._all_listed and other._all_listed
        self._may_exclude = self._may_exclude and other._may_exclude
        self._least, self._most = min(self._least, other._least), max(self._most, other._most)
        self._totals.merge(other._totals, bits)
        self._seen.merge(other._seen)
        self._sets.sums += other._sets.sums
        self._bits.sums += other._bits.sums
        self._shares.merge(other._shares, bits)

    def _columns(self, turns: ScoredTurns) -> _Columns:
        totals = DialogueTotals(turns)
        stated = None if turns.probabilities is None else ProbabilityScores(turns)
        _, _, logged, listed = self._has or (False, False, False, False)
        metrics = MetricSet(totals, turns, losses_of(turns, stated, logged=logged, listed=listed))
        parts = None
        if self._wants_parts:
            parts = Breakdown(turns, totals, metrics, longest=self._plan.longest, ways=self._ways(turns))
        over_training = turns.over(turns.training)
        seen = DialogueTotals(over_training)
        return _Columns(totals, metrics, parts, stated, seen, MetricSet(seen, over_training))

    def _ways(self, turns: ScoredTurns) -> Iterator[Slicing]:
        plan = self._plan
        return slicings(turns, plan.slices, tokenize=plan.tokenize, known_words=plan.known_words)

    def figures(self) -> Figures:
        """Return what figures are read off."""
        has_probabilities, has_confidence, has_logged, has_listed = self._has or (False, False, False, False)
        no_rows, nothing = np.zeros(0, dtype=np.int32), np.zeros(0)
        none = self.actions.turns(
            [],
            dialogue=no_rows,
            number=no_rows,
            gold=Pairs(no_rows, no_rows),
            predicted=Pairs(no_rows, no_rows),
            probabilities=SparseProbabilities(no_rows, no_rows, nothing) if has_probabilities else None,
            confidence=nothing if has_confidence else None,
            gold_set=nothing if has_logged else None,
            set_rank=nothing if has_listed else None,
        )
        columns = self._columns(none)
        self._totals.fill(columns.totals)
        self._seen.fill(columns.seen)
        exclusive = None
        if has_probabilities:
            exclusive = self._may_exclude and exclude_each_other(self._least, self._most, self.actions.n_listed)
            columns.metrics.settle("log_loss", _OF_GOLD, take_other=exclusive)
        if has_logged and not self._all_logged:
            columns.metrics.drop("set_negative_log_likelihood")
        if has_listed and not self._all_listed:
            for k in TOP:
                columns.metrics.drop(f"set_top_k.{k}")
        return Figures(columns, exclusive)

    def fill(self, evaluation: Evaluation, figures: Figures, intervals: Intervals) -> None:
        """Fill the lists of an evaluation in."""
        parts, totals = figures.columns.parts, figures.totals
        assert parts is not None
        curves = []
        if figures.exclusive is not None:
            support = totals.totals()[0][figures.columns.metrics.gold].astype(np.int64)
            curves = self._shares.curves(self.n_turns, support)
            evaluation.actions_exclude_each_other = figures.exclusive
            evaluation.gold_actions_left_out = self.left_out
            bits = self._bits.reliability()
            n_left_out = self.n_turns * self.actions.n_listed - int(bits.n.sum())
            evaluation.calibration_bits = calibration_of_bits(bits, n_left_out, self.left_out)
        evaluation.by_length = parts.by_length(totals, intervals)
        evaluation.by_turn = parts.by_turn(totals, intervals)
        evaluation.by_action = parts.by_action(totals, intervals, curves)
        evaluation.slices = parts.by_slice(totals, intervals)
        if self._has is not None and self._has[1]:
            evaluation.calibration = parts.calibration(self._sets.reliability(), intervals)


class Figures(NamedTuple):
    """Sums that are complete, with what reads figures off them."""

    columns: _Columns
    exclusive: bool | None

    @property
    def totals(self) -> DialogueTotals:
        """The sums."""
        return self.columns.totals

    @property
    def values(self) -> dict[str, float]:
        """Every metric by name."""
        return self.columns.metrics.values(self.columns.totals.totals())

    @property
    def seen(self) -> Metrics:
        """The metrics over the actions that training has."""
        return Metrics.of(self.columns.seen_metrics.values(self.columns.seen.totals()))

    def intervals(self, *, resamples: int, seed: int) -> tuple[dict[str, list[float]], Intervals]:
        """Return 95 % intervals of the metrics by name, and of the parts' figures."""
        return self.columns.totals.intervals(self.columns.metrics, resamples=resamples, seed=seed)
