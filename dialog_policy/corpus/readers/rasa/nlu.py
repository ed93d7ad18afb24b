"""What users say: the examples of ``nlu.yml``, and the markup of entities in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from dialog_policy.corpus.readers.acts import join
from dialog_policy.corpus.readers.rasa.documents import Entry
from dialog_policy.corpus.splits import hash_fraction
from dialog_policy.errors import CorpusError, did_you_mean

__all__ = ["Entity", "Examples", "plain"]

# [Rome](city), [Rome](city:rome), [Rome]{"entity": "city", "role": "from"}, [Rome][{…}, {…}]
_MARKED = re.compile(r"\[([^\[\]]+)\](?:\(([^():]+)(?::([^()]+))?\)|(\{[^{}]*\})|(\[\{[^\[\]]*\}\]))")


class Entity(msgspec.Struct, frozen=True):
    """Something that the user named, as the markup has it."""

    entity: str
    value: Any = None
    role: str | None = None
    group: str | None = None

    @property
    def name(self) -> str:
        """What it is, in which role and group: ``city-from``."""
        return join(self.entity, self.role, self.group)


# Keys of an item of ``nlu``: an intent, or what is passed over.
_KEYS = ("intent", "examples", "metadata", "synonym", "regex", "lookup")

_decode = msgspec.json.Decoder(list[Entity]).decode


def plain(text: str) -> tuple[str, dict[str, Any]]:
    """Return a text without the markup of entities, and the entities' values by their names."""
    entities_by_name: dict[str, Any] = {}

    def replace(match: re.Match[str]) -> str:
        words, kind, value, one, several = match.groups()
        try:
            entities = [Entity(kind, value)] if kind else _decode(several or f"[{one}]")
        except msgspec.DecodeError:
            return match.group()  # brackets that mean something else
        for entity in entities:
            entities_by_name[entity.name] = words if entity.value is None else entity.value
        return words

    return _MARKED.sub(replace, text), entities_by_name


class Examples:
    """Texts for each intent."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}

    def add(self, item: Any, place: str) -> None:
        """Remember the examples of an item of ``nlu:``; synonyms, lookup tables and expressions are passed over.

        Raises
        ------
        CorpusError
            If it is not an item of ``nlu:``, or has a key that Rasa does not know: its examples would be lost.
        """
        if not isinstance(item, Entry):
            raise CorpusError(f"expected 'intent: …' with examples under 'nlu', found {item!r}.", path=place)
        intent = item.get("intent")
        for key in item:
            if key not in _KEYS:
                raise CorpusError(
                    f"an item of 'nlu' has the keys {', '.join(_KEYS)}; found {key!r}.",
                    path=place,
                    line=item.line,
                    remedy=did_you_mean(key, _KEYS).strip(),
                )
        if not isinstance(intent, str):
            return
        texts = [plain(line.strip())[0] for line in _lines(item, place)]
        # A story may say "faq" for any of "faq/opening_hours", "faq/prices" …
        for name in dict.fromkeys((intent, intent.partition("/")[0])):
            self._texts.setdefault(name, []).extend(text for text in texts if text)

    def pick(self, intent: str, key: str) -> str:
        """Return the example of an intent that belongs to `key`; where it has none, the intent's name."""
        texts = self._texts.get(intent) or [intent]
        return texts[int(hash_fraction(key) * len(texts)) % len(texts)]


def _lines(item: Entry, place: str) -> Iterator[str]:
    examples = item.get("examples") or []
    if isinstance(examples, str):
        yield from (line.strip()[1:] for line in examples.splitlines() if line.strip().startswith("-"))
        return
    for example in examples if isinstance(examples, list) else [examples]:
        text = example.get("text") if isinstance(example, Entry) else example
        if not isinstance(text, str):
            raise CorpusError(
                f"expected a text as an example of {item['intent']!r}, found {text!r}.", path=place, line=item.line
            )
        yield text.strip().removeprefix("- ")
