"""Placeholders of reply templates: what the words between ``<`` and ``>`` are called."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

__all__ = [
    "AT_HAND",
    "NAME",
    "NUMBER",
    "NUMBER_IN_WORDS",
    "NUMBER_WORDS",
    "PLACEHOLDER",
    "number_in_words",
    "placeholders_of",
    "with_values",
]

# The attribute that names a record, and the placeholder of the record at hand.
NAME, AT_HAND = "name", "name_at_hand"
# Placeholders of how many records the last results have. "one" is no number word here: it is a pronoun more often.
NUMBER, NUMBER_IN_WORDS = "number_of_results", "number_of_results_in_words"
_WORDS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
NUMBER_WORDS = {word: number for number, word in enumerate(_WORDS, start=2)}
_WORD_OF = {number: word for word, number in NUMBER_WORDS.items()}
PLACEHOLDER = re.compile(r"<(\w+)>")
_SENTENCE_START = re.compile(r"(?:^|[.!?]\s+)$")


@lru_cache(maxsize=4_096)
def placeholders_of(template: str) -> tuple[str, ...]:
    """Return the placeholders of a template from left to right, without the brackets."""
    return tuple(PLACEHOLDER.findall(template))


def with_values(template: str, values: Iterable[str]) -> str:
    """Put a value in the place of each placeholder; a number in words is capitalised where a sentence starts."""
    remaining = iter(values)

    def value_at(match: re.Match[str]) -> str:
        value = next(remaining)
        starts = match[1] == NUMBER_IN_WORDS and _SENTENCE_START.search(template, 0, match.start())
        return value.capitalize() if starts else value

    return PLACEHOLDER.sub(value_at, template)


def number_in_words(number: int) -> str:
    """Return ``"two"`` for 2, up to ``"twelve"``; other numbers in digits."""
    return _WORD_OF.get(number, str(number))
