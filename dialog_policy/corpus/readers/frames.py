"""Frames (El Asri et al. 2017): ``frames.json``, all dialogues in one array.

An act that refers to frames has the slots of those frames. What the wizard's searches returned before it answered is the
context of its turn. A wizard's turn without an act is history only. The authors made no parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.readers.acts import Utterance, act_reader, join, pair
from dialog_policy.corpus.readers.json_files import elements
from dialog_policy.corpus.readers.source import Source

__all__ = ["READER"]

_LABELS = ("act", "act-slot")


class _Annotation(msgspec.Struct):
    key: str = ""


class _Frame(msgspec.Struct):
    annotations: list[_Annotation] = []


class _Slot(msgspec.Struct):
    key: str = ""
    # Under "ref", "read" and "write": frames.
    val: list[_Frame] | str | float | bool | None = None


class _Act(msgspec.Struct):
    name: str
    args: list[_Slot] = []


class _Annotations(msgspec.Struct):
    acts: list[_Act] = []


class _Searched(msgspec.Struct):
    # One list a search.
    result: list[list[Any]] | None = None
    search: list[Any] | None = None


class _Turn(msgspec.Struct):
    author: Literal["user", "wizard"]
    text: str = ""
    labels: _Annotations | None = None
    db: _Searched | None = None


class _Dialogue(msgspec.Struct):
    id: str
    turns: list[_Turn]
    user_id: str = ""
    wizard_id: str = ""


def _slots(args: list[_Slot]) -> Iterator[str]:
    for slot in args:
        if isinstance(slot.val, list):
            yield from (annotation.key for frame in slot.val for annotation in frame.annotations)
        elif slot.key != "id":
            yield slot.key


def _actions(acts: list[_Act], labels: str) -> frozenset[str] | None:
    if labels == "act":
        actions = frozenset(act.name for act in acts)
    else:
        actions = frozenset(join(act.name, slot) for act in acts for slot in list(_slots(act.args)) or [""])
    return actions - {""} or None


def _context(searched: _Searched | None) -> dict[str, Any]:
    if searched is None or not (searched.search or searched.result):
        return {}
    return {"results": [record for records in searched.result or [] for record in records if record]}


def _utterances(turns: list[_Turn], labels: str) -> Iterator[Utterance]:
    for turn in turns:
        if turn.author == "user":
            yield Utterance(True, turn.text)
        else:
            acts = turn.labels.acts if turn.labels else []
            yield Utterance(False, turn.text, _actions(acts, labels), _context(turn.db))


def _read(source: Source, labels: str) -> Iterator[Dialogue]:
    for member in _members(source):
        for dialogue in elements(source, member, _Dialogue, "Frames dialogues"):
            yield Dialogue(
                id=dialogue.id,
                turns=tuple(pair(_utterances(dialogue.turns, labels))),
                fields={"user_id": dialogue.user_id, "wizard_id": dialogue.wizard_id},
            )


def _members(source: Source) -> list[str]:
    return source.members if source.is_single_file else source.find("frames.json")


def _recognises(source: Source) -> bool:
    head = source.head([m for m in _members(source) if m.endswith(".json")])
    return b'"author"' in head and b'"acts"' in head and b'"turns"' in head


READER = act_reader("frames", "Frames, frames.json", _recognises, _read, "act-slot", _LABELS)
