"""Rasa's TED policy, as `rasa init` sets it up, trained end to end on the users' words; runs in an environment of its own.

One setting differs from those of `rasa init`: no stories are made by gluing others together (``--augmentation 0``; the default
makes up to fifty times as many), since whole dialogues are given. The number of epochs, 100 there, is the program's last argument:
an epoch over 100 dialogues takes 7 to 13 seconds of a core.

Each set of actions is one action of Rasa's. What a turn's context has becomes featurised slots: the value of each key, cut to a
text, and of a list whether it has none, one or more. `action_listen`, which ends the bot's turn, is no decision here and is left
out when the likeliest action is asked for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers.files import Decide, dialogues, main, sets_of

_CONFIG = """
recipe: default.v1
language: en
pipeline:
- name: WhitespaceTokenizer
- name: RegexFeaturizer
- name: LexicalSyntacticFeaturizer
- name: CountVectorsFeaturizer
- name: CountVectorsFeaturizer
  analyzer: char_wb
  min_ngram: 1
  max_ngram: 4
policies:
- name: TEDPolicy
  max_history: 5
  epochs: EPOCHS
  constrain_similarities: true
  random_seed: 0
"""
_MOST_VALUES = 50


def _slots(turn: dict[str, Any]) -> dict[str, str]:
    counts = {0: "none", 1: "one"}
    return {
        f"context_{key}": counts.get(len(value), "more") if isinstance(value, list) else str(value)[:60]
        for key, value in (turn.get("context") or {}).items()
    }


def _yaml(**content: Any) -> str:
    """Return YAML whose values are JSON; Rasa recognises a file by the keys with which its lines begin."""
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in content.items())


def fit(folder: Path, out: Path, epochs: str) -> None:
    """Write a project of Rasa's and train it for so many epochs."""
    train = dialogues(folder, "train")
    sets = sets_of(train)
    labels = {actions: f"action_set_{number}" for number, actions in enumerate(sets)}
    values: dict[str, dict[str, None]] = {}
    stories = []
    for number, dialogue in enumerate(train):
        steps: list[dict[str, Any]] = []
        for turn in dialogue["turns"]:
            if turn.get("user"):
                steps.append({"user": turn["user"]})
            for slot, value in _slots(turn).items():
                values.setdefault(slot, {})[value] = None
                steps.append({"slot_was_set": [{slot: value}]})
            if turn["actions"] is not None:
                steps.append({"action": labels[tuple(sorted(turn["actions"]))]})
        stories.append({"story": f"s{number}", "steps": steps})
    slots = {
        slot: {
            "type": "categorical",
            "values": list(known)[:_MOST_VALUES],
            "influence_conversation": True,
            "mappings": [{"type": "custom"}],
        }
        for slot, known in values.items()
    }
    files = {
        "config.yml": _CONFIG.replace("EPOCHS", epochs),
        "domain.yml": _yaml(version="3.1", intents=["said"], actions=list(labels.values()), slots=slots),
        # Rasa's featurisers fail without an intent. Nothing here asks for one.
        "data/nlu.yml": _yaml(version="3.1", nlu=[{"intent": "said", "examples": "- hello\n- goodbye\n"}]),
        "data/stories.yml": _yaml(version="3.1", stories=stories),
    }
    for name, content in files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(content, encoding="utf-8")
    (out / "sets.json").write_text(json.dumps(sets), encoding="utf-8")
    rasa = Path(sys.executable).with_name("rasa")
    command = [str(rasa), "train", "--fixed-model-name", "ted", "--augmentation", "0"]
    environment = {**os.environ, "RASA_TELEMETRY_ENABLED": "false"}
    subprocess.run(command, cwd=out, env=environment, check=True, stdout=sys.stderr)


def load(out: Path) -> Decide:
    """Load the model; every turn is asked about with the tracker of the dialogue so far."""
    from rasa.core.agent import Agent
    from rasa.shared.core.events import ActionExecuted, Event, SlotSet, UserUttered
    from rasa.shared.core.trackers import DialogueStateTracker

    sets = [tuple(actions) for actions in json.loads((out / "sets.json").read_text(encoding="utf-8"))]
    labels = {actions: f"action_set_{number}" for number, actions in enumerate(sets)}
    agent = Agent.load(str(out / "models" / "ted.tar.gz"))
    processor = agent.processor
    assert processor is not None
    domain = processor.domain
    names = {label: actions for actions, label in labels.items()}

    def likeliest(events: list[Event]) -> list[str]:
        tracker = DialogueStateTracker.from_events("test", events, domain.slots)
        scores = {row["action"]: row["score"] for row in processor.predict_next_with_tracker(tracker)["scores"]}
        return list(names[max(names, key=lambda label: scores[label])])

    def decide(dialogue: dict[str, Any]) -> Iterator[list[str]]:
        events: list[Event] = [ActionExecuted("action_listen")]
        for turn in dialogue["turns"]:
            if turn.get("user"):
                if not isinstance(events[-1], ActionExecuted) or events[-1].action_name != "action_listen":
                    events.append(ActionExecuted("action_listen"))
                said = {"text": turn["user"], "intent": {"name": None, "confidence": 0.0}, "entities": []}
                events.append(UserUttered(turn["user"], parse_data=said, use_text_for_featurization=True))
            events += [SlotSet(slot, value) for slot, value in _slots(turn).items()]
            yield likeliest(events)
            if turn["actions"] is not None:
                done = labels.get(tuple(sorted(turn["actions"])))
                # A set that training never had is no action of this model's: the tracker goes on without it.
                events += [ActionExecuted(done)] if done else []

    return decide


if __name__ == "__main__":
    wanted = sys.argv.pop()
    main(lambda folder, out: fit(folder, out, wanted), load)
