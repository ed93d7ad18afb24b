"""Dialog bAbI tasks 1 to 6 (Bordes & Weston 2016). An action is a response template.

A response is delexicalised with the knowledge base and with the results that the dialogue returned: the arguments of an
``api_call`` too. ``<SILENCE>`` is an empty utterance; result lines are the context of the turn that follows them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from dialog_policy.corpus.dialogue import Dialogue, Turn
from dialog_policy.corpus.entity_tracker import EntityTracker
from dialog_policy.corpus.readers.reader import Opened, Option, Options, Reader
from dialog_policy.corpus.readers.source import Source
from dialog_policy.errors import CorpusError

__all__ = ["READER"]

_FILE = re.compile(r"task(\d)-.*?(trn|dev|tst|tst-OOV)\.txt$")
_SPLITS = {"trn": "train", "dev": "dev", "tst": "test", "tst-OOV": "test-oov"}
_DERIVED = re.compile(r"(\w+?)_(phone|address|post_code)")
# Responses that are so frequent are templates whose placeholders say what stands in their places.
_FREQUENT = 10
_SILENCE = "<SILENCE>"
_API_CALL, _NO_RESULT = "api_call ", "api_call no result"
# The order of an api_call's arguments: four in tasks 1 to 5, three in task 6.
_ARGUMENTS = {4: ("cuisine", "location", "number", "price"), 3: ("cuisine", "location", "price")}

_Gazetteer = dict[str, tuple[str, ...]]


def _parts(source: Source, task: str) -> list[tuple[str, str]]:
    """Members of the task with their split, train first; a single file of another name has none."""
    files = []
    for member in source.members:
        match = _FILE.search(PurePosixPath(member).name)
        if match and (match.group(1) == task or source.is_single_file):
            files.append((member, _SPLITS[match.group(2)]))
        elif source.is_single_file:
            files.append((member, ""))
    order = [*_SPLITS.values(), ""]
    files.sort(key=lambda part: order.index(part[1]))
    if not files:
        raise CorpusError(
            f"expected files of dialog bAbI task {task} (…task{task}-…-trn.txt, -dev.txt), found none.",
            path=source.path,
            remedy="Choose another task with --reader task=N.",
        )
    return files


def _record_line(words: list[str]) -> tuple[str, str, str] | None:
    """Name, attribute and value of a line like ``resto_1 R_phone resto_1_phone``."""
    if len(words) == 3 and words[1].startswith("R_"):
        return words[0], words[1].removeprefix("R_"), words[2]
    return None


def _gazetteer(source: Source, task: str, parts: list[tuple[str, str]]) -> _Gazetteer:
    """Entity values from the task's knowledge base; without one, from the training part."""
    bases = [m for m in source.find("*kb*.txt") if ("task6" in m) == (task == "6")]
    members = bases or [member for member, split in parts if split == "train"] or [parts[0][0]]
    values: dict[str, dict[str, None]] = {}
    ordinary: set[str] = set()
    for member in members:
        for _, line in source.lines(member):
            number, *words = line.split() or [""]
            if number == "1" and "\t" in line and not _record_line(words):
                ordinary.update(line.casefold().partition("\t")[2].split())
            for token in words:
                # Task 6 speaks of restaurants that no result of its training part lists; their telephone number names them.
                match = _DERIVED.fullmatch(token)
                if match:
                    values.setdefault("name", {})[match[1]] = None
                    values.setdefault(match[2], {})[token] = None
            record = _record_line(words)
            if record is not None:
                name, attribute, value = record
                values.setdefault("name", {})[name] = None
                if attribute != "rating":
                    values.setdefault(attribute, {})[value] = None
            elif _API_CALL in line and not line.endswith(_NO_RESULT):
                arguments = line.partition(_API_CALL)[2].split()
                for kind, value in zip(_ARGUMENTS.get(len(arguments), ()), arguments, strict=False):
                    if not value.startswith("R_"):
                        values.setdefault(kind, {})[value] = None
    _add_induced(values, source, parts if not bases else [])
    # Task 6 writes names with spaces in its responses. A word of the greeting is no name: "You can ask for …", and "Ask".
    names = values.get("name", {})
    for name in list(names):
        names[name.replace("_", " ")] = None
        if name in ordinary:
            del names[name]
    return {kind: tuple(sorted(texts)) for kind, texts in sorted(values.items())}


