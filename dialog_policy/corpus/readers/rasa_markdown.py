"""Rasa 1.x: stories in Markdown, end-to-end stories of texts among them.

``* intent{"entity": "value"}`` is what the user said, ``* intent: text`` and ``* text`` say it in words; ``- action``, ``- slot{…}`` and
``- form{…}`` follow. In an end-to-end story the system's texts stand where actions do; a file ``action_map.json`` beside the domain maps
each text to its acts. An entity fills the slot of its name, if the domain has one: slots stay, entities are news of one turn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import msgspec

from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.problems import Problem
from dialog_policy.corpus.readers.acts import labels_option
from dialog_policy.corpus.readers.limits import bounded_lines
from dialog_policy.corpus.readers.rasa.checkpoints import paths
from dialog_policy.corpus.readers.rasa.checks import SIMILAR, problems
from dialog_policy.corpus.readers.rasa.dialogues import Builder
from dialog_policy.corpus.readers.rasa.documents import sections
from dialog_policy.corpus.readers.rasa.nlu import plain
from dialog_policy.corpus.readers.rasa.project import declared_names, read_project
from dialog_policy.corpus.readers.rasa.stories import Did, Known, Part, Said, Step
from dialog_policy.corpus.readers.reader import Opened, Option, Options, Reader
from dialog_policy.corpus.readers.source import Source
from dialog_policy.errors import CorpusError, did_you_mean

__all__ = ["READER"]

_DOMAINS = ("domain.yml", "domain.yaml")
_ACTS = "action_map.json"
_STORY = re.compile(rb"^##[ \t]+\S.*\n(?:\s*<!--.*-->|[ \t]*>.*|\s)*\*[ \t]*\S", re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->")
# A name, the values of its entities, and the message in words: greet, inform{"area": "north"}, inform: somewhere [north](area)
_INTENT = re.compile(r"(?P<name>[^\s{}:]+)[ \t]*(?P<entities>\{.*\})?[ \t]*(?::[ \t]*(?P<text>.*))?")
_EVENT = re.compile(r"(?P<kind>slot|form)[ \t]*(?P<values>\{.*\})")


class _Domain(NamedTuple):
    """What the files beside the stories declare; `acts` maps a text of the system to its acts."""

    intents: frozenset[str]
    slots: frozenset[str]
    acts: Mapping[str, tuple[str, ...]]


class _Files(NamedTuple):
    """The files of one project: its domain (at most one), the maps from texts to acts, the stories."""

    domains: list[str]
    maps: list[str]
    stories: list[str]


def _files(source: Source, folder: str) -> _Files:
    members = [member for member in source.members if _is_in(member, folder)]
    if folder and not members:
        folders = sorted({PurePosixPath(m).parent.name for m in source.members if PurePosixPath(m).name in _DOMAINS})
        raise CorpusError(
            f"there is no folder {folder!r}; those with a domain: {', '.join(folders) or 'none'}.",
            path=source.path,
            remedy=did_you_mean(folder, folders).strip(),
        )
    domains = [member for member in members if PurePosixPath(member).name in _DOMAINS]
    if len(domains) > 1:
        names = sorted(str(PurePosixPath(member).parent) for member in domains)
        raise CorpusError(
            f"expected the stories of one project, found {len(names)}: {', '.join(names)}.",
            path=source.path,
            remedy=f"Choose one: --reader folder={PurePosixPath(names[0]).name}.",
        )
    maps = [member for member in members if PurePosixPath(member).name == _ACTS]
    return _Files(domains, maps, [m for m in members if m.endswith(".md") and _has_stories(source, m)])


def _read(source: Source, folder: str, labels: str) -> Iterator[Dialogue]:
    files = _files(source, folder)
    domain = _declared(source, files.domains, files.maps)
    builder = Builder(source, files.domains, labels)
    has_tests = any(map(_is_test, files.stories))
    joined: dict[str | None, list[Part]] = {}
    for member in files.stories:
        split = ("test" if _is_test(member) else "train") if has_tests else None
        for story in _stories(source, member, domain):
            if any(part.starts or part.ends for part in story):
                joined.setdefault(split, []).extend(story)
            else:
                yield from builder.dialogues(story, split)
    for split, parts in joined.items():
        for way in paths(parts):
            yield from builder.dialogues(way, split)


def _problems(source: Source, folder: str) -> list[Problem]:
    """Compare the stories with the domain; a text is no name, but one word that is nearly an intent is a misspelt one."""
    files = _files(source, folder)
    domain = _declared(source, files.domains, files.maps)
    parts = [part for member in files.stories for story in _stories(source, member, domain) for part in story]
    for part in parts:
        part.steps = [[_as_name(step, domain) for step in steps] for steps in part.steps]
    project = read_project(source, files.domains)
    project.declared["actions"] = {
        name for name in project.declared["actions"] if not (name in domain.acts or " " in name)
    }
    return problems(project, [parts])


def _as_name(step: Step, domain: _Domain) -> Step:
    if isinstance(step, Said) and not step.intent and did_you_mean(step.text, domain.intents, cutoff=SIMILAR):
        return step._replace(intent=step.text)
    if isinstance(step, Did) and step.text is None and " " in step.action:
        return step._replace(text=step.action)
    return step


def _is_in(member: str, folder: str) -> bool:
    parents = PurePosixPath(member).parts[:-1]
    folder_parts = PurePosixPath(folder).parts
    return any(parents[i : i + len(folder_parts)] == folder_parts for i in range(len(parents) + 1))


def _is_test(member: str) -> bool:
    return PurePosixPath(member).name.startswith(("test_", "conversation_tests"))


def _declared(source: Source, domains: list[str], maps: list[str]) -> _Domain:
    declared: dict[str, set[str]] = {"intents": set(), "slots": set()}
    for member in domains:
        for key, value in sections(source, member):
            if key in declared:
                declared[key].update(declared_names(value))
    acts: dict[str, tuple[str, ...]] = {}
    for member in maps:
        content = source.read(member)
        try:
            acts |= msgspec.json.decode(content, type=dict[str, tuple[str, ...]])
        except (ValueError, RecursionError) as error:
            problem = f"expected an object of texts and their lists of acts; {error}."
            raise CorpusError(problem, path=source.place(member)) from None
    return _Domain(frozenset(declared["intents"]), frozenset(declared["slots"]), acts)


def _stories(source: Source, member: str, domain: _Domain) -> Iterator[list[Part]]:
    """Yield each story as its parts: one, or more where a checkpoint stands in its middle."""
    parts: list[Part] = []
    place = source.place(member)
    with source.open_text(member) as text:
        for number, written in enumerate(bounded_lines(text, source.place(member)), 1):
            line = _COMMENT.sub("", written).strip()
            if line.startswith("## "):
                if parts:
                    yield [part for part in parts if part.steps]
                parts = [Part(line[3:].strip(), "story", place, number)]
            elif line:
                if not parts:
                    raise CorpusError("expected '## NAME OF A STORY' before its first step.", path=place, line=number)
                _add(parts, line, _Line(domain, place, number, parts[0].name))
    if parts:
        yield [part for part in parts if part.steps]


class _Line(NamedTuple):
    """Where a line stands, and what it may name."""

    domain: _Domain
    path: str
    number: int
    story: str

    def error(self, problem: str, remedy: str = "") -> CorpusError:
        return CorpusError(f"{problem}.", path=self.path, line=self.number, dialogue=self.story, remedy=remedy)

    def object(self, written: str) -> dict[str, Any]:
        """Decode the JSON object behind a name."""
        try:
            return msgspec.json.decode(written, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self.error(f'expected {{"name": "value"}}, found {written} ({error})') from None


def _add(parts: list[Part], line: str, at: _Line) -> None:
    """Add what a line of a story says to its last part."""
    part = parts[-1]
    mark, rest = line[0], line[1:].strip()
    if mark == ">" and rest:
        # First ones are alternative entries; later ones end the part, and what follows begins another.
        (part.ends if part.steps else part.starts).append(rest)
        return
    if mark not in "*-" or not rest:
        raise at.error(
            f"expected '* what the user said', '- what the system did' or '> checkpoint', found {line!r}",
            "Text that is none of these goes into <!-- a comment -->.",
        )
    if part.ends:
        parts.append(Part(part.name, part.kind, part.path, at.number, starts=part.ends))
    steps = _said(rest, at) if mark == "*" else _done(rest, at)
    parts[-1].steps.extend(steps)


def _said(text: str, at: _Line) -> list[list[Step]]:
    options = [_message(option.strip(), at) for option in text.split(" OR ")]
    if len(options) > 1 and not all(message.intent for message in options):
        options = [_message(text, at)]  # the word stands in a sentence
    slots = [
        {name: value for name, value in message.entities.items() if name in at.domain.slots} for message in options
    ]
    return [list(options), [Known(values) for values in slots]] if any(slots) else [list(options)]


def _message(text: str, at: _Line) -> Said:
    match = _INTENT.fullmatch(text)
    if match is None or (at.domain.intents and match["name"] not in at.domain.intents):
        if match is not None and match["entities"]:
            hint = did_you_mean(match["name"], at.domain.intents).strip()
            raise at.error(f"the domain has no intent {match['name']!r}", hint)
        return _in_words(text, "", {})
    if not at.domain.intents and match["text"] is None and match["entities"] is None and at.domain.acts:
        return _in_words(text, "", {})  # one word of an end-to-end story
    return _in_words(match["text"] or "", match["name"], at.object(match["entities"]) if match["entities"] else {})


def _in_words(text: str, intent: str, entities: dict[str, Any]) -> Said:
    words, marked = plain(text)
    return Said(words, intent, {**marked, **entities})


def _done(text: str, at: _Line) -> list[list[Step]]:
    event = _EVENT.fullmatch(text)
    if event is not None:
        values = at.object(event["values"])
        return [[Known(values) if event["kind"] == "slot" else Known(None, values.get("name"))]]
    if text == "action_listen":  # waiting for the user is no action of ours
        return []
    if text in at.domain.acts:
        return [[Did(text, text, at.domain.acts[text])]]
    return [[Did(text, None)]]


def _has_stories(source: Source, member: str) -> bool:
    with source.open(member) as file:
        return _STORY.search(file.read(1 << 18).replace(b"\r\n", b"\n")) is not None


def _recognises(source: Source) -> bool:
    return any(member.endswith(".md") and _has_stories(source, member) for member in source.members)


def _open(source: Source, options: Options) -> Opened:
    return Opened(
        lambda: _read(source, options["folder"], options["labels"]),
        problems=lambda: _problems(source, options["folder"]),
    )


READER = Reader(
    "rasa_markdown",
    "Rasa 1.x: Markdown stories, including end-to-end stories",
    _recognises,
    _open,
    {
        "folder": Option("", "the folder to read, where there are several projects"),
        "labels": labels_option("action", ("action", "set")),
    },
)
