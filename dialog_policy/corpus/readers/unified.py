"""ConvLab-2/3 unified format: ``data/dialogues.json`` with dialogue acts per utterance.

A system utterance without a single act was not annotated: it is history only. Database results are the context of the turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import msgspec

from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.readers.acts import Utterance, join, labels_option, pair
from dialog_policy.corpus.readers.json_files import elements
from dialog_policy.corpus.readers.reader import Opened, Options, Reader
from dialog_policy.corpus.readers.source import Source

__all__ = ["READER"]

_SPLITS = {"validation": "dev", "val": "dev"}
_LABELS = {"intent": ("intent",), "intent-slot": ("intent", "slot"), "domain-intent-slot": ("domain", "intent", "slot")}


class _Utterance(msgspec.Struct):
    speaker: str
    utterance: str = ""
    dialogue_acts: dict[str, list[dict[str, Any]]] | None = None
    dialogue_act: dict[str, list[dict[str, Any]]] | None = None
    db_results: Any = None


class _Dialogue(msgspec.Struct):
    dialogue_id: str
    turns: list[_Utterance]
    data_split: str | None = None
    domains: list[str] = []


def _actions(utterance: _Utterance, parts: tuple[str, ...]) -> frozenset[str] | None:
    acts = utterance.dialogue_acts if utterance.dialogue_acts is not None else utterance.dialogue_act
    if not acts or not any(acts.values()):
        return None
    return frozenset(
        join(*(str(act[part]) for part in parts if act.get(part))) for kind in acts.values() for act in kind
    )


def _context(found: Any) -> dict[str, Any]:
    """Results of several domains as one list, each record with its domain."""
    if not isinstance(found, dict):
        return {"results": found} if found else {}
    if all(isinstance(r, list) and all(isinstance(record, dict) for record in r) for r in found.values()):
        return {"results": [{"domain": domain, **r} for domain, records in found.items() for r in records]}
    return {"results": found}


def _utterances(found: list[_Utterance], parts: tuple[str, ...]) -> Iterator[Utterance]:
    for utterance in found:
        if utterance.speaker == "user":
            yield Utterance(True, utterance.utterance)
        else:
            context = _context(utterance.db_results)
            yield Utterance(False, utterance.utterance, _actions(utterance, parts), context)


def _read(source: Source, labels: str) -> Iterator[Dialogue]:
    for member in _members(source):
        for dialogue in elements(source, member, _Dialogue, "dialogues in the unified format"):
            split = dialogue.data_split
            yield Dialogue(
                id=dialogue.dialogue_id,
                turns=tuple(pair(_utterances(dialogue.turns, _LABELS[labels]))),
                split=None if split is None else _SPLITS.get(split, split),
                fields={"domains": dialogue.domains},
            )


def _members(source: Source) -> list[str]:
    if source.is_single_file:
        return source.members
    return [m for m in source.members if PurePosixPath(m).name in ("dialogues.json", "data.json")]


def _recognises(source: Source) -> bool:
    members = [m for m in _members(source) if m.endswith(".json")]
    if not members:
        return False
    with source.open(members[0]) as file:
        head = file.read(1 << 16)
    return b'"speaker"' in head and b'"dialogue_id"' in head


def _open(source: Source, options: Options) -> Opened:
    return Opened(lambda: _read(source, options["labels"]))


READER = Reader(
    "unified",
    "ConvLab-2/3 unified format",
    _recognises,
    _open,
    {"labels": labels_option("intent-slot", _LABELS)},
)
