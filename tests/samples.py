"""Small corpora of our own writing, one writer a format; the contract of all readers runs over them.

To add a format: write a function ``NAME(folder, dialogues)`` that writes `dialogues` in the format into `folder`, which exists
and is empty, and put it into `SAMPLES` under the reader's name. It has to

- put any number of dialogues, in their order, into the part that is called ``train`` where the format has parts, and, where
  the format has one file for many dialogues that a reader decodes whole, begin a new file every few dialogues;
- give dialogue `i` (counted from 0) an id that `i` determines, and use nothing but `i` and the dialogue's own turns for it;
- write each `TurnSpec` as one user utterance (an empty one may be left out) and one system turn with one action (whose text
  may be kept once for all dialogues: equal actions have equal texts);
  `result` is what a database or an API returned before the system acted, None: nothing. Name the format in `NO_RESULTS` if it
  cannot say it.

The first user utterance of a dialogue is empty for the formats in `SYSTEM_OPENS`, which have no place for it.
Texts have no quotation marks, tabs or line ends. Where values of some key are mappings with free names (slots, results),
name the key in `FREE_KEYS`: the contract adds unknown fields to all other JSON objects. ``""`` stands for a file's outermost
object.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["FREE_KEYS", "NO_RESULTS", "SAMPLES", "SYSTEM_OPENS", "TurnSpec", "Writer"]


class TurnSpec(NamedTuple):
    """A turn to be written in any format."""

    user: str
    result: str | None
    action: str
    system: str


Writer = Callable[[Path, Sequence[Sequence[TurnSpec]]], None]


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")


def _dump(path: Path, content: Any) -> None:
    _put(path, json.dumps(content, ensure_ascii=False, indent=1))


def jsonl(folder: Path, dialogues: Sequence[Sequence[TurnSpec]]) -> None:
    lines = []
    for i, turns in enumerate(dialogues):
        rows = [
            {"user": u, "context": {"results": [{"name": r}]} if r else {}, "actions": [a], "system": s}
            for u, r, a, s in turns
        ]
        lines.append(json.dumps({"id": f"d{i}", "split": "train", "turns": rows}, ensure_ascii=False) + "\n")
    _put(folder / "c.jsonl", "".join(lines))


def table(folder: Path, dialogues: Sequence[Sequence[TurnSpec]]) -> None:
    with (folder / "c.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["dialogue_id", "user", "context", "actions", "system"])
        for i, turns in enumerate(dialogues):
            for user, result, action, system in turns:
                context = json.dumps({"results": [{"name": result}]}) if result else ""
                writer.writerow([f"d{i}", user, context, action, system])


def transcript(folder: Path, dialogues: Sequence[Sequence[TurnSpec]]) -> None:
    texts = [
        "".join(f't{i}: user: "{u}", system: "{s}"(action={a})\n' for i, (u, _, a, s) in enumerate(turns, 1))
        for turns in dialogues
    ]
    _put(folder / "c.txt", "\n".join(texts))


def star(folder: Path, dialogues: Sequence[Sequence[TurnSpec]]) -> None:
    for i, turns in enumerate(dialogues, 1):
        events: list[dict[str, Any]] = []
        for user, result, action, system in turns:
            if user:
                events.append({"Agent": "User", "Action": "utter", "Text": user})
            if result:
                item = {"Name": result}
                events.append({"Agent": "KnowledgeBase", "Action": "return_item", "APIName": "r", "Item": item})
            if action == "query":
                events.append({"Agent": "Wizard", "Action": "query", "APIName": "r", "Constraints": [{"Text": system}]})
                continue
            secret = {"PrimaryItem": {"Name": system}, "ActionLabelOptions": [action]}
            said = {"Agent": "Wizard", "Text": system, **secret}
            events.append({**said, "Action": "request_suggestions"})
            events.append({**said, "Action": "pick_suggestion", "ActionLabel": action})
        scenario = {"Happy": True, "MultiTask": False}
        written = {"AnonymizedWizardWorkerID": "w", "DialogueID": i, "Scenario": scenario, "Events": events}
        _dump(folder / "dialogues" / f"{i}.json", written)


def babi(folder: Path, dialogues: Sequence[Sequence[TurnSpec]]) -> None:
    blocks = []
    for turns in dialogues:
        lines = []
        for user, result, _, system in turns:
            if result:
                lines += [f"{result} R_phone {result}_phone", f"{result} R_cuisine thai"]
            lines.append(f"{user or '<SILENCE>'}\t{system}")
        blocks.append("".join(f"{i} {line}\n" for i, line in enumerate(lines, 1)))
    _put(folder / "dialog-babi-task5-full-dialogs-trn.txt", "\n".join(blocks))


def unified(folder: Path, dialogues: Sequence[Sequence[TurnSpec]]) -> None:
    written = []
    for i, turns in enumerate(dialogues):
        utterances: list[dict[str, Any]] = []
        for user, result, action, system in turns:
            if user:
                utterances.append({"speaker": "user", "utterance": user})
            acts = {"binary": [{"intent": action, "domain": "r", "slot": ""}]}
            records = {"r": [{"name": result}]} if result else None
            said = {"speaker": "system", "utterance": system, "dialogue_acts": acts, "db_results": records}
            utterances.append(said)
        written.append({"dialogue_id": f"d{i}", "data_split": "train", "turns": utterances})
    _dump(folder / "data" / "dialogues.json", written)


def multiwoz(folder: Path, dialogues: Sequence[Sequence[TurnSpec]]) -> None:
    written = {}
    for i, turns in enumerate(dialogues):
        log: list[dict[str, Any]] = []
        for user, _, action, system in turns:
            log.append({"text": user, "metadata": {}, "dialog_act": {}})
            state = {"hotel": {"book": {"booked": [{"name": system}]}, "semi": {"name": system}}}
            log.append({"text": system, "metadata": state, "dialog_act": {f"Hotel-{action}": [["none", "none"]]}})
        written[f"SNG{i:04}.json"] = {"goal": {"hotel": {"info": {"area": "east"}}, "taxi": {}}, "log": log}
    _dump(folder / "data.json", written)
    _put(folder / "valListFile.txt", "")
    _put(folder / "testListFile.txt", "")


def multiwoz22(folder: Path, dialogues: Sequence[Sequence[TurnSpec]]) -> None:
    written, acts = [], {}
    for i, turns in enumerate(dialogues):
        spoken: list[dict[str, Any]] = []
        annotated = {}
        for t, (user, _, action, system) in enumerate(turns):
            state = {"service": "hotel", "state": {"slot_values": {"hotel-name": [system]}}}
            spoken.append({"turn_id": str(2 * t), "speaker": "USER", "utterance": user, "frames": [state]})
            spoken.append({"turn_id": str(2 * t + 1), "speaker": "SYSTEM", "utterance": system, "frames": []})
            annotated[str(2 * t + 1)] = {"dialog_act": {f"Hotel-{action}": [["none", "none"]]}, "span_info": []}
        written.append({"dialogue_id": f"SNG{i:04}.json", "services": ["hotel"], "turns": spoken})
        acts[f"SNG{i:04}.json"] = annotated
    _dump(folder / "train" / "dialogues_001.json", written)
    _dump(folder / "dialog_acts.json", acts)


def crosswoz(folder: Path, dialogues: Sequence[Sequence[TurnSpec]]) -> None:
    written = {}
    for i, turns in enumerate(dialogues):
        messages: list[dict[str, Any]] = []
        for user, _, action, system in turns:
            if user:
                messages.append({"content": user, "role": "usr", "dialog_act": [["General", "greet", "none", "none"]]})
            form = {"餐馆": {"名称": system, "selectedResults": [system]}}
            said = {"content": system, "role": "sys", "dialog_act": [[action, "餐馆", "名称", system]]}
            messages.append({**said, "sys_state_init": form, "sys_state": form})
        written[str(i)] = {"sys-usr": [1, 2], "goal": [[1, "餐馆", "名称", "", False]], "messages": messages}
    _dump(folder / "train.json", written)


def frames(folder: Path, dialogues: Sequence[Sequence[TurnSpec]]) -> None:
    written = []
    for i, turns in enumerate(dialogues):
        spoken: list[dict[str, Any]] = []
        for user, result, action, system in turns:
            if user:
                acts = [{"name": "inform", "args": [{"key": "dst_city", "val": user}]}]
                spoken.append({"author": "user", "text": user, "labels": {"acts": acts, "active_frame": 1}})
            acts = [{"name": action, "args": [{"key": "price", "val": system}]}]
            database = {"search": [{"BUDGET": "1"}], "result": [[{"hotel": {"name": result}}]]}
            said = {"author": "wizard", "text": system, "labels": {"acts": acts, "frames": [{"info": system}]}}
            spoken.append({**said, "db": database if result else {"search": [], "result": []}})
        written.append({"user_id": "U", "turns": spoken, "wizard_id": "W", "id": f"d{i}"})
    _dump(folder / "frames.json", written)


def kvret(folder: Path, dialogues: Sequence[Sequence[TurnSpec]]) -> None:
    written = []
    for turns in dialogues:
        spoken: list[dict[str, Any]] = []
        for user, _, action, system in turns:
            if user:
                spoken.append({"turn": "driver", "data": {"end_dialogue": False, "utterance": user}})
            notes = {"requested": {action: True, "other": False}, "slots": {}, "end_dialogue": False}
            spoken.append({"turn": "assistant", "data": {**notes, "utterance": system}})
        table = {"items": [{"poi": "Valley"}], "column_names": ["poi"], "kb_title": "places"}
        written.append({"dialogue": spoken, "scenario": {"kb": table, "task": {"intent": "navigate"}, "uuid": "u"}})
    _dump(folder / "kvret_train_public.json", written)


def dstc2(folder: Path, dialogues: Sequence[Sequence[TurnSpec]]) -> None:
    listed = []
    for i, turns in enumerate(dialogues):
        log: list[dict[str, Any]] = []
        labels: list[dict[str, Any]] = []
        for number, (user, result, action, system) in enumerate(turns):
            if number:
                understood = [{"act": "inform", "slots": [["name", result]]}] if result else []
                log[-1]["input"] = {"live": {"asr-hyps": [], "slu-hyps": [{"slu-hyp": understood, "score": 0.9}]}}
                labels[-1]["transcription"] = user
            log.append({"output": {"transcript": system, "dialog-acts": [{"act": action, "slots": []}]}, "input": {}})
            labels.append({"transcription": ""})
        call = folder / "data" / "Mar13" / f"voip-{i:05}"
        _dump(call / "log.json", {"session-id": f"voip-{i:05}", "turns": log})
        _dump(call / "label.json", {"session-id": f"voip-{i:05}", "turns": labels})
        listed.append(f"Mar13/voip-{i:05}\n")
    _put(folder / "config" / "dstc2_train.flist", "".join(listed))


def m2m(folder: Path, dialogues: Sequence[Sequence[TurnSpec]]) -> None:
    written = []
    for i, turns in enumerate(dialogues):
        exchanges: list[dict[str, Any]] = [{}]
        for user, _, action, system in turns:
            exchanges[-1]["user_utterance"] = {"text": user, "tokens": user.split()}
            exchanges.append({"system_acts": [{"type": action}], "system_utterance": {"text": system}})
        exchanges[-1]["user_utterance"] = {"text": "", "tokens": []}
        written.append({"dialogue_id": f"movies_{i:08}", "turns": exchanges})
    _dump(folder / "train.json", written)


def sgd(folder: Path, dialogues: Sequence[Sequence[TurnSpec]]) -> None:
    written = []
    for i, turns in enumerate(dialogues):
        utterances: list[dict[str, Any]] = []
        for user, result, action, system in turns:
            utterances.append({"speaker": "USER", "utterance": user, "frames": [{"service": "r", "actions": []}]})
            frame: dict[str, Any] = {"service": "r", "actions": [{"act": action, "slot": "", "values": []}]}
            if result:
                frame["service_call"] = {"method": "find", "parameters": {"name": result}}
                frame["service_results"] = [{"name": result}]
            utterances.append({"speaker": "SYSTEM", "utterance": system, "frames": [frame]})
        written.append({"dialogue_id": f"1_{i:05}", "services": ["r"], "turns": utterances})
    for start in range(0, len(written), 4):
        _dump(folder / "train" / f"dialogues_{start // 4:03}.json", written[start : start + 4])


def rasa(folder: Path, dialogues: Sequence[Sequence[TurnSpec]]) -> None:
    stories, responses = [], {}
    for i, turns in enumerate(dialogues):
        steps = []
        for user, result, action, system in turns:
            if user:
                steps += [f"  - user: {json.dumps(user)}", "    intent: say"]
            if result:
                steps += ["  - slot_was_set:", f"    - name: {result}"]
            steps.append(f"  - action: utter_{action}")
            responses[action] = system
        stories.append("\n".join([f"- story: d{i}", "  steps:", *steps, ""]))
    _put(folder / "data" / "stories.yml", 'version: "3.1"\nstories:\n' + "\n".join(stories))
    _put(folder / "data" / "nlu.yml", 'version: "3.1"\nnlu:\n- intent: say\n  examples: |\n    - words\n')
    said = "".join(f"  utter_{action}:\n  - text: {json.dumps(text)}\n" for action, text in responses.items())
    _put(folder / "domain.yml", f'version: "3.1"\nintents:\n- say\nresponses:\n{said}')


def rasa_markdown(folder: Path, dialogues: Sequence[Sequence[TurnSpec]]) -> None:
    stories, templates = [], {}
    for i, turns in enumerate(dialogues):
        stories.append(f"## d{i}")
        for user, result, action, system in turns:
            if user:
                stories.append(f"* say: {user}")
            if result:
                stories.append("  - slot" + json.dumps({"name": result}))
            stories.append(f"  - utter_{action}")
            templates[action] = system
    _put(folder / "data" / "stories.md", "\n".join([*stories, ""]))
    said = "".join(f"  utter_{action}:\n  - text: {json.dumps(text)}\n" for action, text in templates.items())
    _put(folder / "domain.yml", f"intents:\n- say\ntemplates:\n{said}")


SAMPLES: dict[str, Writer] = {
    "jsonl": jsonl,
    "table": table,
    "transcript": transcript,
    "star": star,
    "babi": babi,
    "unified": unified,
    "dstc2": dstc2,
    "m2m": m2m,
    "sgd": sgd,
    "multiwoz": multiwoz,
    "multiwoz22": multiwoz22,
    "crosswoz": crosswoz,
    "frames": frames,
    "kvret": kvret,
    "rasa": rasa,
    "rasa_markdown": rasa_markdown,
}

# Formats that have no place for what a database returned.
NO_RESULTS = {"transcript", "m2m", "multiwoz", "multiwoz22", "crosswoz", "kvret"}

# Formats in which the system speaks first.
SYSTEM_OPENS = {"dstc2"}

# Format to the keys whose values are mappings with free names.
FREE_KEYS: dict[str, frozenset[str]] = {
    "jsonl": frozenset({"context", "results"}),
    "sgd": frozenset({"parameters", "service_results"}),
    "star": frozenset({"Item", "Constraints", "PrimaryItem"}),
    "unified": frozenset({"dialogue_acts", "db_results", "r"}),
    "multiwoz": frozenset({"", "dialog_act"}),
    "multiwoz22": frozenset({"", "dialog_act", *(f"SNG{i:04}.json" for i in range(10_000))}),
    "crosswoz": frozenset({""}),
    "frames": frozenset({"result", "hotel"}),
    "kvret": frozenset({"requested", "slots", "items"}),
}
