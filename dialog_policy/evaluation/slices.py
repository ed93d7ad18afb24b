"""Parts of the scored turns that are worth a look by themselves: long dialogues, rare actions, unknown words, a domain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.corpus import Dialogue
from dialog_policy.evaluation.scored_turns import Integers, ScoredTurns
from dialog_policy.text.tokens import Tokenizer

__all__ = ["LENGTH_BINS", "SMALL", "Slicing", "slicings"]

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


class Slicing(NamedTuple):
    """One way to slice: turn `rows[i]` belongs to the slice with number `values[i]`; a turn may be in none or in several."""

    field: str
    names: Sequence[str]
    rows: Integers
    values: Integers


def slicings(
    turns: ScoredTurns,
    *,
    tokenize: Tokenizer,
    known_words: Collection[str] | None,
    support: Mapping[str, int] | None,
) -> Iterator[Slicing]:
    """Yield every way to slice.

    Parameters
    ----------
    turns
        The scored turns.
    tokenize
        Splits an utterance into words.
    known_words
        The words of the training part's users. None or empty: not known, and there are no slices by them.
    support
        How often each action occurs in training. None: in the scored turns themselves.
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
    yield _by_support(turns, support)
    for field in sorted({name for dialogue in turns.dialogues for name in dialogue.fields}):
        yield from _by_field(turns, field)


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


def _by_support(turns: ScoredTurns, support: Mapping[str, int] | None) -> Slicing:
    """By the rarest gold action of the turn."""
    if support is None:
        counts = np.bincount(turns.gold.bits, minlength=len(turns.space))
    else:
        counts = np.array([support.get(name, 0) for name in turns.space.classes_], dtype=np.int64)
    rarest = np.full(len(turns), np.iinfo(np.int64).max)
    np.minimum.at(rarest, turns.gold.rows, counts[turns.gold.bits])
    rows = np.flatnonzero(turns.per_turn(turns.gold))
    return _binned("action_support", rarest[rows], _SUPPORT_BINS)._replace(rows=rows)


def _by_field(turns: ScoredTurns, field: str) -> Iterator[Slicing]:
    """By what the corpus says about the dialogue; of a list, each item counts."""
    values = [_values(dialogue, field) for dialogue in turns.dialogues]
    numbers = [v for own in values for v in own if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(set(numbers)) > _VALUES:
        names, chosen = _quarters(values, np.array(numbers, dtype=np.float64))
    else:
        counts = Counter(name for own in values for name in set(map(_name, own)))
        frequent = [name for name, n in counts.most_common(_VALUES) if n > 1 or len(counts) <= _VALUES]
        # A name or a number of its own for every dialogue is no slice; nor is a value that all of them have.
        if not frequent or (len(counts) == 1 and all(values)):
            return
        names = sorted(frequent) + ([_OTHER] if len(counts) > len(frequent) else [])
        number = {name: i for i, name in enumerate(names)}
        chosen = [sorted({number.get(_name(value), len(frequent)) for value in own}) for own in values]
    of_dialogue = np.repeat(np.arange(len(chosen)), [len(own) for own in chosen])
    slices = np.array([i for own in chosen for i in own], dtype=np.int64)
    starts = np.searchsorted(turns.dialogue, of_dialogue, side="left")
    sizes = np.searchsorted(turns.dialogue, of_dialogue, side="right") - starts
    ends = np.cumsum(sizes)
    rows = np.arange(int(sizes.sum())) + np.repeat(starts - (ends - sizes), sizes)
    yield Slicing(field, names, rows, np.repeat(slices, sizes))


def _values(dialogue: Dialogue, field: str) -> list[Any]:
    """Return the field's values that can name a slice: of a list its items, of an object its keys."""
    value = dialogue.fields.get(field)
    items = list(value) if isinstance(value, list | tuple | Mapping) else [value]
    return [item for item in items if isinstance(item, str | int | float | bool)]


def _name(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _quarters(values: Sequence[Sequence[Any]], numbers: npt.NDArray[np.float64]) -> tuple[list[str], list[list[int]]]:
    ends = np.unique(np.quantile(numbers, [0.25, 0.5, 0.75, 1.0]))
    lows = [numbers.min(), *ends[:-1]]
    names = [
        f"{low:g} to {high:g}" if i == 0 else f"over {low:g} to {high:g}"
        for i, (low, high) in enumerate(zip(lows, ends, strict=True))
    ]
    chosen = [
        sorted({int(np.searchsorted(ends, value, side="left")) for value in own if isinstance(value, int | float)})
        for own in values
    ]
    return names, chosen
