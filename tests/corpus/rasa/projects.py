"""Small Rasa projects, and how tests write and read them."""

import json

from dialog_policy.corpus.readers import load_corpus

DOMAIN = """version: "3.1"
intents: [hello, feel/good, feel/bad]
responses:
  utter_hello:
  - text: "Hello {name}!"
    buttons: [{title: fine, payload: /feel}]
  - text: Hi!
  utter_song:
  - image: https://example.org/song.png
  - text: Here is a song.
"""
NLU = """version: "3.1"
nlu:
- intent: hello
  examples: |
    - good morning
    - hello, I am [Ann](name)
    - hi from [Rome]{"entity": "city", "role": "home"}
- intent: feel/good
  examples:
  - text: |
      very well
    metadata: {sentiment: 1}
- intent: feel/bad
  examples: |
    - awful
- synonym: Rome
  examples: |
    - roma
- lookup: city
  examples: |
    - Oslo
"""
STORIES = """version: "3.1"
stories:
- story: cheer up
  steps:
  - intent: hello
    entities:
    - name: Ann
    - city: Rome
      role: home
  - slot_was_set:
    - name: Ann
    - known
  - action: utter_hello
  - action: action_listen
  - intent: feel/bad
  - action: utter_song   # the second text
  - action: action_play
  - slot_was_set:
    - song: {title: X, takes: [1, 2.5, null]}
  - intent: /thanks
  - action: utter_bye
"""
FORM = """
stories:
- story: book
  steps:
  - intent: book
  - action: table_form
  - active_loop: table_form
  - intent: chat
  - action: utter_chat
  - action: table_form
  - active_loop: null
  - action: utter_done
rules:
- rule: begin
  steps:
  - ...
  - intent: book
  - action: table_form
  - active_loop: table_form
- rule: submit
  condition:
  - active_loop: table_form
  - slot_was_set:
    - people: 2
  wait_for_user_input: false
  steps:
  - action: table_form
  - active_loop: null
  - slot_was_set: [{requested_slot: null}]
  - action: utter_done
- rule: welcome
  conversation_start: true
  steps:
  - action: utter_welcome
"""

# All of it in one file.
PROJECT = DOMAIN + NLU.partition("\n")[2] + STORIES.partition("\n")[2] + FORM.partition("stories:\n")[2]


def put(folder, **files):
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def read(path, **options):
    return list(load_corpus(path, format="rasa", reader=options))


def shown(dialogue):
    return [(turn.user, *sorted(turn.actions or ())) for turn in dialogue.turns]


def story(*steps, name="s", kind="story", **more):
    """A file with one story, its steps as JSON."""
    return json.dumps({"story" if kind == "story" else "rule": name, **more, "steps": list(steps)})


def stories(*items, section="stories"):
    return f"{section}:\n" + "".join(f"- {item}\n" for item in items)


def linked(name, starts, ends):
    step = [{"checkpoint": c} for c in starts], [{"checkpoint": c} for c in ends]
    return story(*step[0], {"intent": name}, {"action": name.upper()}, *step[1], name=name)
