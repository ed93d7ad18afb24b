"""Unified format of ConvLab-3, ``data/dialogues.json``, and of ConvLab-2, ``data.json``: dialogue acts per utterance.

The older form says ``dialogue_act`` for ``dialogue_acts``. A system utterance without a single act was not annotated: it is
history only. Database results are the context of the turn.
"""

from __future__ import annotations

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

_LABELS = {"intent": ("intent",), "intent-slot": ("intent", "slot"), "domain-intent-slot": ("domain", "intent", "slot")}


class _Act(msgspec.Struct):
    intent: str | None = None
    domain: str | None = None
    slot: str | None = None


# Kind of act to acts.
_Acts = dict[str, list[_Act] | None]


class _Utterance(msgspec.Struct):
    speaker: Literal["user", "system"]
    utterance: str = ""
    dialogue_acts: _Acts | None = None
    dialogue_act: _Acts | None = None
    db_results: Any = None


class _Dialogue(msgspec.Struct):
    dialogue_id: str | int
    turns: list[_Utterance]
    data_split: str | None = None
    domains: list[str] | None = None


def _actions(utterance: _Utterance, parts: tuple[str, ...]) -> frozenset[str] | None:
    kinds = (utterance.dialogue_acts or utterance.dialogue_act or {}).values()
    labels = frozenset(join(*(getattr(act, part) for part in parts)) for acts in kinds for act in acts or ())
    return labels - {""} or None


def _context(results: Any) -> dict[str, Any]:
    """Results of several domains as one list, each record with its domain."""
    if not results:
        return {}
    if not isinstance(results, dict):
        return {"results": results}
    if all(isinstance(r, list) and all(isinstance(record, dict) for record in r) for r in results.values()):
        return {"results": [{"domain": domain, **r} for domain, records in results.items() for r in records]}
    return {"results": results}


def _utterances(utterances: list[_Utterance], parts: tuple[str, ...]) -> Iterator[Utterance]:
    for utterance in utterances:
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
                id=str(dialogue.dialogue_id),
                turns=tuple(pair(_utterances(dialogue.turns, _LABELS[labels]))),
                split=split and (part_of(split) or split),
                fields={"domains": dialogue.domains or []},
            )


def _members(source: Source) -> list[str]:
    if source.is_single_file:
        return source.members
    return [m for m in source.members if PurePosixPath(m).name in ("dialogues.json", "data.json")]


def _recognises(source: Source) -> bool:
    head = source.head([m for m in _members(source) if m.endswith(".json")])
    return b'"speaker"' in head and (b'"utt_idx"' in head or b'"dialogue_act' in head)


READER = act_reader("unified", "ConvLab-2/3 unified format", _recognises, _read, "intent-slot", _LABELS)
