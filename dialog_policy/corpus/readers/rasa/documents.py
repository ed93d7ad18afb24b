"""YAML files, item by item, by the rules of YAML 1.2 that Rasa follows: ``no`` is a word and ``12:30`` is not a number.

Values are built from the parser's events, not by its constructor: mappings keep their line, tags are ignored, depth and the
copies that aliases make are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TextIO

import yaml

from dialog_policy.corpus.readers.source import Source
from dialog_policy.errors import CorpusError

__all__ = ["Entry", "sections"]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST = 50
# Bytes; people split their stories long before.
_LARGEST = 64 << 20
# Values that aliases may repeat in one file: what people write has tens, a bomb has billions.
_MOST_COPIED = 100_000
_SURROGATE = re.compile("[\ud800-\udfff]")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# Longer numbers stay text: they are identifiers, and not every reader of JSON would give them back.
_INTEGER = re.compile(r"[-+]?[0-9]{1,15}")
_DECIMAL = re.compile(r"[-+]?(?:\.[0-9]{1,15}|[0-9]{1,15}(?:\.[0-9]{0,15})?)(?:[eE][-+]?[0-9]{1,2})?")


class Entry(dict[str, Any]):
    """A mapping and the line, counted from 1, on which it begins."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line


def sections(source: Source, member: str) -> Iterator[tuple[str, Any]]:
    """Yield each key of a file's outermost mapping with its value; where that is a list, with each item of it.

    Raises
    ------
    CorpusError
        If the member is not YAML, or is made to exhaust its reader.
    """
    place = source.place(member)
    if source.size(member) > _LARGEST:
        raise CorpusError(f"has {source.size(member):,} bytes, more than a file of stories has; refused.", path=place)
    with source.open_text(member) as text:
        try:
            yield from _Composer(text, place).sections()
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else None
            raise CorpusError(f"expected YAML; {error.problem}.", path=place, line=line) from None
        except yaml.YAMLError as error:
            raise CorpusError(f"expected YAML; {str(error).splitlines()[0]}.", path=place) from None


class _Composer:
    """Values from the events of one file."""

    def __init__(self, text: TextIO, place: str) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
        self._place = place
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._values = self._copied = 0

    def sections(self) -> Iterator[tuple[str, Any]]:
        for start in self._events:
            if isinstance(start, yaml.MappingStartEvent):
                for key, event in self._pairs():
                    if isinstance(event, yaml.SequenceStartEvent):
                        for item in self._items():
                            yield key, self._value(item, 1)
                    else:
                        yield key, self._value(event, 1)
            elif isinstance(start, yaml.NodeEvent):
                raise self._error(start, "expected a mapping such as 'stories:', found something else")

    def _items(self) -> Iterator[Any]:
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            yield event

    def _pairs(self) -> Iterator[tuple[str, Any]]:
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self._error(event, "expected a name before the colon, found a list, a mapping or an alias")
            yield self._checked(event).value, next(self._events)

    def _value(self, event: Any, depth: int) -> Any:
        if depth > _DEEPEST:
            raise self._error(event, "it is nested too deeply")
        self._values += 1
        if isinstance(event, yaml.AliasEvent):
            return self._copy(event)
        before = self._values
        value: Any
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(self._checked(event))
        elif isinstance(event, yaml.SequenceStartEvent):
            value = [self._value(item, depth + 1) for item in self._items()]
        else:
            value = Entry(event.start_mark.line + 1)
            for key, inner in self._pairs():
                if key in value:  # most often a forgotten dash
                    raise self._error(inner, f"the key {key!r} occurs twice in one mapping")
                value[key] = self._value(inner, depth + 1)
        if event.anchor:
            self._anchors[event.anchor] = value, 1 + self._values - before
        return value

    def _checked(self, event: Any) -> Any:
        # libyaml refuses such an escape; PyYAML's own parser, where there is no libyaml, does not.
        if _SURROGATE.search(event.value):
            raise self._error(event, "it has half of a character (a surrogate)")
        return event

    def _copy(self, event: Any) -> Any:
        if event.anchor not in self._anchors:
            raise self._error(
                event, f"the alias *{event.anchor} is used before its anchor is complete, or has no anchor"
            )
        value, size = self._anchors[event.anchor]
        self._values += size
        self._copied += size
        if self._copied > _MOST_COPIED:
            raise self._error(event, f"its aliases repeat more than {_MOST_COPIED:,} values; refused")
        return value

    def _error(self, event: Any, problem: str) -> CorpusError:
        return CorpusError(f"{problem}.", path=self._place, line=event.start_mark.line + 1)


def _scalar(event: Any) -> Any:
    text: str = event.value
    if event.style or not event.implicit[0]:  # quoted, a block, or tagged
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text
