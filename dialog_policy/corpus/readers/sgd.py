"""Schema-Guided Dialogue (Rastogi et al. 2020): folders ``train``, ``dev``, ``test`` with ``dialogues_001.json`` and so on.

The calls of a system turn and what they returned are its context: the system called before it chose how to answer, and no label
names a call.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Literal

import msgspec

from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.readers.acts import Utterance, act_reader, join, pair
from dialog_policy.corpus.readers.json_files import decode
from dialog_policy.corpus.readers.part_names import PARTS, train_first
from dialog_policy.corpus.readers.source import Source

__all__ = ["READER"]

_LABELS = ("act", "act-slot", "service-act-slot")


# Millions of these come and go: without gc=False the collector takes a quarter of the time. None can be part of a cycle.
class _Action(msgspec.Struct, gc=False):
    act: str
    slot: str = ""


class _Call(msgspec.Struct, gc=False):
    method: str
    parameters: dict[str, Any] = {}


class _Frame(msgspec.Struct, gc=False):
    service: str = ""
    actions: list[_Action] = []
    service_call: _Call | None = None
    service_results: list[dict[str, Any]] | None = None


class _Turn(msgspec.Struct, gc=False):
    speaker: Literal["USER", "SYSTEM"]
    utterance: str = ""
    frames: list[_Frame] = []


class _Dialogue(msgspec.Struct, gc=False):
    dialogue_id: str
    turns: list[_Turn]
    services: list[str] = []


def _actions(frames: list[_Frame], labels: str) -> frozenset[str] | None:
    if labels == "act":
        labelled = frozenset(action.act for frame in frames for action in frame.actions)
    elif labels == "act-slot":
        labelled = frozenset(join(action.act, action.slot) for frame in frames for action in frame.actions)
    else:
        labelled = frozenset(
            join(frame.service, action.act, action.slot) for frame in frames for action in frame.actions
        )
    return labelled or None


def _context(frames: list[_Frame]) -> dict[str, Any]:
    context: dict[str, Any] = {}
    for frame in frames:
        if frame.service_call is not None:
            call = frame.service_call
            described = {"service": frame.service, "method": call.method, "parameters": call.parameters}
            context.setdefault("calls", []).append(described)
        if frame.service_results is not None:
            context.setdefault("results", []).extend(frame.service_results)
    return context


def _utterances(turns: list[_Turn], labels: str) -> Iterator[Utterance]:
    for turn in turns:
        if turn.speaker == "USER":
            yield Utterance(True, turn.utterance)
        else:
            yield Utterance(False, turn.utterance, _actions(turn.frames, labels), _context(turn.frames))


def _read(source: Source, labels: str) -> Iterator[Dialogue]:
    for member, split in _members(source):
        for dialogue in decode(source, member, list[_Dialogue], "an SGD file"):
            yield Dialogue(
                # The parts number their dialogues alike.
                id=join(split, dialogue.dialogue_id),
                turns=tuple(pair(_utterances(dialogue.turns, labels))),
                split=split,
                fields={"services": dialogue.services},
            )


def _members(source: Source) -> list[tuple[str, str | None]]:
    """Members with their part, train first; a single file may have any name."""
    if source.is_single_file:
        return [(source.members[0], None)]
    files: list[tuple[str, str | None]] = []
    for member in source.find("dialogues_*.json"):
        folder = PurePosixPath(member).parent.name
        files.append((member, folder if folder in PARTS else None))
    return train_first(files)


def _recognises(source: Source) -> bool:
    head = source.head([member for member, _ in _members(source) if member.endswith(".json")])
    # MultiWOZ 2.2 has the same shape, but numbers its turns.
    return all(key in head for key in (b'"dialogue_id"', b'"services"', b'"frames"')) and b'"turn_id"' not in head


READER = act_reader("sgd", "Schema-Guided Dialogue", _recognises, _read, "act-slot", _LABELS)
