"""What is in a corpus, typed; the JSON object of ``inspect`` is its edge."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = [
    "ActionCount",
    "Contradiction",
    "ContradictionSummary",
    "Copy",
    "CopyGroup",
    "CorpusCounts",
    "CorpusSummary",
    "Duplicates",
    "HistoryBound",
    "LengthSummary",
    "Outcome",
    "PairCount",
    "PartSize",
    "Vocabulary",
]


class PartSize(msgspec.Struct, kw_only=True):
    """A part of a corpus: `target_turns` have annotated actions, `actions` is how many different ones there are."""

    dialogues: int
    turns: int
    target_turns: int
    actions: int


class LengthSummary(msgspec.Struct, kw_only=True):
    """Turns of a dialogue: least, most, mean, nearest-rank median and 90 % quantile."""

    min: int
    max: int
    mean: float
    median: int
    p90: int


class ActionCount(msgspec.Struct, kw_only=True):
    """An action, and how many turns have it: in all, and in each part."""

    action: str
    turns: int
    splits: dict[str, int]


class PairCount(msgspec.Struct, kw_only=True):
    """Two actions, and how many turns have both."""

    actions: list[str]
    turns: int


class Copy(msgspec.Struct, kw_only=True):
    """A dialogue whose content another one has, too; `split` is its part, or empty."""

    dialogue: str
    split: str


class CopyGroup(msgspec.Struct, kw_only=True):
    """Dialogues with the same content: how many, how many of each part, and the first of them."""

    copies: int
    splits: dict[str, int]
    dialogues: list[Copy]


class Duplicates(msgspec.Struct, kw_only=True):
    """Dialogues with the same content as another one.

    Attributes
    ----------
    dialogues
        How many could be left out.
    groups, groups_across_splits
        Groups of dialogues with the same content; those of which several parts have a dialogue.
    also_in_train
        Part to how many of its dialogues the part train has, too.
    examples
        The ten groups that matter most.
    """

    dialogues: int
    groups: int
    groups_across_splits: int
    also_in_train: dict[str, int]
    examples: list[CopyGroup]


class Vocabulary(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Words of the users in a part.

    Attributes
    ----------
    tokens, words
        How many words, and how many different ones.
    known_tokens, known_words
        Shares of them that the part train has; None for train itself.
    unknown_words
        The most frequent ones that train lacks.
    """

    tokens: int
    words: int
    known_tokens: float | None = None
    known_words: float | None = None
    unknown_words: list[str] | None = None


class Outcome(msgspec.Struct, kw_only=True):
    """An action set that followed a history: in how many turns, and where first."""

    actions: list[str]
    turns: int
    dialogue: str
    turn: int


class Contradiction(msgspec.Struct, kw_only=True):
    """A history that different action sets followed.

    Attributes
    ----------
    user, context, previous_actions
        The utterance, the context as JSON, and the actions of the turn before (None: there are none, or they are not known).
    turns, lost_turns
        Turns with this history; those of them in which a policy that sees no more must be wrong.
    outcomes
        What followed, the most frequent first.
    """

    user: str
    context: str
    previous_actions: list[str] | None
    turns: int
    lost_turns: int
    outcomes: list[Outcome]


class HistoryBound(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How often equal histories are followed by different actions, and what that leaves to a policy.

    Attributes
    ----------
    history
        What is compared, in words.
    histories, contradictory_histories, contradictory_turns
        Different histories; those with several outcomes; the turns after them.
    max_accuracy
        Highest turn accuracy of a policy that sees no more: Σ over histories of the turns with the most frequent action set, divided
        by all turns.
    repeated_turns, max_accuracy_repeated
        Turns whose history occurs more than once; the same accuracy over them.
    examples
        The contradictions that cost most turns.
    one_in
        One history in so many was looked at, by its hash; counts are multiplied by it, and estimates if it is not 1.
    """

    history: str
    histories: int
    contradictory_histories: int
    contradictory_turns: int
    max_accuracy: float | None
    repeated_turns: int
    max_accuracy_repeated: float | None
    examples: list[Contradiction]
    one_in: int = 1


class ContradictionSummary(msgspec.Struct, kw_only=True):
    """Contradictions of the recent and of the whole history."""

    recent: HistoryBound
    whole: HistoryBound


class CorpusCounts(msgspec.Struct, kw_only=True):
    """What is counted in dialogues.

    Attributes
    ----------
    dialogues, turns, target_turns
        How many; target turns have annotated actions.
    splits
        Part to its size.
    lengths, length
        Number of turns to number of dialogues; a summary of it, None without dialogues.
    actions
        Every action, the most frequent first.
    only_in
        Part to the actions that no other part has.
    action_sets, several_actions, empty_sets
        Different action sets; share of target turns with several actions; turns with none.
    actions_per_turn
        Number of actions to number of turns.
    co_occurrence
        Pairs of actions in the same turn, the most frequent first.
    empty_utterances
        Turns without a user utterance.
    duplicate_dialogues, duplicates
        Dialogues with the same content as another one.
    vocabulary
        Part to the words of its users.
    contradictions
        Equal histories that are followed by different actions.
    """

    dialogues: int
    turns: int
    target_turns: int
    splits: dict[str, PartSize]
    lengths: dict[str, int]
    length: LengthSummary | None
    actions: list[ActionCount]
    only_in: dict[str, list[str]]
    action_sets: int
    several_actions: float
    empty_sets: int
    actions_per_turn: dict[str, int]
    co_occurrence: list[PairCount]
    empty_utterances: int
    duplicate_dialogues: int
    duplicates: Duplicates
    vocabulary: dict[str, Vocabulary]
    contradictions: ContradictionSummary


class CorpusSummary(CorpusCounts, kw_only=True):
    """What ``inspect`` says of a corpus.

    Attributes
    ----------
    corpus, format
        Its name and format.
    problems
        What is wrong with it, in sentences.
    """

    corpus: str
    format: str
    problems: list[str]

    @classmethod
    def of(cls, counts: CorpusCounts, *, corpus: str, format: str, problems: list[str]) -> CorpusSummary:
        """Put a name, a format and problems to what was counted."""
        return cls(corpus=corpus, format=format, problems=problems, **msgspec.structs.asdict(counts))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of ``inspect``."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return {key: fields.pop(key) for key in ("corpus", "format")} | fields
