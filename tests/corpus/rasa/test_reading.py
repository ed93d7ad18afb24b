"""Rasa's YAML as dialogues."""

import zipfile
from pathlib import Path

import pytest

from dialog_policy.corpus.readers import load_corpus, open_source, readers, stream
from dialog_policy.corpus.readers.rasa.nlu import plain
from dialog_policy.errors import CorpusError
from tests.corpus.rasa.projects import DOMAIN, FORM, NLU, STORIES, linked, put, read, shown, stories, story

# The small projects of these tests declare no more than they need.
pytestmark = pytest.mark.filterwarnings("ignore::dialog_policy.errors.CorpusWarning")


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
    # What the entities say already is said once.
    entities = {"name": "Ann", "city-home": "Rome"}
    assert first.context == {"entities": entities, "slots": slots, "slot_was_set": {"known": True}}
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
    song = {"song": {"title": "X", "takes": [1, 2.5, None]}}
    assert last.context == {"slots": {**slots, **song}, "slot_was_set": song}


def test_actions_in_a_row_as_a_set_know_only_what_was_known_before_the_first(tmp_path):
    steps = [{"intent": "a"}, {"action": "x"}, {"slot_was_set": [{"n": 1}]}, {"bot": "Y"}, {"intent": "b"}]
    put(tmp_path, s=stories(story(*steps, {"action": "z"})))
    (one,), (two,) = read(tmp_path, labels="set"), read(tmp_path, labels="action")
    assert [(t.user, t.actions, t.system, t.context) for t in one.turns] == [
        ("a", {"x", "Y"}, "Y", {}),
        ("b", {"z"}, "", {"slots": {"n": 1}}),
    ]
    news = {"slots": {"n": 1}, "slot_was_set": {"n": 1}}
    assert [t.context for t in two.turns] == [{}, news, {"slots": {"n": 1}}]


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
        ("", "table_form", {"active_loop": "table_form", "slots": {"people": 2}, "slot_was_set": {"people": 2}}),
        (
            "",
            "utter_done",
            {
                "active_loop": None,
                "slots": {"people": 2, "requested_slot": None},
                "slot_was_set": {"requested_slot": None},
            },
        ),
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
    dialogues = read(put(tmp_path, s=stories(story(*steps), story({"intent": "a"}, {"action": "z"}))))
    assert [(d.id, d.turns[0].user, d.turns[0].context.get("slots")) for d in dialogues] == [
        ("s", "a", {"n": "x"}),
        ("s (2)", "b", {"n": "y"}),
        ("s (3)", "c", {"n": "x"}),
        ("s (4)", "a", None),
    ]


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


def test_stories_are_streamed_up_to_a_fault(tmp_path):
    put(tmp_path, s=stories(linked("a", [], []), linked("b", [], [])) + "- story: [\n")
    dialogues = stream(tmp_path, format="rasa")
    assert [next(dialogues).id, next(dialogues).id] == ["a", "b"]
    with pytest.raises(CorpusError, match=r"s\.yml, line"):
        next(dialogues)


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
