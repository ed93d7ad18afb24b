"""Rasa's YAML, in small projects of our own."""

import itertools
import json
import random
import tempfile
import zipfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog_policy.corpus.readers import load_corpus, open_source, readers, stream
from dialog_policy.corpus.readers.rasa import documents
from dialog_policy.corpus.readers.rasa.nlu import plain
from dialog_policy.errors import CorpusError, DialogPolicyError

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


def test_a_small_bot(tmp_path):
    put(tmp_path, domain=DOMAIN, data__nlu=NLU, data__stories=STORIES, config="language: en\npolicies: null\n")
    corpus = load_corpus(tmp_path)
    (dialogue,) = corpus
    assert (corpus.format, dialogue.id, dialogue.split, dict(dialogue.fields)) == (
        "rasa",
        "cheer up",
        None,
        {"kind": "story"},
    )
    first, second, third, last = dialogue.turns
    assert first.user in {"good morning", "hello, I am Ann", "hi from Rome"}
    slots = {"name": "Ann", "known": True}
    assert first.context == {"entities": {"name": "Ann", "city-home": "Rome"}, "slots": slots}
    assert (first.actions, first.system) == ({"utter_hello"}, "Hello {name}!")
    assert (second.user, second.context, second.actions, second.system) == (
        "awful",
        {"slots": slots},
        {"utter_song"},
        "Here is a song.",
    )
    assert (third.user, third.context, third.actions, third.system) == ("", {"slots": slots}, {"action_play"}, "")
    # No example: the intent's name.
    assert (last.user, last.actions) == ("thanks", {"utter_bye"})
    assert last.context == {"slots": {**slots, "song": {"title": "X", "takes": [1, 2.5, None]}}}


def test_actions_in_a_row_as_a_set_know_only_what_was_known_before_the_first(tmp_path):
    steps = [{"intent": "a"}, {"action": "x"}, {"slot_was_set": [{"n": 1}]}, {"bot": "Y"}, {"intent": "b"}]
    put(tmp_path, s=stories(story(*steps, {"action": "z"})))
    (one,), (two,) = read(tmp_path, labels="set"), read(tmp_path, labels="action")
    assert [(t.user, t.actions, t.system, t.context) for t in one.turns] == [
        ("a", {"x", "Y"}, "Y", {}),
        ("b", {"z"}, "", {"slots": {"n": 1}}),
    ]
    assert [t.context for t in two.turns] == [{}, {"slots": {"n": 1}}, {"slots": {"n": 1}}]


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


def test_forms_and_rules(tmp_path):
    book, begin, submit, welcome = read(put(tmp_path, s=FORM))
    loops = [turn.context.get("active_loop", "never") for turn in book.turns]
    assert list(zip(shown(book), loops, strict=True)) == [
        (("book", "table_form"), "never"),
        (("chat", "utter_chat"), "table_form"),
        (("", "table_form"), "table_form"),
        (("", "utter_done"), None),
    ]
    assert [d.fields["kind"] for d in (book, begin, submit, welcome)] == ["story", "rule", "rule", "rule"]
    assert shown(begin) == [("book", "table_form")]
    assert [(*shown(submit)[i], t.context) for i, t in enumerate(submit.turns)] == [
        ("", "table_form", {"active_loop": "table_form", "slots": {"people": 2}}),
        ("", "utter_done", {"active_loop": None, "slots": {"people": 2, "requested_slot": None}}),
    ]
    assert shown(welcome) == [("", "utter_welcome")]


def test_end_to_end_stories(tmp_path):
    said = 'from [Rome]{"entity": "city", "role": "from"} to [NY](city:New York), [a] (b) [x]{y}'
    (dialogue,) = read(put(tmp_path, s=stories(story({"user": said, "intent": "go"}, {"bot": "Sure.\n"}))))
    (turn,) = dialogue.turns
    assert (turn.user, turn.actions, turn.system) == ("from Rome to NY, [a] (b) [x]{y}", {"Sure."}, "Sure.")
    assert turn.context == {"entities": {"city-from": "Rome", "city": "New York"}}


@pytest.mark.parametrize(
    ("text", "words", "entities"),
    [
        ('[a b][{"entity": "x"}, {"entity": "y", "value": 2, "group": "g"}] c', "a b c", {"x": "a b", "y-g": 2}),
        ('[a]{"entity": 1}', '[a]{"entity": 1}', {}),
        ("[" * 9000 + "a](" * 9000, "[" * 9000 + "a](" * 9000, {}),
    ],
)
def test_markup(text, words, entities):
    assert plain(text) == (words, entities)


