"""MultiWOZ 2.2 (Zang et al. 2020): folders ``train``, ``dev``, ``test`` with ``dialogues_001.json`` and so on.

The turns have the form of Schema-Guided Dialogue, but the acts of all dialogues stand in one ``dialog_acts.json``. A system turn
without an act there is history only. The states of the frames are no context, for the reason given in
:mod:`~dialog_policy.corpus.readers.multiwoz`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Literal

import msgspec

from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.readers.acts import Utterance, act_reader, pair
from dialog_policy.corpus.readers.json_files import elements, entries
from dialog_policy.corpus.readers.multiwoz import LABELS, Acts, labels_of
from dialog_policy.corpus.readers.part_names import part_of
from dialog_policy.corpus.readers.source import Source
from dialog_policy.errors import CorpusError

__all__ = ["READER"]

_ACTS_FILE = "dialog_acts.json"
_ID = re.compile(rb'"dialogue_id":\s*"(?:P?MUL|S?SNG|WOZ)\d+')


class _Annotated(msgspec.Struct):
    dialog_act: Acts = {}


class _Turn(msgspec.Struct):
    speaker: Literal["USER", "SYSTEM"]
    turn_id: str | int
    utterance: str = ""


class _Dialogue(msgspec.Struct):
    dialogue_id: str
    turns: list[_Turn]
    services: list[str] = []


def _acts(source: Source) -> Iterator[tuple[str, dict[str, Acts]]]:
    members = source.find(_ACTS_FILE)
    if not members:
        raise CorpusError(
            f"expected {_ACTS_FILE} beside the folders of MultiWOZ 2.2, found none: it has the system's acts.",
            path=source.path,
            remedy="Put it there, and name the folder that has both.",
        )
    for member in members:
        for name, turns in entries(source, member, dict[str, _Annotated], "MultiWOZ 2.2 acts"):
            yield name, {turn: annotated.dialog_act for turn, annotated in turns.items()}


def _utterances(turns: list[_Turn], acts: Mapping[str, frozenset[str] | None]) -> Iterator[Utterance]:
    for turn in turns:
        if turn.speaker == "USER":
            yield Utterance(True, turn.utterance)
        else:
            yield Utterance(False, turn.utterance, acts.get(str(turn.turn_id)))


def _read(source: Source, labels: str) -> Iterator[Dialogue]:
    acts = labels_of(_acts(source), LABELS[labels])
    for member in _members(source):
        for dialogue in elements(source, member, _Dialogue, "MultiWOZ 2.2 dialogues"):
            name = dialogue.dialogue_id.removesuffix(".json")
            yield Dialogue(
                id=name,
                turns=tuple(pair(_utterances(dialogue.turns, acts(name)))),
                split=part_of(PurePosixPath(member).parent.name),
                fields={"domains": dialogue.services},
            )


def _members(source: Source) -> list[str]:
    return source.members if source.is_single_file else source.find("dialogues_*.json")


def _recognises(source: Source) -> bool:
    members = source.find("dialogues_*.json")
    if members and source.find(_ACTS_FILE):
        return True
    return _ID.search(source.head(members, 1 << 12)) is not None


READER = act_reader("multiwoz22", "MultiWOZ 2.2, with dialog_acts.json", _recognises, _read, "domain-act-slot", LABELS)
