"""Rasa 2.x and 3.x: YAML stories and rules, with the texts of ``nlu`` and ``responses``.

A user message is its own text, an example of its intent, or the intent's name; an action says the first text of its response.
Entities, slots and the active form are the context of the next action. Files named ``test_…`` are the part ``test``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.problems import Problem
from dialog_policy.corpus.readers.acts import labels_option
from dialog_policy.corpus.readers.rasa.checkpoints import paths
from dialog_policy.corpus.readers.rasa.checks import conflicts, problems
from dialog_policy.corpus.readers.rasa.dialogues import Builder
from dialog_policy.corpus.readers.rasa.documents import sections
from dialog_policy.corpus.readers.rasa.project import DATA_KEYS, DOMAIN_KEYS, check_section, read_project
from dialog_policy.corpus.readers.rasa.stories import Part, parts
from dialog_policy.corpus.readers.reader import Opened, Options, Reader
from dialog_policy.corpus.readers.source import Source

__all__ = ["READER"]

_KINDS = {"stories": "story", "rules": "rule"}
_MARK = b"\xef\xbb\xbf"
_KEY = re.compile(rb"[ \"']*(" + "|".join((*DATA_KEYS, *DOMAIN_KEYS)).encode() + rb")[\"']?[ \t]*:")
# Others have "rules:", too.
_STORIES = re.compile(rb"^[\"']?(?:stories|rules)[\"']?[ \t]*:", re.MULTILINE)
_STORY = re.compile(rb"^[ \t]*-[ \t]+[\"']?(?:story|rule)[\"']?[ \t]*:", re.MULTILINE)
# Examples of intents, under whatever key.
_INTENT = re.compile(rb"^[ \t]*-[ \t]+\{?[ \t]*[\"']?intent[\"']?[ \t]*:")
_EXAMPLES = re.compile(rb"[ \t{,][\"']?examples[\"']?[ \t]*:")
_STEPS = re.compile(rb"^[ \t]*[\"']?steps[\"']?[ \t]*:", re.MULTILINE)


def _read(source: Source, labels: str) -> Iterator[Dialogue]:
    keys = _keys_of_members(source)
    return _dialogues(
        source, keys, Builder(source, (m for m, own in keys.items() if own & {"nlu", "responses", "examples"}), labels)
    )


def _dialogues(source: Source, keys: Mapping[str, set[str]], builder: Builder) -> Iterator[Dialogue]:
    joined: dict[str | None, list[Part]] = {}
    for split, item in _items(source, keys):
        if any(part.starts or part.ends for part in item):
            joined.setdefault(split, []).extend(item)
        elif item:
            yield from builder.dialogues(item, split)
    for split, linked in joined.items():
        for way in paths(linked):
            yield from builder.dialogues(way, split)


def _items(source: Source, keys: Mapping[str, set[str]]) -> Iterator[tuple[str | None, list[Part]]]:
    """Yield the split and the parts of each story and rule."""
    files = [member for member, own in keys.items() if own & {*_KINDS, "story"}]
    has_tests = any(map(_is_test, files))
    for member in files:
        split = ("test" if _is_test(member) else "train") if has_tests else None
        for key, value in sections(source, member):
            check_section(key, value, source.place(member))
            if key in _KINDS and value is not None:
                yield split, list(parts(value, _KINDS[key], source.place(member)))


def _problems(source: Source) -> Iterator[Problem]:
    keys = _keys_of_members(source)
    yield from problems(read_project(source, _members(source, keys)), (item for _, item in _items(source, keys)))
    # Without examples and responses the texts are names, whatever example a story would get.
    stories = _dialogues(source, keys, Builder(source, (), "action"))
    yield from conflicts(dialogue for dialogue in stories if dialogue.fields["kind"] == "story")


def _is_test(member: str) -> bool:
    return PurePosixPath(member).name.startswith("test_")


def _yaml_members(source: Source) -> list[str]:
    """YAML files; but what ``rasa test`` leaves in ``results`` repeats stories."""
    return [m for m in source.members if m.endswith((".yml", ".yaml")) and "results" not in m.split("/")[:-1]]


def _members(source: Source, keys: Mapping[str, set[str]]) -> list[str]:
    return [member for member in _yaml_members(source) if keys[member]]


def _keys_of_members(source: Source) -> dict[str, set[str]]:
    return {member: _keys(source, member) for member in _yaml_members(source)}


def _keys(source: Source, member: str) -> set[str]:
    """Which of our keys a file seems to have, ``story`` if it has one, ``examples`` if it has those of an intent.

    A file of something else need not even be YAML.
    """
    keys = set()
    has_intent = has_examples = False
    with source.open(member) as file:
        for line in file:
            if match := _KEY.match(line.removeprefix(_MARK)):
                keys.add(match[1].decode())
            elif _STORY.match(line):
                keys.add("story")
            has_intent = has_intent or bool(_INTENT.match(line))
            has_examples = has_examples or bool(_EXAMPLES.search(line))
    return keys | {"examples"} if has_intent and has_examples else keys


def _recognises(source: Source) -> bool:
    for member in _yaml_members(source):
        with source.open(member) as file:
            head = file.read(1 << 18).removeprefix(_MARK)
        if _STORY.search(head) and (_STORIES.search(head) or _STEPS.search(head)):
            return True
    return False


def _open(source: Source, options: Options) -> Opened:
    return Opened(lambda: _read(source, options["labels"]), problems=lambda: _problems(source))


READER = Reader(
    "rasa",
    "Rasa 2.x and 3.x: YAML stories and rules",
    _recognises,
    _open,
    {"labels": labels_option("action", ("action", "set"))},
)