def test_every_alternative_of_every_or_occurs(tmp_path):
    slots = [{"slot_was_set": [{"n": value}]} for value in "xy"]
    steps = [{"or": [{"intent": i} for i in "abc"]}, {"or": slots}, {"action": "z"}]
    found = read(put(tmp_path, s=stories(story(*steps), story({"intent": "a"}, {"action": "z"}))))
    assert [(d.id, d.turns[0].user, d.turns[0].context) for d in found] == [
        ("s", "a", {"slots": {"n": "x"}}),
        ("s (2)", "b", {"slots": {"n": "y"}}),
        ("s (3)", "c", {"slots": {"n": "x"}}),
        ("s (4)", "a", {}),
    ]


def test_ids_are_unique_whatever_the_stories_are_called(tmp_path):
    steps = [{"intent": "a"}, {"action": "b"}]
    names = ["s", "s (2)", "s", "s", "s (2)"]
    put(tmp_path, s=stories(*(story(*steps, name=name) for name in names)))
    assert len({d.id for d in read(tmp_path)}) == 5


def linked(name, starts, ends):
    step = [{"checkpoint": c} for c in starts], [{"checkpoint": c} for c in ends]
    return story(*step[0], {"intent": name}, {"action": name.upper()}, *step[1], name=name)


def test_checkpoints_join_stories_across_files(tmp_path):
    put(tmp_path, b=stories(linked("c", ["X"], []), linked("d", ["X", "Y"], [])))
    put(tmp_path, a=stories(linked("a", [], ["X"]), linked("b", [], ["X", "unused"]), linked("e", [], [])))
    assert [d.id for d in read(tmp_path)] == ["e", "a > c", "a > d", "b > c", "b > d"]


def test_a_checkpoint_in_the_middle_lets_others_in_and_out(tmp_path):
    middle = story({"intent": "m"}, {"action": "M"}, {"checkpoint": "X"}, {"action": "N"}, name="m")
    put(tmp_path, s=stories(middle, linked("a", [], ["X"]), linked("b", ["X"], [])))
    found = {d.id: [t.user + min(t.actions) for t in d.turns] for d in read(tmp_path)}
    assert found == {"m": ["mM", "N"], "m > b": ["mM", "bB"], "a > m": ["aA", "N"], "a > b": ["aA", "bB"]}


def test_a_cycle_is_gone_through_once(tmp_path):
    put(tmp_path, s=stories(linked("a", [], ["X"]), linked("l", ["X"], ["X"]), linked("z", ["X"], [])))
    found = {d.id: [turn.user for turn in d.turns] for d in read(tmp_path)}
    assert found == {"a > l > z": ["a", "l", "z"], "a > z": ["a", "z"], "a > l > z (2)": ["a", "l", "l", "z"]}


def test_a_long_chain_of_forks_does_not_explode(tmp_path):
    items = [linked("a", [], ["0"])]
    items += [linked(f"{n}{side}", [str(n)], [str(n + 1)]) for n in range(40) for side in "lr"]
    found = read(put(tmp_path, s=stories(*items)))
    pairs = {pair for d in found for pair in itertools.pairwise(d.id.split(" > "))}
    assert len(found) < 200
    assert pairs == {("a", "0l"), ("a", "0r")} | {
        (f"{n}{x}", f"{n + 1}{y}") for n in range(39) for x in "lr" for y in "lr"
    }


def test_rasas_test_stories_are_the_test_part(tmp_path):
    put(tmp_path, data__s=stories(linked("a", [], [])), tests__test_s=stories(linked("b", [], [])))
    put(tmp_path, results__failed_test_stories=stories(linked("c", [], [])))
    assert {d.id: d.split for d in read(tmp_path)} == {"a": "train", "b": "test"}


def test_the_example_varies_by_story_and_turn_but_not_with_the_order_of_files(tmp_path):
    examples = "nlu:\n- intent: a\n  examples: |\n" + "".join(f"    - text {i}\n" for i in range(50))
    items = [story({"intent": "a"}, {"action": "b"}, {"intent": "a"}, {"action": "c"}, name=str(i)) for i in range(20)]
    put(tmp_path / "x", n=examples, s1=stories(*items[:9]), s2=stories(*items[9:]))
    put(tmp_path / "y", n=examples, s1=stories(*reversed(items)))
    one, two = ({d.id: shown(d) for d in read(tmp_path / name)} for name in "xy")
    assert one == two
    assert len({user for turns in one.values() for user, _ in turns}) > 15
    assert any(turns[0][0] != turns[1][0] for turns in one.values())


