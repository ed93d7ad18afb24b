"""Many texts at once: their terms as numbers, counted by array operations instead of text by text."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dialog_policy.text.ragged import IntArray, Ragged
from dialog_policy.text.tokens import character_ngrams

__all__ = ["Bags", "Spell", "character_bags", "distinct_in_each", "expand", "make_bags", "ngram_bags"]

# From numbers of terms to the terms.
Spell = Callable[[npt.NDArray[np.integer]], list[str]]


class Bags(NamedTuple):
    """The terms of n texts, as numbers.

    Attributes
    ----------
    n_terms
        How many different terms there are; they are numbered from 0.
    spell
        Returns the terms that some numbers stand for.
    texts
        The terms of each text, one row a text.
    """

    n_terms: int
    spell: Spell
    texts: Ragged

    def chunks(self, size: int) -> Iterator[tuple[slice, Bags]]:
        """Yield `size` texts at a time, so that what is computed of them stays small, and which these are."""
        for start in range(0, len(self.texts), size):
            stop = min(start + size, len(self.texts))
            yield slice(start, stop), self._replace(texts=self.texts.between(start, stop))


def _numbering() -> defaultdict[str, int]:
    """Give each new key the next number."""
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    return numbers


def _spelling(numbering: Mapping[str, int]) -> Spell:
    terms = list(numbering)
    return lambda numbers: [terms[number] for number in numbers.tolist()]


def make_bags(token_lists: Sequence[Sequence[str]]) -> Bags:
    """Give the tokens of texts numbers."""
    numbering = _numbering()
    tokens = itertools.chain.from_iterable(token_lists)
    numbers = np.fromiter(map(numbering.__getitem__, tokens), dtype=np.int32)
    counts = np.fromiter(map(len, token_lists), dtype=np.int64, count=len(token_lists))
    return Bags(len(numbering), _spelling(numbering), Ragged.of_counts(numbers, counts))


def ngram_bags(bags: Bags, shortest: int, longest: int) -> Bags:
    """From tokens to n-grams of tokens, joined by a space, as :func:`~dialog_policy.text.tokens.word_ngrams` does it."""
    if (shortest, longest) == (1, 1):
        return bags
    texts, tokens = bags.texts.row_of_each(), bags.texts.values.astype(np.int64)
    numbers, spell, n_terms = tokens, bags.spell, bags.n_terms
    levels: list[tuple[int, Spell]] = []
    occurrences: list[tuple[IntArray, IntArray]] = []
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
            occurrences.append((texts[places], numbers[places] + first))
            levels.append((first, spell))
            first += n_terms
    where = np.concatenate([where for where, _ in occurrences])
    order = np.argsort(where, kind="stable")
    merged = np.concatenate([number for _, number in occurrences])[order].astype(np.int32)
    offsets = np.searchsorted(where[order], np.arange(len(bags.texts) + 1))
    return Bags(first, _by_level(levels), Ragged(merged, offsets))


def _joined(
    spell_heads: Spell,
    spell_tails: Spell,
    heads: IntArray,
    tails: IntArray,
) -> Spell:
    def spell(numbers: npt.NDArray[np.integer]) -> list[str]:
        pairs = zip(spell_heads(heads[numbers]), spell_tails(tails[numbers]), strict=True)
        return [f"{head} {tail}" for head, tail in pairs]

    return spell


def _by_level(
    levels: Sequence[tuple[int, Spell]],
) -> Spell:
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
    numbering = _numbering()
    grams = [character_ngrams(token, shortest, longest) for token in bags.spell(np.arange(bags.n_terms))]
    values = np.fromiter(map(numbering.__getitem__, itertools.chain.from_iterable(grams)), dtype=np.int32)
    of_token = Ragged.of_counts(values, [len(own) for own in grams])
    spell = _spelling(numbering)
    return lambda part: expand(part, of_token, len(numbering), spell)


def expand(bags: Bags, of_term: Ragged, n_terms: int, spell: Spell) -> Bags:
    """Put the row `of_term[i]` in the place of term i."""
    expanded = of_term.take(bags.texts.values)
    return Bags(n_terms, spell, Ragged(expanded.values, expanded.offsets[bags.texts.offsets]))


def distinct_in_each(bags: Bags) -> tuple[Ragged, npt.NDArray[np.int64]]:
    """Return the distinct terms of each text in ascending order, and how often each occurs in it."""
    keys = bags.texts.row_of_each() * bags.n_terms + bags.texts.values
    keys.sort()
    is_new = np.ones(len(keys) + 1, dtype=np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=is_new[1:-1])
    borders = np.flatnonzero(is_new)
    texts, numbers = np.divmod(keys[borders[:-1]], max(1, bags.n_terms))
    offsets = np.searchsorted(texts, np.arange(len(bags.texts) + 1))
    return Ragged(numbers.astype(np.int32), offsets), np.diff(borders)
