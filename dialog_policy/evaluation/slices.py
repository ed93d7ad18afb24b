"""Parts of the scored turns that are worth a look by themselves: long dialogues, rare actions, unknown words, a domain."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.corpus import Dialogue
from dialog_policy.evaluation.scored_turns import Integers, ScoredTurns
from dialog_policy.text.tokens import Tokenizer, finite

__all__ = ["LENGTH_BINS", "SMALL", "FieldSlicing", "FieldValues", "SlicePlan", "Slicing", "slicings"]

# Groups of fewer turns say little: they are marked as small.
SMALL = 30
# Upper ends of bins.
LENGTH_BINS = (2, 4, 6, 8, 12, 16, 24, 32, 48)
_TURN_BINS = (0, 1, 2, 3, 5, 8, 12, 20)
_ACTIONS_BINS = (0, 1, 2, 3)
_WORDS_BINS = (0, 2, 5, 10, 20)
_SUPPORT_BINS = (0, 9, 99, 999)
_UNKNOWN_BINS = (0.0, 0.1, 0.25, 0.5, 1.0)
_UNKNOWN_NAMES = ("none", "up to 10 %", "10 to 25 %", "25 to 50 %", "more than 50 %")
# A field's most frequent values are shown, the others together; numbers with more values than that in quarters.
_VALUES = 20
_OTHER = "(other)"
# Values of a field that are counted; with more, those are dropped that have occurred once, and what stands for them says so.
_MOST_VALUES = 50_000
_RARE, _RARER = "\x00", "\x00\x00"


class Slicing(NamedTuple):
    """One way to slice: turn `rows[i]` belongs to the slice with number `values[i]`; a turn may be in none or in several."""

    field: str
    names: Sequence[str]
    rows: Integers
    values: Integers


class FieldSlicing(NamedTuple):
    """How a field of the dialogues is sliced: names of the slices, and which of them a dialogue belongs to."""

    field: str
    names: Sequence[str]
    number_of: Mapping[str, int] | npt.NDArray[np.float64]

    def chosen(self, dialogue: Dialogue) -> list[int]:
        """Return the numbers of a dialogue's slices."""
        values = _values(dialogue, self.field)
        if isinstance(self.number_of, np.ndarray):
            ends = self.number_of
            numbers = [n for n in map(_number, values) if n is not None]
            return sorted({min(int(np.searchsorted(ends, number, side="left")), len(ends) - 1) for number in numbers})
        other = len(self.names) - 1
        return sorted({self.number_of.get(_name(value), other) for value in values})


class SlicePlan(NamedTuple):
    """What is known of a corpus before its turns are sliced.

    Attributes
    ----------
    support
        How often each action occurs in training; where that is not known, in the corpus.
    fields
        How the fields of its dialogues are sliced.
    """

    support: Mapping[str, int]
    fields: Sequence[FieldSlicing]


