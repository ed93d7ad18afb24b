"""M2M (Shah et al. 2018), sim-M and sim-R: ``train.json``, ``dev.json``, ``test.json``.

A turn's system acts answer the user of the turn before.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

import msgspec

from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.readers.acts import Utterance, act_reader, join, pair
from dialog_policy.corpus.readers.json_files import elements
from dialog_policy.corpus.readers.part_names import PARTS, train_first
from dialog_policy.corpus.readers.source import Source

__all__ = ["READER"]

_LABELS = ("act", "act-slot")


class _Act(msgspec.Struct):
    type: str
    slot: str | None = None


class _Text(msgspec.Struct):
    text: str = ""


class _Turn(msgspec.Struct):
    user_utterance: _Text | None = None
    system_utterance: _Text | None = None
    system_acts: list[_Act] = []


class _Dialogue(msgspec.Struct):
    dialogue_id: str
    turns: list[_Turn]


def _utterances(turns: list[_Turn], labels: str) -> Iterator[Utterance]:
    for turn in turns:
        if turn.system_acts or turn.system_utterance is not None:
            actions = frozenset(join(a.type, a.slot if labels == "act-slot" else None) for a in turn.system_acts)
            text = "" if turn.system_utterance is None else turn.system_utterance.text
            yield Utterance(False, text, actions or None)
        if turn.user_utterance is not None:
            yield Utterance(True, turn.user_utterance.text)


def _read(source: Source, labels: str) -> Iterator[Dialogue]:
    for member, split in _members(source):
        for dialogue in elements(source, member, _Dialogue, "an M2M file"):
            turns = tuple(pair(_utterances(dialogue.turns, labels)))
            yield Dialogue(id=dialogue.dialogue_id, turns=turns, split=split)


def _members(source: Source) -> list[tuple[str, str | None]]:
    """Members with their part, train first; a single file may have any name."""
    files: list[tuple[str, str | None]] = []
    for member in source.members:
        path = PurePosixPath(member)
        if path.suffix == ".json" and (path.stem in PARTS or source.is_single_file):
            files.append((member, path.stem if path.stem in PARTS else None))
    return train_first(files)


def _recognises(source: Source) -> bool:
    head = source.head([member for member, _ in _members(source)])
    return b'"user_utterance"' in head or b'"system_utterance"' in head


READER = act_reader("m2m", "M2M: sim-M and sim-R", _recognises, _read, "act-slot", _LABELS)
