"""No reader lets the system side of a turn, or anything later, into the inputs of that turn or of an earlier one."""

import csv
import io
import json

import pytest

from dialog_policy.corpus.readers import load_corpus, readers

# A turn: user, what the knowledge base returned before it, action, what the system said.
TURNS = [
    ("hello", None, "greet", "hello there"),
    ("table in paris", None, "ask", "for how many"),
    ("for two", None, "query", "api_call thai paris two cheap"),
    ("", "resto_a", "offer", "what about resto_a"),
    ("no", None, "more", "anything else"),
    ("bye", None, "bye", "see you"),
]
LATER = [("something new", "resto_z", "other", "quite another text"), ("and more", None, "last", "the end of resto_z")]


def jsonl(turns):
    rows = [
        {"user": u, "context": {"results": [{"name": r}]} if r else {}, "actions": [a], "system": s}
        for u, r, a, s in turns
    ]
    return "c.jsonl", json.dumps({"id": "d", "turns": rows}) + "\n"


def table(turns):
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["dialogue_id", "user", "context", "actions", "system"])
    for user, result, action, system in turns:
        writer.writerow(["d", user, json.dumps({"results": [{"name": result}]}) if result else "", action, system])
    return "c.csv", file.getvalue()


def transcript(turns):
    return "c.txt", "".join(
        f't{i}: user: "{u}", system: "{s}"(action={a})\n' for i, (u, _, a, s) in enumerate(turns, 1)
    )


def star(turns):
    events = []
    for user, result, action, system in turns:
        if user:
            events.append({"Agent": "User", "Action": "utter", "Text": user})
        if result:
            events.append({"Agent": "KnowledgeBase", "Action": "return_item", "APIName": "r", "Item": {"Name": result}})
        if action == "query":
            events.append({"Agent": "Wizard", "Action": "query", "APIName": "r", "Constraints": [{"Text": system}]})
        else:
            secret = {"PrimaryItem": {"Name": system}, "ActionLabelOptions": [action]}
            events.append({"Agent": "Wizard", "Action": "request_suggestions", "Text": system, **secret})
            events.append(
                {"Agent": "Wizard", "Action": "pick_suggestion", "ActionLabel": action, "Text": system, **secret}
            )
    scenario = {"Happy": True, "MultiTask": False}
    return "1.json", json.dumps(
        {"AnonymizedWizardWorkerID": "w", "DialogueID": 1, "Scenario": scenario, "Events": events}
    )


def babi(turns):
    lines = []
    for user, result, _, system in turns:
        if result:
            lines += [f"{result} R_phone {result}_phone", f"{result} R_cuisine thai"]
        lines.append(f"{user or '<SILENCE>'}\t{system}")
    return "dialog-babi-task5-x-trn.txt", "".join(f"{i} {line}\n" for i, line in enumerate(lines, 1))


def unified(turns):
    utterances = []
    for user, result, action, system in turns:
        if user:
            utterances.append({"speaker": "user", "utterance": user})
        acts = {"binary": [{"intent": action, "domain": "r", "slot": ""}]}
        found = {"r": [{"name": result}]} if result else None
        utterances.append({"speaker": "system", "utterance": system, "dialogue_acts": acts, "db_results": found})
    return "dialogues.json", json.dumps([{"dialogue_id": "d", "turns": utterances}])


WRITERS = {f.__name__: f for f in (jsonl, table, transcript, star, babi, unified)}


def test_every_format_is_covered():
    assert set(WRITERS) == set(readers())


def inputs(tmp_path, name, turns):
    file, text = WRITERS[name](turns)
    (tmp_path / file).write_text(text, encoding="utf-8")
    (dialogue,) = load_corpus(tmp_path / file)
    assert dialogue.n_targets == len(turns)
    return [(turn.user, dict(turn.context)) for turn in dialogue.turns], dialogue


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_nothing_of_the_system_side_or_later_reaches_the_inputs(tmp_path, name):
    whole, dialogue = inputs(tmp_path, name, TURNS)
    assert [user for user, _ in whole] == [turn[0] for turn in TURNS]
    assert name == "transcript" or "resto_a" in str(whole[3][1])
    for t, (user, result, _, _) in enumerate(TURNS):
        changed, other = inputs(tmp_path, name, [*TURNS[:t], (user, result, "changed", "changed text"), *LATER])
        assert changed[: t + 1] == whole[: t + 1]
        assert other.turns[t].actions != dialogue.turns[t].actions
        cut, _ = inputs(tmp_path, name, TURNS[: t + 1])
        assert cut == whole[: t + 1]
