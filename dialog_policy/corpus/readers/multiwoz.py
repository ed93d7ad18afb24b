"""MultiWOZ 2.0 and 2.1 (Budzianowski et al. 2018, Eric et al. 2020) and what has their form (2.3, 2.4, ConvLab-2's parts).

Either ``data.json`` has all dialogues, and ``valListFile`` and ``testListFile`` name those of dev and test, or each part is a
file. Users and system take turns in ``log``. A system turn's acts are its ``dialog_act`` (2.1), else stand in a file of their own
(2.0), where turn k is the k-th of the system. A turn without an act is history only.

The belief state (``metadata``) is no context. What was ``booked`` is the outcome of the system's own act, and of the values that
are new in a state of the validation part of 2.1, one in 24 is said for the first time in the reply of that turn or even later.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import msgspec

from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.readers.acts import Utterance, act_reader, join, pair
from dialog_policy.corpus.readers.json_files import entries
from dialog_policy.corpus.readers.part_names import part_of
from dialog_policy.corpus.readers.source import Source
from dialog_policy.errors import CorpusError

__all__ = ["LABELS", "READER", "Acts", "labels_of"]

# Domain and type of an act to its pairs of slot and value.
Acts = dict[str, list[tuple[str, Any]]]
# Turn to labels.
Labels = dict[str, frozenset[str] | None]

LABELS = {"act": ("act",), "domain-act": ("domain", "act"), "domain-act-slot": ("domain", "act", "slot")}
_ACTS_FILES = ("dialogue_acts.json", "system_acts.json")
_DOMAINS = ("attraction", "bus", "hospital", "hotel", "police", "restaurant", "taxi", "train")


class _Entry(msgspec.Struct):
    text: str = ""
    dialog_act: Acts | str | None = None


class _Dialogue(msgspec.Struct):
    log: list[_Entry]
    goal: dict[str, Any] = {}


def _actions(acts: Acts | str, parts: tuple[str, ...]) -> frozenset[str] | None:
    # Some turns have the words "No Annotation" for their acts.
    if isinstance(acts, str):
        return None
    labels = set()
    for name, pairs in acts.items():
        domain, _, act = name.rpartition("-")
        for slot in [slot for slot, _ in pairs] or [""]:
            named = {"domain": domain, "act": act, "slot": "" if slot.casefold() == "none" else slot}
            labels.add(join(*(named[part] for part in parts)))
    return frozenset(labels - {""}) or None


def labels_of(
    entries: Iterator[tuple[str, Mapping[str, Acts | str]]], parts: tuple[str, ...]
) -> Callable[[str], Labels]:
    """Return a function that gives, once, the labels of a dialogue's turns.

    `entries` are read only as far as they must be, and labels wait until somebody asks for them: where its dialogues come in the
    order of the questions, one is in memory at a time.
    """
    waiting: dict[str, Labels] = {}
    # A set that occurs often is kept once.
    kept: dict[frozenset[str] | None, frozenset[str] | None] = {}

    def find(name: str) -> Labels:
        while name not in waiting:
            other, turns = next(entries, (name, {}))
            sets = {turn: _actions(acts, parts) for turn, acts in turns.items()}
            waiting[other.removesuffix(".json")] = {t: kept.setdefault(labels, labels) for t, labels in sets.items()}
        return waiting.pop(name)

    return find


def _acts_members(source: Source) -> list[str]:
    return [member for name in _ACTS_FILES for member in source.find(name)]


def _acts_apart(source: Source) -> Iterator[tuple[str, dict[str, Acts | str]]]:
    for member in _acts_members(source):
        yield from entries(source, member, dict[str, Acts | str], "MultiWOZ acts")


def _utterances(
    name: str, log: list[_Entry], parts: tuple[str, ...], apart: Callable[[str], Labels]
) -> Iterator[Utterance]:
    labels = apart(name) if any(entry.dialog_act is None for entry in log[1::2]) else {}
    for number, entry in enumerate(log):
        if number % 2 == 0:
            yield Utterance(True, entry.text)
        elif entry.dialog_act is not None:
            yield Utterance(False, entry.text, _actions(entry.dialog_act, parts))
        else:
            yield Utterance(False, entry.text, labels.get(str(number // 2 + 1)))


def _listed(source: Source) -> dict[str, str] | None:
    """Map dialogues to parts, by the lists: one name a line, or a JSON array, whatever the ending says."""
    members = [(member, part) for part in ("val", "test") for member in source.find(f"{part}ListFile*")]
    lines = ((line, part) for member, part in members for _, line in source.lines(member))
    named = ((name, part) for line, part in lines for name in re.findall(r'[^\s",\[\]]+', line))
    return {name.removesuffix(".json"): part_of(part) or part for name, part in named} if members else None


def _read(source: Source, labels: str) -> Iterator[Dialogue]:
    parts = LABELS[labels]
    listed = _listed(source)
    apart = labels_of(_acts_apart(source), parts)
    is_annotated = bool(_acts_members(source))
    for member in _members(source):
        own = _part(member)
        for key, dialogue in entries(source, member, _Dialogue, "MultiWOZ dialogues"):
            name = key.removesuffix(".json")
            is_annotated = is_annotated or any(entry.dialog_act is not None for entry in dialogue.log)
            yield Dialogue(
                id=name,
                turns=tuple(pair(_utterances(name, dialogue.log, parts, apart))),
                split=own or (None if listed is None else listed.get(name, "train")),
                fields={"domains": [domain for domain in _DOMAINS if dialogue.goal.get(domain)]},
            )
    if not is_annotated:
        raise CorpusError(
            f"its turns have no dialog_act, and there is no {_ACTS_FILES[0]} (MultiWOZ 2.0) beside it.",
            path=source.path,
            remedy="Name the folder or the archive that has all of the corpus' files.",
        )


def _part(member: str) -> str | None:
    return part_of(PurePosixPath(member).stem)


def _members(source: Source) -> list[str]:
    if source.is_single_file:
        return source.members
    return source.find("data.json") or [m for m in source.find("*.json") if _part(m)]


def _recognises(source: Source) -> bool:
    head = source.head([m for m in _members(source) if m.endswith(".json")])
    return b'"log"' in head and b'"text"' in head and (b'"metadata"' in head or b'"dialog_act"' in head)


READER = act_reader(
    "multiwoz", "MultiWOZ 2.0 and 2.1 in their original form", _recognises, _read, "domain-act-slot", LABELS
)
