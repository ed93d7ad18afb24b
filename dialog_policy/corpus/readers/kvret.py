"""KVRET, Stanford's in-car assistant (Eric et al. 2017): ``kvret_train_public.json``, ``…_dev_…``, ``…_test_…``.

The corpus has no acts of the assistant. With each reply stand the notes that the assistant took of the driver: the types that
were talked about (``requested``), the values that were given (``slots``), and whether the dialogue ends here. These notes are the
labels, in the corpus' own words: ``requested-poi_type``, ``slots-poi``, ``end_dialogue``. A policy that predicts them knows what
to look up, not how to answer.

The assistant had the table of the scenario before the driver spoke: it is the context of the first turn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Literal

import msgspec

from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.readers.acts import Utterance, act_reader, join, pair
from dialog_policy.corpus.readers.json_files import elements
from dialog_policy.corpus.readers.part_names import part_of
from dialog_policy.corpus.readers.source import Source

__all__ = ["READER"]

_LABELS = ("act", "act-slot")
_SPEAKER = re.compile(rb'"turn":\s*"(?:driver|assistant)"')


class _Data(msgspec.Struct):
    utterance: str = ""
    requested: dict[str, bool] | None = None
    slots: dict[str, Any] | None = None
    end_dialogue: bool = False


class _Turn(msgspec.Struct):
    turn: Literal["driver", "assistant"]
    data: _Data


class _Table(msgspec.Struct):
    items: list[dict[str, Any]] | None = None


class _Task(msgspec.Struct):
    intent: str


class _Scenario(msgspec.Struct):
    kb: _Table | None = None
    task: _Task | None = None


class _Dialogue(msgspec.Struct):
    dialogue: list[_Turn]
    scenario: _Scenario = msgspec.field(default_factory=_Scenario)


def _actions(data: _Data, labels: str) -> frozenset[str] | None:
    if data.requested is None and data.slots is None:
        return None
    requested = [slot for slot, is_requested in (data.requested or {}).items() if is_requested]
    notes = [("requested", slot) for slot in requested] + [("slots", slot) for slot in data.slots or {}]
    if data.end_dialogue:
        notes.append(("end_dialogue", ""))
    return frozenset(join(act, slot if labels == "act-slot" else None) for act, slot in notes)


def _utterances(dialogue: _Dialogue, labels: str) -> Iterator[Utterance]:
    items = dialogue.scenario.kb.items if dialogue.scenario.kb else None
    context = {"results": items} if items else {}
    for turn in dialogue.dialogue:
        if turn.turn == "driver":
            yield Utterance(True, turn.data.utterance)
        else:
            yield Utterance(False, turn.data.utterance, _actions(turn.data, labels), context)
            context = {}


def _read(source: Source, labels: str) -> Iterator[Dialogue]:
    for member in _members(source):
        split = part_of(PurePosixPath(member).stem.removeprefix("kvret_").removesuffix("_public"))
        for number, dialogue in enumerate(elements(source, member, _Dialogue, "KVRET dialogues")):
            # A few dialogues of the published files are empty.
            if not dialogue.dialogue:
                continue
            task = dialogue.scenario.task
            yield Dialogue(
                id=f"{split or 'dialogue'}-{number}",
                turns=tuple(pair(_utterances(dialogue, labels))),
                split=split,
                fields={"domains": [task.intent] if task else []},
            )


def _members(source: Source) -> list[str]:
    return source.members if source.is_single_file else source.find("kvret_*_public.json")


def _recognises(source: Source) -> bool:
    return _SPEAKER.search(source.head([m for m in _members(source) if m.endswith(".json")])) is not None


READER = act_reader("kvret", "KVRET, Stanford's in-car assistant", _recognises, _read, "act-slot", _LABELS)
