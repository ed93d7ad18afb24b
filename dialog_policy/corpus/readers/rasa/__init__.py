"""Rasa 2.x and 3.x: YAML stories and rules, with the texts of ``nlu`` and ``responses``.

A user message is its own text, an example of its intent, or the intent's name; an action says the first text of its response.
Entities, slots and the active form are the context of the next action. Files named ``test_…`` are the part ``test``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.readers.acts import labels_option
from dialog_policy.corpus.readers.rasa.checkpoints import paths
from dialog_policy.corpus.readers.rasa.dialogues import Builder
from dialog_policy.corpus.readers.rasa.documents import sections
from dialog_policy.corpus.readers.rasa.stories import Part, parts
from dialog_policy.corpus.readers.reader import Opened, Options, Reader
from dialog_policy.corpus.readers.source import Source

__all__ = ["READER"]

_KINDS = {"stories": "story", "rules": "rule"}
_MARK = b"\xef\xbb\xbf"
_KEY = re.compile(rb"[ \"']*(stories|rules|nlu|responses)[\"']?[ \t]*:")
# Others have "rules:", too.
_STORIES = re.compile(rb"^[\"']?(?:stories|rules)[\"']?[ \t]*:", re.MULTILINE)
_STORY = re.compile(rb"^[ \t]*-[ \t]+[\"']?(?:story|rule)[\"']?[ \t]*:", re.MULTILINE)


def _read(source: Source, labels: str) -> Iterator[Dialogue]:
    keys = {member: _keys(source, member) for member in _members(source)}
    builder = Builder(source, (m for m, found in keys.items() if found & {"nlu", "responses"}), labels)
    told = [member for member, found in keys.items() if found & _KINDS.keys()]
    has_tests = any(map(_is_test, told))
    joined: dict[str | None, list[Part]] = {}
    for member in told:
        split = ("test" if _is_test(member) else "train") if has_tests else None
        for key, value in sections(source, member):
            if key not in _KINDS or value is None:
                continue
            found = list(parts(value, _KINDS[key], source.place(member)))
            if any(part.starts or part.ends for part in found):
                joined.setdefault(split, []).extend(found)
            elif found:
                yield from builder.dialogues(found, split)
    for split, found in joined.items():
        for way in paths(found):
            yield from builder.dialogues(way, split)


def _is_test(member: str) -> bool:
    return PurePosixPath(member).name.startswith("test_")


def _members(source: Source) -> list[str]:
    """YAML files; but what ``rasa test`` leaves in ``results`` repeats stories."""
    return [m for m in source.members if m.endswith((".yml", ".yaml")) and "results" not in m.split("/")[:-1]]


def _keys(source: Source, member: str) -> set[str]:
    """Which of our keys a file seems to have; one of something else need not even be YAML."""
    with source.open(member) as file:
        return {match[1].decode() for line in file if (match := _KEY.match(line.removeprefix(_MARK)))}


def _recognises(source: Source) -> bool:
    for member in _members(source):
        with source.open(member) as file:
            head = file.read(1 << 18).removeprefix(_MARK)
        if _STORIES.search(head) and _STORY.search(head):
            return True
    return False


def _open(source: Source, options: Options) -> Opened:
    return Opened(lambda: _read(source, options["labels"]))


READER = Reader(
    "rasa",
    "Rasa 2.x and 3.x: YAML stories and rules",
    _recognises,
    _open,
    {"labels": labels_option("action", ("action", "set"))},
)