class FieldValues:
    """What the fields of dialogues say, counted one by one."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}
        self._numbers: dict[str, array[float]] = {}
        self._dialogues: Counter[str] = Counter()
        self._n = 0

    def add(self, dialogue: Dialogue) -> None:
        """Count the fields of a dialogue."""
        self._n += 1
        for field in dialogue.fields:
            values = _values(dialogue, field)
            self._dialogues[field] += bool(values)
            counts = self._counts.setdefault(field, Counter())
            counts.update(set(map(_name, values)))
            numbers = self._numbers.setdefault(field, array("d"))
            numbers.extend(n for n in map(_number, values) if n is not None)
            if len(counts) > _MOST_VALUES:  # a name for every dialogue: what is rare cannot be among the frequent ones
                self._counts[field] = Counter({name: n for name, n in counts.items() if n > 1} | {_RARE: 1, _RARER: 1})

    def slicings(self) -> list[FieldSlicing]:
        """Return how each field is sliced; a field that has another value for every dialogue, or one for all, is left out."""
        found = (self._slicing(field) for field in sorted(self._counts))
        return [slicing for slicing in found if slicing is not None]

    def _slicing(self, field: str) -> FieldSlicing | None:
        numbers = np.array(self._numbers[field], dtype=np.float64)
        if len(np.unique(numbers)) > _VALUES:
            ends = np.unique(np.quantile(numbers, [0.25, 0.5, 0.75, 1.0]))
            lows = [numbers.min(), *ends[:-1]]
            names = [
                f"{low:g} to {high:g}" if i == 0 else f"over {low:g} to {high:g}"
                for i, (low, high) in enumerate(zip(lows, ends, strict=True))
            ]
            return FieldSlicing(field, names, ends)
        counts = self._counts[field]
        frequent = [name for name, n in counts.most_common(_VALUES) if n > 1 or len(counts) <= _VALUES]
        if not frequent or (len(counts) == 1 and self._dialogues[field] == self._n):
            return None
        names = sorted(frequent) + ([_OTHER] if len(counts) > len(frequent) else [])
        return FieldSlicing(field, names, {name: i for i, name in enumerate(names)})


def slicings(
    turns: ScoredTurns, plan: SlicePlan, *, tokenize: Tokenizer, known_words: Collection[str] | None
) -> Iterator[Slicing]:
    """Yield every way to slice.

    Parameters
    ----------
    turns
        The scored turns.
    plan
        What is known of the corpus.
    tokenize
        Splits an utterance into words.
    known_words
        The words of the training part's users. None or empty: not known, and there are no slices by them.
    """
    lengths = np.bincount(turns.dialogue, minlength=len(turns.dialogues))
    yield _binned("dialogue_length", lengths[turns.dialogue], LENGTH_BINS, least=1)
    yield _binned("turn_index", turns.number, _TURN_BINS)
    yield _binned("number_of_actions", turns.per_turn(turns.gold), _ACTIONS_BINS)
    n_words, unknown = _words(turns, tokenize, known_words or ())
    yield _binned("utterance_length", n_words, _WORDS_BINS)
    if known_words:
        spoken = np.flatnonzero(n_words)
        bins = np.searchsorted(_UNKNOWN_BINS, unknown[spoken] / n_words[spoken], side="left")
        yield Slicing("unknown_words", _UNKNOWN_NAMES, spoken, bins)
    yield _by_support(turns, plan.support)
    for field in plan.fields:
        yield _by_field(turns, field)


def _binned(field: str, numbers: Integers, ends: Sequence[int], *, least: int = 0) -> Slicing:
    names = []
    for low, high in zip((least, *(end + 1 for end in ends)), (*ends, None), strict=True):
        names.append(f"{low} or more" if high is None else str(low) if low == high else f"{low} to {high}")
    return Slicing(field, names, np.arange(len(numbers)), np.searchsorted(ends, numbers, side="left"))


def _words(turns: ScoredTurns, tokenize: Tokenizer, known: Collection[str]) -> tuple[Integers, Integers]:
    """Count the words of each turn's user, and those of them that are not known."""
    count, unknown = np.zeros(len(turns), dtype=np.int32), np.zeros(len(turns), dtype=np.int32)
    is_known = known.__contains__
    row = 0
    for dialogue in turns.dialogues:
        for turn in dialogue.turns:
            if turn.actions is not None:
                words = tokenize(turn.user)
                count[row] = len(words)
                if known:
                    unknown[row] = len(words) - sum(map(is_known, words))
                row += 1
    return count, unknown


def _by_support(turns: ScoredTurns, support: Mapping[str, int]) -> Slicing:
    """By the rarest gold action of the turn."""
    counts = np.array([support.get(name, 0) for name in turns.space.classes_], dtype=np.int64)
    rarest = np.full(len(turns), np.iinfo(np.int64).max)
    np.minimum.at(rarest, turns.gold.rows, counts[turns.gold.bits])
    rows = np.flatnonzero(turns.per_turn(turns.gold))
    return _binned("action_support", rarest[rows], _SUPPORT_BINS)._replace(rows=rows)


def _by_field(turns: ScoredTurns, field: FieldSlicing) -> Slicing:
    """By what the corpus says about the dialogue; of a list, each item counts."""
    chosen = list(map(field.chosen, turns.dialogues))
    of_dialogue = np.repeat(np.arange(len(chosen)), [len(own) for own in chosen])
    slices = np.array([i for own in chosen for i in own], dtype=np.int64)
    starts = np.searchsorted(turns.dialogue, of_dialogue, side="left")
    sizes = np.searchsorted(turns.dialogue, of_dialogue, side="right") - starts
    ends = np.cumsum(sizes)
    rows = np.arange(int(sizes.sum())) + np.repeat(starts - (ends - sizes), sizes)
    return Slicing(field.field, field.names, rows, np.repeat(slices, sizes))


def _values(dialogue: Dialogue, field: str) -> list[Any]:
    """Return the field's values that can name a slice: of a list its items, of an object its keys."""
    value = dialogue.fields.get(field)
    items = list(value) if isinstance(value, list | tuple | Mapping) else [value]
    return [item for item in items if isinstance(item, str | int | float | bool)]


def _number(value: Any) -> float | None:
    """Return a value that is a number, within what a float can hold; booleans, NaN and infinities are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = finite(value)
    return number if math.isfinite(number) else None


def _name(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
