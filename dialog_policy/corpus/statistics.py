"""What is in a corpus, counted in one pass: sizes, lengths, actions, duplicates, vocabulary, contradictions."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, combinations

from dialog_policy.corpus.contradictions import Contradictions
from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.splits import hash_range, part_of, splits_of
from dialog_policy.corpus.summary import (
    ActionCount,
    Copy,
    CopyGroup,
    CorpusCounts,
    Duplicates,
    LengthSummary,
    PairCount,
    PartSize,
    Vocabulary,
)

__all__ = ["Statistics"]

_EXAMPLES = 10
_UNKNOWN_WORDS = 20
# A dialogue's own label and hash range: what decides on its part once the labels of all dialogues are known.
_Cell = tuple[str | None, float]


@dataclass
class _Tally:
    dialogues: int = 0
    turns: int = 0
    targets: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)

    def merge(self, other: _Tally) -> None:
        self.dialogues += other.dialogues
        self.turns += other.turns
        self.targets += other.targets
        self.actions.update(other.actions)
        self.words.update(other.words)


@dataclass
class _Copies:
    """Dialogues with the same content: how many in each cell, and the first two of each."""

    counts: Counter[_Cell] = field(default_factory=Counter)
    first: list[tuple[str, _Cell]] = field(default_factory=list)

    def add(self, dialogue_id: str, cell: _Cell) -> None:
        self.counts[cell] += 1
        if self.counts[cell] <= 2:
            self.first.append((dialogue_id, cell))


class Statistics:
    """Counts dialogues one by one, without keeping them: memory grows with what is distinct.

    Parameters
    ----------
    words
        Splits an utterance into words.
    """

    def __init__(self, words: Callable[[str], list[str]]) -> None:
        self._words = words
        self._cells: dict[_Cell, _Tally] = {}
        self._lengths: Counter[int] = Counter()
        self._sets: Counter[frozenset[str]] = Counter()
        self._empty_utterances = 0
        self._fingerprints: dict[bytes, tuple[str, _Cell]] = {}
        self._copies: dict[bytes, _Copies] = {}
        self._contradictions = Contradictions()

    def add(self, dialogue: Dialogue) -> None:
        """Count a dialogue.

        Raises
        ------
        UnicodeEncodeError, TypeError
            If its texts are not Unicode or its context is not JSON; nothing was counted.
        """
        fingerprint, cell = bytes.fromhex(dialogue.fingerprint()), (dialogue.split, hash_range(dialogue.id))
        user = [self._words(turn.user) for turn in dialogue.turns]
        system = [self._words(turn.system) for turn in dialogue.turns]
        tally = self._cells.setdefault(cell, _Tally())
        tally.dialogues += 1
        tally.turns += len(dialogue)
        tally.targets += dialogue.n_targets
        self._lengths[len(dialogue)] += 1
        for turn, words in zip(dialogue.turns, user, strict=True):
            tally.words.update(words)
            self._empty_utterances += not turn.user.strip()
            if turn.actions is not None:
                self._sets[turn.actions] += 1
                tally.actions.update(turn.actions)
        self._contradictions.add(dialogue, user, system)
        if fingerprint not in self._fingerprints:
            self._fingerprints[fingerprint] = (dialogue.id, cell)
            return
        if fingerprint not in self._copies:
            self._copies[fingerprint] = _Copies()
            self._copies[fingerprint].add(*self._fingerprints[fingerprint])
        self._copies[fingerprint].add(dialogue.id, cell)

    def summary(self) -> CorpusCounts:
        """Return all counts."""
        own = {label for label, _ in self._cells if label is not None}
        parts = {name: _Tally() for name in splits_of(own)}
        whole = _Tally()
        names: dict[_Cell, str] = {}
        for cell, tally in self._cells.items():
            whole.merge(tally)
            # Dialogues without a label, in a corpus where others have one, belong to no part.
            names[cell] = part_of(*cell, own) or ""
            if names[cell]:
                parts[names[cell]].merge(tally)
        ranked = sorted(whole.actions.items(), key=lambda item: (-item[1], item[0]))
        per_turn: Counter[int] = Counter()
        for actions, turns in self._sets.items():
            per_turn[len(actions)] += turns
        duplicates = self._duplicates(names)
        return CorpusCounts(
            dialogues=whole.dialogues,
            turns=whole.turns,
            target_turns=whole.targets,
            splits={name: _size(part) for name, part in parts.items()},
            lengths={str(n): count for n, count in sorted(self._lengths.items())},
            length=_quantiles(self._lengths),
            actions=[
                ActionCount(action=a, turns=n, splits={name: part.actions[a] for name, part in parts.items()})
                for a, n in ranked
            ],
            only_in=_only_in(parts),
            action_sets=len(self._sets),
            several_actions=sum(n for k, n in per_turn.items() if k > 1) / max(1, whole.targets),
            empty_sets=self._sets[frozenset()],
            actions_per_turn={str(k): n for k, n in sorted(per_turn.items())},
            co_occurrence=_co_occurrence(self._sets),
            empty_utterances=self._empty_utterances,
            duplicate_dialogues=duplicates.dialogues,
            duplicates=duplicates,
            vocabulary=_vocabulary(parts),
            contradictions=self._contradictions.summary(),
        )

    def _duplicates(self, names: Mapping[_Cell, str]) -> Duplicates:
        in_train: Counter[str] = Counter()
        groups: list[CopyGroup] = []
        for copies in self._copies.values():
            counts: Counter[str] = Counter()
            for cell, count in copies.counts.items():
                counts[names[cell]] += count
            if "train" in counts:
                in_train.update({name: count for name, count in counts.items() if name != "train"})
            shown = [Copy(dialogue=dialogue_id, split=names[cell]) for dialogue_id, cell in copies.first]
            groups.append(CopyGroup(copies=counts.total(), splits=dict(counts), dialogues=shown))
        groups.sort(key=lambda group: (-len(group.splits), -group.copies))
        return Duplicates(
            dialogues=sum(group.copies - 1 for group in groups),
            groups=len(groups),
            groups_across_splits=sum(len(group.splits) > 1 for group in groups),
            also_in_train=dict(in_train),
            examples=groups[:_EXAMPLES],
        )


def _size(tally: _Tally) -> PartSize:
    return PartSize(
        dialogues=tally.dialogues, turns=tally.turns, target_turns=tally.targets, actions=len(tally.actions)
    )


def _quantiles(lengths: Counter[int]) -> LengthSummary | None:
    """Return least, nearest-rank median and 90 % quantile, most, and the mean."""
    total = lengths.total()
    if not total:
        return None
    ascending = sorted(lengths)
    passed = list(accumulate(lengths[n] for n in ascending))
    median, p90 = (ascending[bisect_left(passed, -(-total * tenths // 10))] for tenths in (5, 9))
    mean = sum(n * count for n, count in lengths.items()) / total
    return LengthSummary(min=ascending[0], max=ascending[-1], mean=mean, median=median, p90=p90)


def _only_in(parts: Mapping[str, _Tally]) -> dict[str, list[str]]:
    """Actions that one part has and no other, for corpora with several parts."""
    parts_with = Counter(action for part in parts.values() for action in part.actions)
    if sum(part.targets > 0 for part in parts.values()) < 2:
        return {}
    return {name: sorted(a for a in part.actions if parts_with[a] == 1) for name, part in parts.items()}


def _co_occurrence(sets: Counter[frozenset[str]]) -> list[PairCount]:
    pairs: Counter[tuple[str, str]] = Counter()
    for actions, turns in sets.items():
        for pair in combinations(sorted(actions), 2):
            pairs[pair] += turns
    return [PairCount(actions=list(pair), turns=n) for pair, n in sorted(pairs.items(), key=lambda i: (-i[1], i[0]))]


def _vocabulary(parts: Mapping[str, _Tally]) -> dict[str, Vocabulary]:
    known = parts["train"].words if "train" in parts else Counter()
    vocabulary: dict[str, Vocabulary] = {}
    for name, part in parts.items():
        tokens = part.words.total()
        vocabulary[name] = Vocabulary(tokens=tokens, words=len(part.words))
        if name != "train" and known and tokens:
            unknown = Counter({word: n for word, n in part.words.items() if word not in known})
            ranked = sorted(unknown.items(), key=lambda item: (-item[1], item[0]))
            vocabulary[name].known_tokens = (tokens - unknown.total()) / tokens
            vocabulary[name].known_words = (len(part.words) - len(unknown)) / len(part.words)
            vocabulary[name].unknown_words = [word for word, _ in ranked[:_UNKNOWN_WORDS]]
    return vocabulary
