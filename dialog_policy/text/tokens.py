"""Utterances to tokens, tokens to terms (word and character n-grams), contexts to terms."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any, Literal

import msgspec
import regex

from dialog_policy.compiled import lookup
from dialog_policy.corpus.gazetteer import NO_SPACES
from dialog_policy.errors import OptionError, did_you_mean

__all__ = [
    "Analyzer",
    "Tokenizer",
    "character_ngrams",
    "context_terms",
    "finite",
    "get_tokenizer",
    "tokenize",
    "tokenize_texts",
    "word_ngrams",
]

Tokenizer = Callable[[str], list[str]]

# Each character of a script written without spaces is a token, so that the word n-grams of an encoder are the overlapping
# character n-grams which search engines use for these scripts.
_WORD = rf"(?:(?!{NO_SPACES})[\p{{L}}\p{{M}}\p{{N}}_])+"
_UNICODE = regex.compile(rf"{NO_SPACES}|{_WORD}(?:['’]{_WORD})*|[?!¿¡؟]")
_ASCII = re.compile(r"[a-z0-9_]+(?:'[a-z0-9_]+)*|[?!]")

# A list as long as this or longer is "many"; its first items are looked at.
_MANY = 4
# What is nested deeper is not looked at.
_DEEPEST = 16


def tokenize(text: str) -> list[str]:
    """Split an utterance into tokens: words of any script, single characters of scripts without spaces, ``?`` and ``!``.

    The text is normalised first (Unicode NFKC, case folded); other punctuation is dropped.
    """
    if text.isascii():
        return _ASCII.findall(text.lower())
    tokens: list[str] = _UNICODE.findall(unicodedata.normalize("NFKC", text).casefold())
    return tokens


def tokenize_texts(texts: Sequence[str], tokenizer: Tokenizer = tokenize) -> list[list[str]]:
    """Split many utterances into tokens.

    Equal tokens are one object: those of a large corpus would not fit into memory else.
    """
    one = dict[str, str]().setdefault

    def tokens_of(text: str) -> list[str]:
        own = tokenizer(text)
        return list(map(one, own, own))

    if tokenizer is not tokenize or lookup is None:
        return list(map(tokens_of, texts))
    try:
        split = iter(lookup.tokenize_ascii([text for text in texts if text.isascii()]))
    except ValueError:  # tokens that collide
        return list(map(tokens_of, texts))
    return [next(split) if text.isascii() else tokens_of(text) for text in texts]


def get_tokenizer(name: str) -> Tokenizer:
    """Return the tokeniser of this name.

    Parameters
    ----------
    name
        ``"default"`` for :func:`tokenize`, or the name of an entry point in the group ``dialog_policy.tokenizers`` that an
        installed package offers: a function from a string to a list of strings. Only the name is stored with a policy.

    Raises
    ------
    OptionError
        If no installed package offers it.
    """
    if name == "default":
        return tokenize
    offered = {entry.name: entry for entry in entry_points(group="dialog_policy.tokenizers")}
    if name not in offered:
        known = ["default", *sorted(offered)]
        raise OptionError(
            f"there is no tokenizer {name!r}; installed: {', '.join(known)}.{did_you_mean(name, known)} "
            "A package offers one as an entry point in the group dialog_policy.tokenizers."
        )
    loaded: Tokenizer = offered[name].load()
    return loaded


def word_ngrams(tokens: Sequence[str], shortest: int, longest: int) -> list[str]:
    """Return n-grams of tokens, joined by a space, of every length from `shortest` to `longest`."""
    terms: list[str] = []
    for n in range(shortest, longest + 1):
        if n == 1:
            terms.extend(tokens)
        else:
            terms.extend(" ".join(tokens[i : i + n]) for i in range(len(tokens) - n + 1))
    return terms


def character_ngrams(token: str, shortest: int, longest: int) -> list[str]:
    """Return character n-grams of one token with ``<`` and ``>`` at its ends, as fastText has them."""
    marked = f"<{token}>"
    if len(marked) <= shortest:
        return [marked]
    return [marked[i : i + n] for n in range(shortest, longest + 1) for i in range(len(marked) - n + 1)]


class Analyzer(msgspec.Struct, frozen=True):
    """How tokens become the terms of a table.

    Attributes
    ----------
    unit
        ``"word"``: n-grams of words. ``"character"``: n-grams of the characters of each word. ``"subword"``: each word, or,
        if the table does not have it, the mean of the character n-grams of it that the table has. ``"term"``: the tokens
        are terms already.
    shortest, longest
        Lengths of the n-grams.
    """

    unit: Literal["word", "character", "subword", "term"] = "word"
    shortest: int = 1
    longest: int = 1

    def terms(self, tokens: Sequence[str]) -> Sequence[str]:
        """Return the terms of a text, repeated as often as they occur."""
        if self.unit == "word":
            return word_ngrams(tokens, self.shortest, self.longest)
        if self.unit == "character":
            return [gram for token in tokens for gram in character_ngrams(token, self.shortest, self.longest)]
        return tokens


def context_terms(context: Mapping[str, Any]) -> list[str]:
    """Return terms that describe a context: which keys it has, their values, how many items a list has.

    ``{"results": [{"price": "cheap"}], "logged_in": True}`` gives ``results``, ``results#1``, ``results.price``,
    ``results.price=cheap``, ``results.price:cheap``, ``logged_in`` and ``logged_in=true``.
    """
    terms: list[str] = []
    for key, value in context.items():
        terms.append(key)
        _add_terms(terms, key, value, 1)
    return terms


def _add_terms(terms: list[str], path: str, value: Any, depth: int) -> None:
    """Add what is below a path to `terms`, the path itself not."""
    if depth > _DEEPEST:
        return
    if type(value) is str:
        terms += _text_terms(path, value)
    elif type(value) is dict or isinstance(value, Mapping):
        for key, inner in value.items():
            below = f"{path}.{key}"
            terms.append(below)
            if type(inner) is str and depth < _DEEPEST:  # most of all values, without a call
                terms += _text_terms(below, inner)
            else:
                _add_terms(terms, below, inner, depth + 1)
    elif isinstance(value, list | tuple):
        terms.append(f"{path}#{len(value) if len(value) < _MANY else 'many'}")
        for item in value[:_MANY]:
            _add_terms(terms, path, item, depth + 1)
    elif isinstance(value, bool) or value is None:
        terms.append(f"{path}={'null' if value is None else str(value).lower()}")
    elif isinstance(value, int | float):
        number = finite(value)
        terms += (f"{path}={number:g}", f"{path}~{_magnitude(number)}")
    else:
        terms += _text_terms(path, str(value))


@lru_cache(maxsize=50_000)
def _text_terms(path: str, value: str) -> tuple[str, ...]:
    """Terms of a text below a path; a database says the same again and again."""
    text = value.strip().casefold()
    return (f"{path}={text}", *(f"{path}:{token}" for token in tokenize(text)))


def finite(value: float) -> float:
    """Return a number; in the place of an integer that no float can hold (from about 309 digits on), the largest that one can."""
    try:
        float(value)
    except OverflowError:
        return sys.float_info.max if value > 0 else -sys.float_info.max
    return value


def _magnitude(value: float) -> str:
    """Order of magnitude, so that numbers never seen before still say something."""
    if value == 0 or value != value:
        return "0" if value == 0 else "nan"
    sign = "-" if value < 0 else "+"
    return (
        f"{sign}1e{len(str(int(abs(value)))) - 1}"
        if 1 <= abs(value) < 1e15
        else f"{sign}{'big' if abs(value) > 1 else 'small'}"
    )