def test_folder_and_archive_give_the_same_and_reading_twice_too(tmp_path):
    folder = put(tmp_path / "bot", domain=DOMAIN, data__nlu=NLU, data__stories=STORIES, data__more=FORM)
    with zipfile.ZipFile(tmp_path / "bot.zip", "w") as archive:
        for path in folder.rglob("*.yml"):
            archive.write(path, Path("bot") / path.relative_to(folder))
    assert read(folder) == read(folder) == read(tmp_path / "bot.zip")
    assert load_corpus(tmp_path / "bot.zip").format == load_corpus(folder / "data/more.yml").format == "rasa"


def test_other_yaml_is_not_taken_for_rasa(tmp_path):
    put(tmp_path, a="rules:\n- apiGroups: ['']\n", b="on: push\nrules:\n- if: x\n", c=DOMAIN, d=NLU, e="\0\x01")
    for path in (tmp_path, *tmp_path.iterdir()):
        assert not readers()["rasa"].recognises(open_source(path))


def test_a_file_of_something_else_need_not_be_yaml(tmp_path):
    put(tmp_path, chart="{{ if .Values.x }}\nkind: a: b\n", s=stories(linked("a", [], [])))
    assert len(read(tmp_path)) == 1


NESTED = "[" * 60 + "]" * 60
BOMB = "x:\n- &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"- &{name} [{', '.join(['*' + before] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stories:\n- story: s\n  steps:\n  - acton: x\n", "line 4, dialogue 's': .*Did you mean 'action'?"),
        ("stories:\n- story: s\n  steps:\n  - intent: x\n    action: y\n", "line 4.* 'user|intent' and 'action'"),
        ("stories:\n- story: s\n  steps:\n  - action: x\n    action: y\n", "line 5: the key 'action' occurs twice"),
        ("stories:\n- story: s\n  steps:\n  - action: 5\n", "line 4: expected a name after 'action:', found 5.*marks"),
        ("stories:\n- story: s\n  steps:\n  - bot:\n", "line 4: expected a name after 'bot:', found None"),
        ("stories:\n- story: s\n  steps:\n  - or: [action: x]\n", "line 4.*expected a list of 'intent: …'"),
        ("stories:\n- story: s\n  steps: no\n", "line 2.*expected a list under 'steps', found 'no'"),
        ("stories:\n- story: s\n  steps: [go]\n", "expected a step such as 'intent: greet', found 'go'"),
        ("stories:\n- story: s\n  steps: [{intent: x, entities: [5]}]\n", "under 'entities', found 5"),
        ("stories:\n- story: s\n  steps: [slot_was_set: [5]]\n", "under 'slot_was_set', found 5"),
        ("stories:\n- steps: []\n", "line 2: expected a name after 'story:', found None"),
        ("stories: [5]\n", r"s\.yml: expected 'story: NAME' with 'steps', found 5"),
        ("stories:\n- story: s\n  steps: [{checkpoint: X}, {action: a}]\n", "line 2.*leads to its checkpoint 'X'"),
        ("nlu: [5]\nstories:\n- story: s\n", "expected 'intent: …' with examples under 'nlu', found 5"),
        ("nlu:\n- intent: a\n  examples: [5]\nstories: []\n", "line 2: expected a text as an example of 'a', found 5"),
        ("- story: s\n# stories:\nstories:\n", "line 1: expected a mapping such as 'stories:'"),
        ("stories:\n- story: s\n  steps: [}\n", "line 3: expected YAML"),
        (f"stories:\n- {NESTED}\n", "line 2: it is nested too deeply"),
        (f"{BOMB}stories: *i\n", "its aliases repeat more than 100,000 values; refused"),
        ("stories: *x\n", r"the alias \*x"),
        ("stories: &x\n- *x\n", r"the alias \*x"),
    ],
)
def test_faults_are_named(tmp_path, text, message):
    with pytest.raises(CorpusError, match=message):
        read(put(tmp_path, s=text))


def test_without_libyaml_the_same_is_read_and_half_a_character_refused(tmp_path, monkeypatch):
    put(tmp_path, s=PROJECT)
    whole = read(tmp_path)
    monkeypatch.setattr(documents, "_LOADER", yaml.SafeLoader)
    assert read(tmp_path) == whole
    with pytest.raises(CorpusError, match="line 2: it has half of a character"):
        read(put(tmp_path, s='stories:\n- story: "\\ud800"\n'))


def test_what_begins_nowhere_is_told(tmp_path):
    with pytest.raises(CorpusError, match="no story leads to its checkpoint 'X'"):
        read(put(tmp_path, s=stories(linked("a", ["X"], ["Y"]), linked("b", ["Y"], ["X"]))))


def test_too_many_joins_are_refused(tmp_path):
    items = [linked(f"{side}{i}", *ends) for side, ends in (("a", ([], ["X"])), ("b", (["X"], []))) for i in range(101)]
    with pytest.raises(CorpusError, match="more than 10,000 ways"):
        read(put(tmp_path, s=stories(*items)))


def test_stories_are_streamed_up_to_a_fault(tmp_path):
    put(tmp_path, s=stories(linked("a", [], []), linked("b", [], [])) + "- story: [\n")
    found = stream(tmp_path, format="rasa")
    assert [next(found).id, next(found).id] == ["a", "b"]
    with pytest.raises(CorpusError, match=r"s\.yml, line"):
        next(found)


STEPS = [
    {"intent": "a", "entities": [{"n": "v"}]},
    {"slot_was_set": [{"n": "v"}]},
    {"action": "x"},
    {"active_loop": "f"},
    {"bot": "y"},
    {"user": "hello"},
    {"or": [{"intent": "b"}, {"intent": "c"}]},
    {"action": "z"},
]
SECRET = {"secret", "SECRET"}


@pytest.mark.parametrize("labels", ["action", "set"])
@pytest.mark.parametrize("cut", range(len(STEPS)))
def test_what_happens_later_changes_no_input(tmp_path, labels, cut):
    later = [{"action": "secret"}, {"slot_was_set": [{"secret": 1}]}, {"intent": "secret"}, {"action": "SECRET"}]
    put(tmp_path / "whole", s=stories(story(*STEPS)))
    put(tmp_path / "other", s=stories(story(*STEPS[:cut], *later)))
    whole, other = (read(tmp_path / name, labels=labels)[0].turns for name in ("whole", "other"))
    (mine,) = [i for i, turn in enumerate(other) if "secret" in turn.actions]
    assert [(t.user, t.context) for t in other[:mine]] == [(t.user, t.context) for t in whole[:mine]]
    assert not any(word in f"{t.user} {t.context}" for t in other[: mine + 1] for word in SECRET)


PROJECT = DOMAIN + NLU.partition("\n")[2] + STORIES.partition("\n")[2] + FORM.partition("stories:\n")[2]
PIECES = [
    "- ",
    "  ",
    ": ",
    "&a ",
    "*a",
    "!!python/object:os.system ",
    "[",
    "{",
    "|",
    "\n",
    "null",
    "1e99",
    "\u2028",
    "'",
]


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32), changes=st.integers(1, 6), text=st.text(max_size=8))
def test_mutated_yaml_is_read_or_refused(seed, changes, text):
    chance = random.Random(seed)
    lines = PROJECT.splitlines(keepends=True)
    for _ in range(changes):
        at = chance.randrange(len(lines))
        match chance.randrange(5):
            case 0:
                lines[at] = ""
            case 1:
                lines.insert(at, chance.choice(lines))
            case 2:
                place = chance.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:place] + chance.choice([*PIECES, text]) + lines[at][place:]
            case 3:
                lines[at] = lines[at].replace(chance.choice("-: \n'\""), chance.choice(PIECES))
            case _:
                lines = lines[: at + 1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.yml"
        path.write_bytes("".join(lines).encode("utf-8", "surrogateescape"))
        try:
            for dialogue in load_corpus(path, format="rasa"):
                dialogue.fingerprint()
        except DialogPolicyError as error:
            assert str(path) in str(error)  # noqa: PT017


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["story", "steps", "user", "bot", "or", "x"]), inner)
    ),
    max_leaves=6,
)
steps = st.dictionaries(
    st.sampled_from(["intent", "user", "bot", "action", "checkpoint", "slot_was_set", "active_loop", "or", "entities"]),
    values,
    max_size=2,
)
items = st.fixed_dictionaries(
    {"story": st.just("s") | values, "steps": st.lists(steps, max_size=5) | values},
    optional={"condition": values, "intent": values, "examples": values},
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(["stories", "rules", "nlu", "responses"]), st.lists(items, max_size=4) | values))
def test_any_values_are_read_or_refused(content):
    with tempfile.TemporaryDirectory() as folder:
        text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in content.items())
        try:
            read(put(Path(folder), s=text))
        except DialogPolicyError as error:
            assert folder in str(error)  # noqa: PT017
