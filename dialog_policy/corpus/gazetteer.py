"""Values of entities and where a text mentions them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import regex

from dialog_policy.compiled import lookup

__all__ = ["NO_SPACES", "Entries", "Gazetteer", "Mention", "find_mentions", "mark", "static_gazetteer", "tokens_of"]

Entries = Mapping[str, Sequence[str | tuple[str, str]]]
"""Entity type to values; a pair is another way to write a value, and the value: ``("moderately", "moderate")``."""

_ASCII_TOKEN = re.compile(r"\w+(?:['\-:.&]\w+)*|\S")
# A character of a script written without spaces: there a word, or a value, may begin and end anywhere.
NO_SPACES = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー]\p{M}*"
_WORD = rf"(?:(?!{NO_SPACES})\w)+"
_TOKEN = regex.compile(rf"{NO_SPACES}|{_WORD}(?:['’\-:.&]{_WORD})*|\S")
# Longer values are not looked for: nobody says a paragraph word by word, and the search at a position takes as many steps.
_LONGEST_VALUE = 64
# The tokens of texts up to this length are remembered: what a bot says, and much of what users say, is said again.
_LONGEST_REMEMBERED = 1_000
# Of the bits by which a text that has none of a gazetteer's tokens is told quickly.
_FILTER_BYTES = 2_048


def tokens_of(text: str) -> list[re.Match[str]]:
    """Return the words, the characters of scripts without spaces and the punctuation marks of a text, with their places."""
    return list((_ASCII_TOKEN if text.isascii() else _TOKEN).finditer(text))


def _folded_tokens(text: str) -> tuple[str, ...]:
    """Return the tokens of a text, case folded."""
    if text.isascii():
        return tuple(_ASCII_TOKEN.findall(text.lower()))
    return tuple(token.casefold() for token in _TOKEN.findall(text))


_remembered_tokens = lru_cache(4_096)(_folded_tokens)


def _spans(text: str, tokens: Sequence[str]) -> list[tuple[int, int]]:
    """Return where the first tokens of a text, given folded, begin and end."""
    if not text.isascii():
        return [match.span() for match in itertools.islice(_TOKEN.finditer(text), len(tokens))]
    # Between two tokens is white space only, so the next one is the first thing there that looks like it.
    lowered, end = text.lower(), 0
    spans: list[tuple[int, int]] = []
    for token in tokens:
        start = lowered.index(token, end)
        end = start + len(token)
        spans.append((start, end))
    return spans


@lru_cache(maxsize=50_000)
def _value_tokens(value: str) -> tuple[str, ...]:
    return _folded_tokens(value)


class Mention(NamedTuple):
    """A value in a text.

    Attributes
    ----------
    start, end
        Its first character and the one after its last.
    kind, value
        Its type, and the value as the gazetteer has it.
    written
        The value as the text has it.
    """

    start: int
    end: int
    kind: str
    value: str
    written: str


# Tokens, type and value.
_Entry = tuple[tuple[str, ...], str, str]


class _Node:
    """A place in the tree of token sequences."""

    __slots__ = ("entry", "following")

    def __init__(self) -> None:
        self.following: dict[str, _Node] = {}
        self.entry: _Entry | None = None

    def add(self, entry: _Entry) -> None:
        """Add an entry below this place, which is that of its first token; of equal ones the first stays."""
        node = self
        for token in entry[0][1:]:
            child = node.following.get(token)
            if child is None:
                child = node.following[token] = _Node()
            node = child
        if node.entry is None:
            node.entry = entry


class Gazetteer:
    """Values by their tokens, in trees: adding one, and finding the longest at a position, take as many steps as it has tokens.

    Values wait in a list by their first token, until a text has it: a session's are put together at each of its turns, and most
    are not mentioned in it.

    Attributes
    ----------
    added
        Type and value of every entry, in the order in which they came.
    beginnings
        The tokens that a value begins with, as keys.
    """

    def __init__(self) -> None:
        self.beginnings: dict[str, _Node | list[_Entry]] = {}
        self._known: set[tuple[tuple[str, ...], str]] = set()
        self._of_kind: dict[str, frozenset[str]] = {}
        self.added: list[tuple[str, str]] = []
        self._filter: bytearray | None = None

    def __len__(self) -> int:
        return len(self.added)

    def values_of(self, kind: str) -> frozenset[str]:
        """Return the values of a type."""
        own = self._of_kind.get(kind)
        if own is None:
            own = self._of_kind[kind] = frozenset(value for other, value in self.added if other == kind)
        return own

    def add(self, kind: str, value: str, written: str | None = None) -> None:
        """Add a value, or another way to write it; of equal ones of different types the first is found.

        Single letters and digits are left out: they are everywhere and say nothing. So are values of more than 64 tokens.
        """
        written = value if written is None else written
        if len(written) < 2 and written.isascii():
            return
        tokens = _value_tokens(written)
        if not tokens or len(tokens) > _LONGEST_VALUE:
            return
        n_known = len(self._known)
        self._known.add((tokens, kind))
        if len(self._known) == n_known:
            return
        self._of_kind.pop(kind, None)
        self.added.append((kind, value))
        entry, first = (tokens, kind, value), self.beginnings.get(tokens[0])
        if first is None:
            self.beginnings[tokens[0]] = [entry]
            if lookup is not None and tokens[0].isascii():
                self._filter = self._filter or bytearray(_FILTER_BYTES)
                lookup.add_to_filter(self._filter, tokens[0])
        elif isinstance(first, list):
            first.append(entry)
        else:
            first.add(entry)

    def may_begin_in(self, text: str) -> bool:
        """Whether a value may begin in a text of ASCII; quick, where it is compiled, and wrong at times if there is none."""
        if lookup is None or self._filter is None:
            return bool(self.beginnings)
        return lookup.may_have(self._filter, text)

    def longest_at(self, tokens: Sequence[str], start: int) -> tuple[int, str, str] | None:
        """Return length in tokens, type and value of the longest value that begins at a token; None if there is none."""
        node = self.beginnings.get(tokens[start])
        if node is None:
            return None
        if isinstance(node, list):
            entries, node = node, _Node()
            for entry in entries:
                node.add(entry)
            # Threads that share a gazetteer may both do this; the trees are equal.
            self.beginnings[tokens[start]] = node
        longest = node.entry
        for position in range(start + 1, len(tokens)):
            child = node.following.get(tokens[position])
            if child is None:
                break
            node = child
            longest = node.entry or longest
        return None if longest is None else (len(longest[0]), longest[1], longest[2])


@lru_cache(maxsize=16)
def _made_once(values: tuple[tuple[str, tuple[str | tuple[str, str], ...]], ...]) -> Gazetteer:
    gazetteer = Gazetteer()
    for kind, entries in values:
        for entry in entries:
            written, value = (entry, entry) if isinstance(entry, str) else entry
            gazetteer.add(kind, value, written)
    return gazetteer


def static_gazetteer(values: Entries) -> Gazetteer:
    """Return the gazetteer of a corpus, from types to values; equal ones are one object, which nobody may change."""
    return _made_once(tuple((kind, tuple(entries)) for kind, entries in values.items()))


def find_mentions(text: str, local: Gazetteer, static: Gazetteer) -> list[Mention]:
    """Return the values of two gazetteers in a text from left to right, the longest at each place; among equals the local one."""
    begins_local, begins_static = local.beginnings, static.beginnings
    if not begins_local and not begins_static:
        return []
    if text.isascii() and not local.may_begin_in(text) and not static.may_begin_in(text):
        return []
    is_short = len(text) <= _LONGEST_REMEMBERED
    tokens = _remembered_tokens(text) if is_short else _folded_tokens(text)
    if (not begins_local or begins_local.keys().isdisjoint(tokens)) and begins_static.keys().isdisjoint(tokens):
        return []
    hits: list[tuple[int, int, str, str]] = []
    free = 0
    for position, token in enumerate(tokens):
        is_local, is_static = token in begins_local, token in begins_static
        if position < free or not (is_local or is_static):
            continue
        hit = local.longest_at(tokens, position) if is_local else None
        other = static.longest_at(tokens, position) if is_static else None
        if hit is None or (other is not None and other[0] > hit[0]):
            hit = other
        if hit is not None:
            free = position + hit[0]
            hits.append((position, *hit))
    if not hits:
        return []
    spans = _spans(text, tokens[:free])
    mentions: list[Mention] = []
    for position, length, kind, value in hits:
        start, end = spans[position][0], spans[position + length - 1][1]
        mentions.append(Mention(start, end, kind, value, text[start:end]))
    return mentions


def mark(text: str, mentions: Sequence[Mention], names: Sequence[str | None]) -> str:
    """Put a name in the place of each mention; None leaves it as it is written."""
    parts: list[str] = []
    last = 0
    for mention, name in zip(mentions, names, strict=True):
        if name is not None:
            parts += [text[last : mention.start], name]
            last = mention.end
    return "".join([*parts, text[last:]])
