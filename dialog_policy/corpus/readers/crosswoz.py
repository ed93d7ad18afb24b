"""CrossWOZ (Zhu et al. 2020): ``train.json``, ``val.json``, ``test.json``, or one of the archives in which each is published.

A system turn without an act is history only. The wizard's form (``sys_state_init``, ``sys_state``) is no context: its
``selectedResults`` are the results that the wizard chose for the reply, not all that the database returned.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Literal

import msgspec

from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.readers.acts import Utterance, act_reader, join, pair
from dialog_policy.corpus.readers.json_files import entries
from dialog_policy.corpus.readers.part_names import part_of
from dialog_policy.corpus.readers.source import Source

__all__ = ["READER"]

_LABELS = {"act": ("act",), "act-slot": ("act", "slot"), "domain-act-slot": ("domain", "act", "slot")}
_ROLE = re.compile(rb'"role":\s*"(?:usr|sys)"')


class _Message(msgspec.Struct):
    role: Literal["usr", "sys"]
    content: str = ""
    # Intent, domain, slot, value.
    dialog_act: list[tuple[str, str, str, Any]] = []


class _Dialogue(msgspec.Struct):
    messages: list[_Message]
    # Number, domain, slot, value, whether it was mentioned.
    goal: list[tuple[Any, str, Any, Any, Any]] = []


def _label(act: tuple[str, str, str, Any], parts: tuple[str, ...]) -> str:
    intent, domain, slot, _ = act
    # Thanks and greetings are the domains of one intent.
    if intent == "General":
        intent, domain = domain, intent
    named = {"domain": domain, "act": intent, "slot": "" if slot == "none" else slot}
    return join(*(named[part] for part in parts))


def _utterances(messages: list[_Message], parts: tuple[str, ...]) -> Iterator[Utterance]:
    for message in messages:
        if message.role == "usr":
            yield Utterance(True, message.content)
        else:
            labels = frozenset(_label(act, parts) for act in message.dialog_act) - {""}
            yield Utterance(False, message.content, labels or None)


def _read(source: Source, labels: str) -> Iterator[Dialogue]:
    for member in _members(source):
        for name, dialogue in entries(source, member, _Dialogue, "CrossWOZ dialogues"):
            yield Dialogue(
                id=name,
                turns=tuple(pair(_utterances(dialogue.messages, _LABELS[labels]))),
                split=part_of(PurePosixPath(member).stem),
                fields={"domains": list(dict.fromkeys(domain for _, domain, *_ in dialogue.goal))},
            )


def _members(source: Source) -> list[str]:
    if source.is_single_file:
        return source.members
    return [m for m in source.find("*.json") if part_of(PurePosixPath(m).stem)]


def _recognises(source: Source) -> bool:
    head = source.head([m for m in _members(source) if m.endswith(".json")])
    return b'"messages"' in head and _ROLE.search(head) is not None


READER = act_reader("crosswoz", "CrossWOZ, one JSON file per part", _recognises, _read, "act-slot", _LABELS)
