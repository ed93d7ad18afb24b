"""Judging a part of the dialogues, here or in another process: sums, of which those of all parts give the figures of the whole."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

import numpy as np

from dialog_policy.baselines import load_baselines
from dialog_policy.corpus import Corpus
from dialog_policy.evaluation.collect import Actions, Collector
from dialog_policy.evaluation.mistakes import MistakeSums
from dialog_policy.evaluation.policy_sums import Plan, PolicySums
from dialog_policy.evaluation.predictions_in_parts import DIALOGUES_TOGETHER
from dialog_policy.evaluation.provenance import Run
from dialog_policy.evaluation.scored_turns import ScoredTurns
from dialog_policy.prediction import Prediction, Predictor, distinct_names

__all__ = ["Job", "Judged", "Replying", "jobs_of", "judge"]


@runtime_checkable
class Replying(Protocol):
    """A predictor that also words its decisions, as a run does."""

    def replies(self, corpus: Corpus, predictions: Iterable[Prediction]) -> Mapping[tuple[str, int], str]:
        """Return what it would have said at each predicted (dialogue, turn), the dialogue so far being the gold one."""
        ...


class Job(NamedTuple):
    """Dialogues to judge by, and all that is needed for it; it may be sent to another process.

    Attributes
    ----------
    predictor, baselines
        The policy, and those that it is compared with; None: those of the run.
    part
        The dialogues.
    first, first_scored
        The number of the first of them among all dialogues, and among those that have something to predict.
    known
        The actions of the training part; None: not known.
    plan
        What is known of all dialogues.
    tokenizer
        Name of what splits utterances into words.
    mode
        The option of `predict` that is to be set, if any.
    replies, mistakes
        Whether to judge replies, and to say where the policy goes wrong.
    """

    predictor: Predictor
    baselines: Sequence[Predictor] | None
    part: Corpus
    first: int
    first_scored: int
    known: tuple[str, ...] | None
    plan: Plan
    tokenizer: str
    mode: str | None
    replies: bool
    mistakes: bool


class Judged:
    """The sums of some dialogues, or of all.

    Attributes
    ----------
    sums, baselines
        Those of the policy, and of each baseline by its name; further ones of a name are numbered.
    replies
        Counts replies; None: they are not judged.
    mistakes
        Mode (``""`` for the policy's own, ``"teacher-forced"`` beside a free run) to what went wrong.
    """

    def __init__(self, known: tuple[str, ...] | None, plan: Plan) -> None:
        self._known, self._plan = known, plan
        self.sums = PolicySums(Actions(known, plan.gold), plan)
        self.baselines: dict[str, PolicySums] = {}
        self.replies: Replies | None = None
        self.mistakes: dict[str, MistakeSums] = {}

    def of_baseline(self, name: str) -> PolicySums:
        """Return the sums of a baseline, new ones if there are none yet."""
        if name not in self.baselines:
            self.baselines[name] = PolicySums(Actions(self._known, self._plan.gold), self._plan, parts=False)
        return self.baselines[name]

    def merge(self, other: Judged) -> None:
        """Add the sums of later dialogues."""
        self.sums.merge(other.sums)
        for name, sums in other.baselines.items():
            self.of_baseline(name).merge(sums)
        if other.replies is not None:
            self.replies = self.replies or Replies()
            self.replies.merge(other.replies)
        for mode, mistakes in other.mistakes.items():
            if mode in self.mistakes:
                self.mistakes[mode].merge(mistakes)
            else:
                self.mistakes[mode] = mistakes


def jobs_of(whole: Job) -> list[Job]:
    """Cut a job into several: those of dialogues of which none has something to predict are left out."""
    jobs = []
    scored = np.asarray(whole.part.targets) > 0
    for start in range(0, len(scored), DIALOGUES_TOGETHER):
        end = start + DIALOGUES_TOGETHER
        if scored[start:end].any():
            before = int(np.count_nonzero(scored[:start]))
            jobs.append(whole._replace(part=whole.part[start:end], first=start, first_scored=before))
    return jobs


def judge(job: Job) -> Judged:
    """Predict and judge.

    Raises
    ------
    CorpusError
        If the predictions, or those of a baseline, do not belong to the dialogues.
    """
    predictor, part, plan = job.predictor, job.part, job.plan
    judged = Judged(job.known, plan)
    if job.replies:
        judged.replies = Replies()
    if job.mistakes:
        judged.mistakes[""] = MistakeSums(tokenizer=job.tokenizer)
    collector = Collector(part, judged.sums.actions, first=job.first)
    predictions = predictor.predict(part, **{job.mode: True}) if job.mode else predictor.predict(part)
    for chunk in collector.chunks(predictions):
        judged.sums.add(chunk)
        if judged.replies is not None and isinstance(predictor, Replying):
            judged.replies.add(predictor, part.with_dialogues(chunk.turns.dialogues), chunk.turns)
        if job.mistakes:
            judged.mistakes[""].add(chunk.turns, chunk.numbers.tolist())
    if job.mistakes and job.mode == "free_running":
        beside = judged.mistakes["teacher-forced"] = MistakeSums(tokenizer=job.tokenizer)
        own = Collector(part, Actions(job.known, plan.gold), first=job.first)
        for chunk in own.chunks(predictor.predict(part)):
            beside.add(chunk.turns, chunk.numbers.tolist())
    if job.baselines is None:
        baselines = _baselines_of(predictor) if isinstance(predictor, Run) else ()
    else:
        baselines = job.baselines
    scored = part.only(collector.is_scored.tolist())
    for name, baseline in zip(distinct_names(one.name for one in baselines), baselines, strict=True):
        own_predictions = _of_dialogues(baseline.predict(scored), scored, part)
        sums = judged.of_baseline(name)
        by = f"the baseline {name!r}"
        of_baseline = Collector(scored, sums.actions, by, first=job.first_scored)
        for chunk in of_baseline.chunks(own_predictions, everything=True):
            sums.add(chunk)
    return judged


def _of_dialogues(predictions: Iterator[Prediction], scored: Corpus, part: Corpus) -> Iterator[Prediction]:
    """Pass over what a file has of dialogues that are not scored; what is of none of them is left to be refused."""
    for name, own in itertools.groupby(predictions, key=lambda prediction: prediction.dialogue):
        if name in scored.ids or name not in part.ids:
            yield from own


# A process that judges several jobs reads them once.
_KNOWN_BASELINES: WeakKeyDictionary[Run, Sequence[Predictor]] = WeakKeyDictionary()


def _baselines_of(policy: Run) -> Sequence[Predictor]:
    if policy not in _KNOWN_BASELINES:
        _KNOWN_BASELINES[policy] = list(load_baselines(policy.run, policy.actions).values())
    return _KNOWN_BASELINES[policy]


class Replies:
    """Counts how many replies are the gold one, but for white space."""

    def __init__(self) -> None:
        self._right = self._n = 0

    def add(self, predictor: Replying, dialogues: Corpus, turns: ScoredTurns) -> None:
        """Ask for the replies of scored turns of these dialogues."""
        replies = predictor.replies(dialogues, _without_probabilities(turns))
        for d, number in zip(turns.dialogue.tolist(), turns.number.tolist(), strict=True):
            dialogue = turns.dialogues[d]
            self._right += replies.get((dialogue.id, number), "").split() == dialogue.turns[number].system.split()
        self._n += len(turns)

    def merge(self, other: Replies) -> None:
        """Add the counts of other dialogues."""
        self._right, self._n = self._right + other._right, self._n + other._n

    @property
    def accuracy(self) -> float:
        """Share of target turns whose reply is the gold one."""
        return self._right / self._n


def _without_probabilities(turns: ScoredTurns) -> Iterator[Prediction]:
    """Yield the predicted sets again."""
    rows = zip(turns.dialogue.tolist(), turns.number.tolist(), turns.sets(turns.predicted), strict=True)
    for dialogue, number, actions in rows:
        yield Prediction(dialogue=turns.dialogues[dialogue].id, turn=number, actions=actions)