def _add_induced(values: dict[str, dict[str, None]], source: Source, parts: list[tuple[str, str]]) -> None:
    """Add values that no call and no record has, and responses of the training part do.

    "Sorry there is no polish restaurant" differs from a frequent template in one word, where that has ``<cuisine>``.
    """
    counts: Counter[tuple[str, ...]] = Counter()
    tracker = EntityTracker({kind: tuple(own) for kind, own in values.items()})
    for member in (member for member, split in parts if split == "train"):
        for _, line in source.lines(member):
            response = line.partition("\t")[2].strip()
            counts[tuple(tracker.delexicalise(response).split())] += 1
    # Frequent templates without one of their placeholders, at its position.
    open_at: dict[tuple[int, tuple[str, ...]], str] = {}
    for template, count in counts.items():
        for position, word in enumerate(template) if count >= _FREQUENT else ():
            if word.startswith("<") and word.endswith(">"):
                open_at[position, (*template[:position], *template[position + 1 :])] = word[1:-1]
    for template in counts:
        for position, word in enumerate(template):
            kind = open_at.get((position, (*template[:position], *template[position + 1 :])))
            if kind is not None and not word.startswith(("<", "R_")):
                values.setdefault(kind, {})[word] = None


def _results(records: Mapping[str, dict[str, str]]) -> list[dict[str, str]]:
    """Sort records, the best rated first: the order in which the system offers them."""

    def rating(record: Mapping[str, str]) -> int:
        value = record.get("rating", "")
        return int(value) if value.isdecimal() else 0

    return sorted(({"name": name, **record} for name, record in records.items()), key=rating, reverse=True)


class _Builder:
    """One dialogue, line by line."""

    def __init__(self, gazetteer: _Gazetteer) -> None:
        self.tracker = EntityTracker(gazetteer)
        self.turns: list[Turn] = []
        self.records: dict[str, dict[str, str]] = {}
        self.no_result = False

    def exchange(self, user: str, response: str) -> None:
        user = "" if user == _SILENCE else user
        context: dict[str, Any] = {}
        if self.records or self.no_result:
            context["results"] = _results(self.records)
        self.tracker.observe_user(user, context)
        template = self.tracker.delexicalise(response)
        self.turns.append(Turn(user=user, context=context, actions=frozenset([template]), system=response))
        self.tracker.observe_system(response)
        self.records, self.no_result = {}, False


def _read(source: Source, parts: list[tuple[str, str]], gazetteer: _Gazetteer) -> Iterator[Dialogue]:
    for member, split in parts:
        number, builder = 0, _Builder(gazetteer)
        for line_number, line in source.lines(member):
            text = line.strip("\r\n")
            if not text.strip():
                if builder.turns:
                    yield _dialogue(split, number, builder)
                    number, builder = number + 1, _Builder(gazetteer)
                continue
            count, _, rest = text.partition(" ")
            user, tab, response = rest.partition("\t")
            record = None if tab else _record_line(rest.split())
            if not count.isdecimal() or not (tab or record or rest == _NO_RESULT):
                raise CorpusError(
                    f"expected 'N user<TAB>system' or 'N name R_attribute value', found {text[:60]!r}.",
                    path=source.place(member),
                    line=line_number,
                )
            if tab:
                builder.exchange(user, response.strip())
            elif record:
                builder.records.setdefault(record[0], {})[record[1]] = record[2]
            else:
                builder.no_result = True
        if builder.turns:
            yield _dialogue(split, number, builder)


def _dialogue(split: str, number: int, builder: _Builder) -> Dialogue:
    return Dialogue(id=f"{split or 'dialogue'}-{number}", turns=tuple(builder.turns), split=split or None)


def _open(source: Source, options: Options) -> Opened:
    parts = _parts(source, options["task"])
    gazetteer = _gazetteer(source, options["task"], parts)
    return Opened(lambda: _read(source, parts, gazetteer), gazetteer, replies_are_templates=True)


def _recognises(source: Source) -> bool:
    return any(_FILE.search(member) and "babi" in member.lower() for member in source.members)


READER = Reader(
    "babi",
    "dialog bAbI tasks 1 to 6",
    _recognises,
    _open,
    {"task": Option("5", "which task", tuple("123456"))},
)
