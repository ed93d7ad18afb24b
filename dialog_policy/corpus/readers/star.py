"""STAR (Mosig et al. 2020): one JSON file a dialogue, by its published protocol.

Every Wizard event whose ``Action`` is ``query`` or ``pick_suggestion`` is a target; a free-typed wizard turn is history only.
A query is labelled ``query``, ``query_check`` or ``query_book`` by its ``RequestType``; its constraints are its text. What
the knowledge base returns is the context of the next turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import msgspec

from dialog_policy.corpus.dialogue import Dialogue, Turn
from dialog_policy.corpus.readers.json_files import decode
from dialog_policy.corpus.readers.reader import Opened, Option, Options, Reader
from dialog_policy.corpus.readers.source import Source

__all__ = ["READER"]

# The highest DialogueID of the published train part of each kind of dialogue.
_LAST_TRAIN_ID = {"happy": 4243, "unhappy": 2249, "multitask": 6253}


class _Event(msgspec.Struct, rename="pascal"):
    agent: str
    action: str
    text: str = ""
    action_label: str | None = None
    a_p_i_name: str = msgspec.field(default="", name="APIName")
    constraints: list[dict[str, Any]] = []
    item: dict[str, Any] | None = None
    total_items: int | None = None


class _Scenario(msgspec.Struct, rename="pascal"):
    happy: bool
    multi_task: bool
    domains: list[str | None] = []
    wizard_capabilities: list[dict[str, Any]] = []


class _File(msgspec.Struct, rename="pascal"):
    dialogue_id: int = msgspec.field(name="DialogueID")
    events: list[_Event]
    scenario: _Scenario


def _kind(scenario: _Scenario) -> str:
    return "multitask" if scenario.multi_task else "happy" if scenario.happy else "unhappy"


def _query(event: _Event) -> tuple[str, str]:
    """Label and text of a query."""
    constraints = [(name, str(value).strip('"')) for item in event.constraints for name, value in item.items()]
    request = next((value.casefold() for name, value in constraints if name == "RequestType"), None)
    text = " ".join([event.a_p_i_name, *(f"{name} {value}" for name, value in constraints)])
    return f"query_{request}" if request in ("check", "book") else "query", text


def _turns(events: list[_Event]) -> Iterator[Turn]:
    utterances: list[str] = []
    context: dict[str, Any] = {}
    for event in events:
        if event.agent == "User" and event.action == "utter":
            utterances.append(event.text)
        elif event.agent == "KnowledgeBase":
            results = [] if event.item is None else [event.item]
            context = {"api": event.a_p_i_name, "results": results}
            if event.total_items is not None and event.total_items >= 0:
                context["total"] = event.total_items
        elif event.agent == "Wizard" and event.action in ("query", "pick_suggestion", "utter"):
            actions: frozenset[str] | None = None
            text = event.text
            if event.action == "query":
                label, text = _query(event)
                actions = frozenset([label])
            elif event.action == "pick_suggestion" and event.action_label is not None:
                actions = frozenset([event.action_label])
            yield Turn(user=" ".join(utterances), context=context, actions=actions, system=text)
            utterances, context = [], {}


def _read(source: Source, members: list[str], scenario: str) -> Iterator[Dialogue]:
    for member in members:
        file = decode(source, member, _File, "a STAR dialogue")
        kind = _kind(file.scenario)
        if scenario not in ("all", kind):
            continue
        turns = tuple(_turns(file.events))
        if not turns:
            continue
        split = "train" if file.dialogue_id <= _LAST_TRAIN_ID[kind] else "test"
        tasks = [str(c.get("Task")) for c in file.scenario.wizard_capabilities]
        fields = {"scenario": kind, "domains": [domain for domain in file.scenario.domains if domain], "tasks": tasks}
        yield Dialogue(id=str(file.dialogue_id), turns=turns, split=split, fields=fields)


def _number(member: str) -> tuple[int, str]:
    stem = PurePosixPath(member).stem
    return (int(stem) if stem.isdecimal() else -1, member)


def _members(source: Source) -> list[str]:
    return sorted((m for m in source.find("*.json") if _number(m)[0] >= 0), key=_number)


def _recognises(source: Source) -> bool:
    return b'"AnonymizedWizardWorkerID"' in source.head(_members(source), 4096)


def _open(source: Source, options: Options) -> Opened:
    return Opened(lambda: _read(source, _members(source), options["scenario"]))


READER = Reader(
    "star",
    "STAR, one JSON file per dialogue",
    _recognises,
    _open,
    {"scenario": Option("all", "which kind of dialogue", ("happy", "unhappy", "multitask", "all"))},
)
