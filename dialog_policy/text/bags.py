"""Many texts at once: their terms as numbers, counted by array operations instead of text by text."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.text.tokens import character_ngrams

__all__ = ["Bags", "Ragged", "character_bags", "distinct_in_each", "make_bags", "ngram_bags"]

IntArray = npt.NDArray[np.int64]


class Ragged(NamedTuple):
    """Rows of different lengths: row i is ``values[ends[i]:ends[i + 1]]``."""

    values: npt.NDArray[np.int32]
    ends: IntArray

    def places(self, rows: npt.NDArray[np.integer]) -> tuple[IntArray, IntArray]:
        """Where in `values` the items of these rows are, one row after the other, and how many each row has."""
        starts = self.ends[rows]
        counts = self.ends[rows + 1] - starts
        before = np.cumsum(counts) - counts
        return np.repeat(starts - before, counts) + np.arange(counts.sum()), counts


class Bags(NamedTuple):
    """The terms of n texts, text after text.

    Attributes
    ----------
    n_terms
        How many terms there are; they are numbered from 0.
    spell
        Returns the terms that some numbers stand for.
    numbers
        The term of each occurrence.
    ends
        Shape (n + 1,): text i has the occurrences ends[i] to ends[i + 1] - 1.
    """

    n_terms: int
    spell: Callable[[npt.NDArray[np.integer]], list[str]]
    numbers: npt.NDArray[np.int32]
    ends: IntArray

    @property
    def n_texts(self) -> int:
        """How many texts there are."""
        return len(self.ends) - 1

    def texts(self) -> IntArray:
        """Text of each occurrence."""
        return np.repeat(np.arange(self.n_texts), np.diff(self.ends))

    def parts(self, size: int) -> Iterator[tuple[slice, Bags]]:
        """Yield `size` texts at a time, so that what is computed of them stays small, and which these are."""
        for start in range(0, self.n_texts, size):
            which = slice(start, min(start + size, self.n_texts))
            ends = self.ends[which.start : which.stop + 1]
            yield which, self._replace(numbers=self.numbers[ends[0] : ends[-1]], ends=ends - ends[0])


class _Numbering(dict[str, int]):
    """Gives each new key the next number."""

    def __missing__(self, key: str) -> int:
        number = self[key] = len(self)
        return number

    def spelling(self) -> Callable[[npt.NDArray[np.integer]], list[str]]:
        terms = list(self)
        return lambda numbers: [terms[number] for number in numbers.tolist()]


def _ends(counts: npt.ArrayLike) -> IntArray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def make_bags(token_lists: Sequence[Sequence[str]]) -> Bags:
    """Give the tokens of texts numbers."""
    numbering = _Numbering()
    tokens = itertools.chain.from_iterable(token_lists)
    numbers = np.fromiter(map(numbering.__getitem__, tokens), dtype=np.int32)
    ends = _ends(np.fromiter(map(len, token_lists), dtype=np.int64, count=len(token_lists)))
    return Bags(len(numbering), numbering.spelling(), numbers, ends)


def ngram_bags(bags: Bags, shortest: int, longest: int) -> Bags:
    """From tokens to n-grams of tokens, joined by a space, as :func:`~dialog_policy.text.tokens.word_ngrams` does it."""
    if (shortest, longest) == (1, 1):
        return bags
    texts, tokens = bags.texts(), bags.numbers.astype(np.int64)
    numbers, spell, n_terms = tokens, bags.spell, bags.n_terms
    levels: list[tuple[int, Callable[[npt.NDArray[np.integer]], list[str]]]] = []
    found: list[tuple[IntArray, IntArray]] = []
    first = 0
    for n in range(1, longest + 1):
        if n > 1:
            # The n-grams are numbered by their first n - 1 tokens and their last one, where these are of one text.
            n_heads = max(0, len(texts) - n + 1)
            inside = texts[n - 1 :] == texts[:n_heads]
            keys = numbers[:n_heads] * bags.n_terms + tokens[n - 1 :]
            distinct, inverse = np.unique(keys[inside], return_inverse=True)
            numbers = np.full(len(keys), -1, dtype=np.int64)
            numbers[inside] = inverse.reshape(-1)
            spell, n_terms = _joined(spell, bags.spell, *np.divmod(distinct, max(1, bags.n_terms))), len(distinct)
        if n >= shortest:
            places = np.flatnonzero(numbers >= 0)
            found.append((texts[places], numbers[places] + first))
            levels.append((first, spell))
            first += n_terms
    order = np.argsort(np.concatenate([where for where, _ in found]), kind="stable")
    where = np.concatenate([where for where, _ in found])[order]
    merged = np.concatenate([number for _, number in found])[order].astype(np.int32)
    return Bags(first, _by_level(levels), merged, np.searchsorted(where, np.arange(bags.n_texts + 1)))


def _joined(
    spell_heads: Callable[[npt.NDArray[np.integer]], list[str]],
    spell_tails: Callable[[npt.NDArray[np.integer]], list[str]],
    heads: IntArray,
    tails: IntArray,
) -> Callable[[npt.NDArray[np.integer]], list[str]]:
    def spell(numbers: npt.NDArray[np.integer]) -> list[str]:
        pairs = zip(spell_heads(heads[numbers]), spell_tails(tails[numbers]), strict=True)
        return [f"{head} {tail}" for head, tail in pairs]

    return spell


def _by_level(
    levels: Sequence[tuple[int, Callable[[npt.NDArray[np.integer]], list[str]]]],
) -> Callable[[npt.NDArray[np.integer]], list[str]]:
    """Spell by the last of `levels` that begins at or before a number; numbers must ascend."""

    def spell(numbers: npt.NDArray[np.integer]) -> list[str]:
        borders = np.searchsorted(numbers, [first for first, _ in levels[1:]]).tolist()
        spelt: list[str] = []
        for (first, own), start, stop in zip(levels, [0, *borders], [*borders, len(numbers)], strict=True):
            spelt += own(numbers[start:stop] - first)
        return spelt

    return spell


def character_bags(bags: Bags, shortest: int, longest: int) -> Callable[[Bags], Bags]:
    """Return what turns parts of `bags` into character n-grams of their tokens.

    As :func:`~dialog_policy.text.tokens.character_ngrams` does it; each token is cut up once.
    """
    numbering = _Numbering()
    grams = [character_ngrams(token, shortest, longest) for token in bags.spell(np.arange(bags.n_terms))]
    values = np.fromiter(map(numbering.__getitem__, itertools.chain.from_iterable(grams)), dtype=np.int32)
    of_token = Ragged(values, _ends([len(found) for found in grams]))
    spell = numbering.spelling()
    return lambda part: expand(part, of_token, len(numbering), spell)


def expand(bags: Bags, of_term: Ragged, n_terms: int, spell: Callable[[npt.NDArray[np.integer]], list[str]]) -> Bags:
    """Put the row `of_term[i]` in the place of term i."""
    places, counts = of_term.places(bags.numbers)
    return Bags(n_terms, spell, of_term.values[places], _ends(counts)[bags.ends])


def distinct_in_each(bags: Bags) -> tuple[Ragged, npt.NDArray[np.int64]]:
    """Return the distinct terms of each text in ascending order, and how often each occurs in it."""
    keys = bags.texts() * bags.n_terms + bags.numbers
    keys.sort()
    is_new = np.ones(len(keys) + 1, dtype=np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=is_new[1:-1])
    borders = np.flatnonzero(is_new)
    texts, numbers = np.divmod(keys[borders[:-1]], max(1, bags.n_terms))
    ends = np.searchsorted(texts, np.arange(bags.n_texts + 1))
    return Ragged(numbers.astype(np.int32), ends), np.diff(borders)
