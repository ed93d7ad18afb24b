"""MultiWOZ, CrossWOZ, Frames, KVRET and the older unified format, in small samples of our own, and the real MultiWOZ."""

import copy
import json
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog_policy.corpus.readers import load_corpus, open_source, readers
from dialog_policy.errors import CorpusError, DialogPolicyError
from tests.corpus.files import put, read, said
from tests.samples import SAMPLES, TurnSpec


def log(*utterances):
    return {
        "goal": {"hotel": {"info": {"area": "east"}}, "taxi": {}, "topic": {"taxi": True}},
        "log": [{"text": text, "metadata": {}, **more} for text, more in utterances],
    }


# MultiWOZ 2.0: acts in a file of their own, turns counted from 1 over the system's turns.
V20 = log(("a room", {}), ("where", {}), ("east", {}), ("sure", {}), ("thanks", {}), ("bye", {}), ("oh", {}))
ACTS20 = {
    "1": {"Hotel-Request": [["Area", "?"], ["none", "none"]]},
    "2": "No Annotation",
    "3": {"general-bye": [["none", "none"]], "general-welcome": []},
}
# MultiWOZ 2.1: acts in the log.
V21 = log(
    ("a room", {"dialog_act": {"Hotel-Inform": [["none", "none"]]}, "span_info": []}),
    ("yes", {"dialog_act": {"Hotel-Inform": [["Name", "A"], ["Area", "east"]], "Booking-Inform": [["none", "none"]]}}),
    ("fine", {}),
    ("ok", {"dialog_act": {}}),
)


@pytest.mark.parametrize("acts_file", ["dialogue_acts", "system_acts"])
def test_multiwoz_with_its_acts_apart(tmp_path, acts_file):
    put(tmp_path, M__data={"SNG01.json": V20, "MUL2.json": V21}, **{f"M__{acts_file}": {"SNG01": ACTS20, "MUL2": {}}})
    one, two = read(tmp_path)
    assert said(one) == [
        ("a room", {"Hotel-Request-Area", "Hotel-Request"}, "where"),
        ("east", None, "sure"),
        ("thanks", {"general-bye", "general-welcome"}, "bye"),
        ("oh", None, ""),
    ]
    assert said(two) == [
        ("a room", {"Hotel-Inform-Name", "Hotel-Inform-Area", "Booking-Inform"}, "yes"),
        ("fine", None, "ok"),
    ]
    assert (one.id, one.split, dict(one.fields)) == ("SNG01", None, {"domains": ["hotel"]})


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("act", {"Inform"}),
        ("domain-act", {"Hotel-Inform", "Booking-Inform"}),
        ("domain-act-slot", {"Hotel-Inform-Name", "Hotel-Inform-Area", "Booking-Inform"}),
    ],
)
def test_labels_of_multiwoz(tmp_path, labels, expected):
    (dialogue,) = read(put(tmp_path, data={"MUL2.json": V21}), labels=labels)
    assert dialogue.turns[0].actions == expected


@pytest.mark.parametrize(
    "lists",
    [
        {"valListFile.json": "b.json\n", "testListFile.json": "c.json\n"},
        {"valListFile.txt": '["b.json", "b2"]', "testListFile.txt": '["c"]'},
        {"valListFile": "b\r\n", "testListFile": "c"},
    ],
)
def test_the_lists_of_multiwoz_name_its_parts_in_a_folder_and_in_the_zip(tmp_path, lists):
    put(tmp_path, M__data={f"{name}.json": V21 for name in "abc"}, M__hotel_db=[{"name": "A"}], M__ontology={})
    for name, text in lists.items():
        (tmp_path / "M" / name).write_text(text)
    with zipfile.ZipFile(tmp_path / "M.zip", "w") as archive:
        for path in (tmp_path / "M").iterdir():
            archive.write(path, f"MULTIWOZ2 2/{path.name}")
        archive.writestr("__MACOSX/MULTIWOZ2 2/._data.json", b"\0")
    for path in (tmp_path / "M", tmp_path / "M.zip"):
        assert [(d.id, d.split) for d in read(path)] == [("a", "train"), ("b", "dev"), ("c", "test")]


def test_multiwoz_20_without_its_acts_is_told(tmp_path):
    with pytest.raises(CorpusError, match=r"data\.json: its turns have no dialog_act.*dialogue_acts\.json.*Name the"):
        load_corpus(put(tmp_path, data={"SNG01.json": V20}) / "data.json")


def test_multiwoz_with_one_part_a_file(tmp_path):
    put(tmp_path, test={"c": V21}, train={"a": V21}, val={"b": V21}, ontology={"hotel-area": ["east"]})
    assert {d.id: d.split for d in read(tmp_path)} == {"a": "train", "b": "dev", "c": "test"}
    assert [d.split for d in read(tmp_path / "val.json")] == ["dev"]


@pytest.mark.parametrize(("labels", "distinct"), [("act", 13), ("domain-act", 32), ("domain-act-slot", 208)])
def test_multiwoz_validation(public_corpora, labels, distinct):
    corpus = load_corpus(public_corpora("multiwoz-2.1-val.zip"), reader={"labels": labels})
    assert (corpus.format, len(corpus), corpus.n_turns, corpus.n_targets) == ("multiwoz", 999, 7365, 7286)
    assert len({label for d in corpus for turn in d.turns for label in turn.actions or ()}) == distinct
    assert {d.split for d in corpus} == {"dev"}


def turn22(number, speaker, text):
    return {"turn_id": str(number), "speaker": speaker, "utterance": text, "frames": []}


def v22(name):
    turns = [turn22(0, "USER", "hi"), turn22(1, "SYSTEM", "ho"), turn22(2, "USER", "bye"), turn22(3, "SYSTEM", "so")]
    return [{"dialogue_id": name, "services": ["hotel"], "turns": turns}]


ACTS22 = {
    "0": {"dialog_act": {"Hotel-Inform": [["area", "east"]]}, "span_info": []},
    "1": {"dialog_act": {"Hotel-Request": [["area", "?"]]}, "span_info": []},
}


def test_multiwoz_22(tmp_path):
    put(tmp_path, train__dialogues_001=v22("PMUL1.json"), dev__dialogues_001=v22("SNG2.json"), schema=[])
    put(tmp_path, dialog_acts={"PMUL1.json": ACTS22})
    one, two = reversed(list(load_corpus(tmp_path)))
    assert load_corpus(tmp_path).format == "multiwoz22"
    assert said(one) == [("hi", {"Hotel-Request-area"}, "ho"), ("bye", None, "so")]
    assert (one.id, one.split, dict(one.fields)) == ("PMUL1", "train", {"domains": ["hotel"]})
    assert (two.id, two.split, two.n_targets) == ("SNG2", "dev", 0)
    assert read(tmp_path, labels="act")[1].turns[0].actions == {"Request"}


def test_multiwoz_22_without_its_acts_is_told(tmp_path):
    put(tmp_path, train__dialogues_001=v22("PMUL1.json"))
    with pytest.raises(CorpusError, match=r"expected dialog_acts\.json"):
        load_corpus(tmp_path)


CROSSWOZ = {
    "11": {
        "goal": [[1, "餐馆", "名称", "", False], [1, "餐馆", "评分", "5", False], [2, "酒店", "名称", "", False]],
        "messages": [
            {"content": "你好", "role": "usr", "dialog_act": [["General", "greet", "none", "none"]]},
            {
                "content": "推荐A",
                "role": "sys",
                "dialog_act": [["General", "greet", "none", "none"], ["Recommend", "餐馆", "名称", "A"]],
                "sys_state": {"餐馆": {"selectedResults": ["A"]}},
            },
            {"content": "酒店?", "role": "usr", "dialog_act": []},
            {"content": "没有", "role": "sys", "dialog_act": [["NoOffer", "酒店", "none", "none"]]},
            {"content": "嗯", "role": "sys"},
        ],
    }
}


@pytest.mark.parametrize(
    ("labels", "first", "second"),
    [
        ("act", {"greet", "Recommend"}, {"NoOffer"}),
        ("act-slot", {"greet", "Recommend-名称"}, {"NoOffer"}),
        ("domain-act-slot", {"General-greet", "餐馆-Recommend-名称"}, {"酒店-NoOffer"}),
    ],
)
def test_crosswoz_from_the_archive_of_a_part(tmp_path, labels, first, second):
    path = tmp_path / "val.json.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("val.json", json.dumps(CROSSWOZ))
    (dialogue,) = read(path, labels=labels)
    assert said(dialogue) == [("你好", first, "推荐A"), ("酒店?", second, "没有"), ("", None, "嗯")]
    assert (dialogue.id, dialogue.split, dialogue.fields["domains"]) == ("11", "dev", ["餐馆", "酒店"])
    assert not any(turn.context for turn in dialogue.turns)


def wizard(text, acts, **more):
    return {"author": "wizard", "text": text, "labels": {"acts": acts}, **more}


FRAMES = {
    "id": "f1",
    "user_id": "U",
    "wizard_id": "W",
    "turns": [
        {"author": "user", "text": "to Rome", "labels": {"acts": [{"name": "inform", "args": []}]}},
        wizard(
            "It is 90",
            [
                {
                    "name": "inform",
                    "args": [
                        {"key": "price", "val": "90"},
                        {"key": "id", "val": 2},
                        {"key": "read", "val": [{"frame": 2, "annotations": [{"key": "seat", "val": "x"}]}]},
                    ],
                },
                {"name": "switch_frame", "args": [{"key": "ref", "val": [{"frame": 2, "annotations": []}]}]},
            ],
            db={"search": [{"BUDGET": "1"}], "result": [[{"hotel": "A"}, {"hotel": "B"}], []]},
        ),
        wizard("None", [{"name": "no_result", "args": []}], db={"search": [{"BUDGET": "1"}], "result": [[]]}),
        wizard("hm", [], db={"search": [], "result": []}),
    ],
}


def test_frames(tmp_path):
    (dialogue,) = read(put(tmp_path, frames=[FRAMES]))
    assert said(dialogue) == [
        ("to Rome", {"inform-price", "inform-seat", "switch_frame"}, "It is 90"),
        ("", {"no_result"}, "None"),
        ("", None, "hm"),
    ]
    assert [t.context for t in dialogue.turns] == [{"results": [{"hotel": "A"}, {"hotel": "B"}]}, {"results": []}, {}]
    assert read(tmp_path, labels="act")[0].turns[0].actions == {"inform", "switch_frame"}


def spoken(who, text, **notes):
    return {"turn": who, "data": {"utterance": text, "end_dialogue": False, **notes}}


KVRET = {
    "dialogue": [
        spoken("driver", "cafe?"),
        spoken("assistant", "A", requested={"poi": True, "address": False}, slots={"poi_type": "cafe"}),
        spoken("assistant", "well", requested={"poi": False}, slots={}),
        spoken("driver", "bye"),
        spoken("assistant", "bye", requested={}, slots={}, end_dialogue=True),
        spoken("assistant", "so"),
    ],
    "scenario": {"kb": {"items": [{"poi": "A"}]}, "task": {"intent": "navigate"}},
}


def test_kvret(tmp_path):
    put(tmp_path, kvret_dev_public=[{"dialogue": [], "scenario": {"kb": {"items": None}}}, KVRET], kvret_entities={})
    (dialogue,) = read(tmp_path)
    assert said(dialogue) == [
        ("cafe?", {"requested-poi", "slots-poi_type"}, "A"),
        ("", frozenset(), "well"),
        ("bye", {"end_dialogue"}, "bye"),
        ("", None, "so"),
    ]
    assert [turn.context for turn in dialogue.turns] == [{"results": [{"poi": "A"}]}, {}, {}, {}]
    assert (dialogue.id, dialogue.split, dialogue.fields["domains"]) == ("dev-1", "dev", ["navigate"])
    assert read(tmp_path, labels="act")[0].turns[0].actions == {"requested", "slots"}


def test_the_unified_format_of_convlab_2(tmp_path):
    acts = {"binary": [{"intent": "offer", "domain": "r", "slot": "", "value": ""}], "non-categorical": None}
    turns = [
        {"speaker": "user", "utterance": "hi", "dialogue_act": {"binary": []}, "state": {}},
        {"speaker": "system", "utterance": "ho", "dialogue_act": acts, "db_results": {}},
        {"speaker": "system", "utterance": "so", "dialogue_act": {}, "db_results": {"r": []}},
    ]
    put(tmp_path, data=[{"dialogue_id": 7, "data_split": "val", "domains": None, "turns": turns}])
    (dialogue,) = read(tmp_path)
    assert (dialogue.id, dialogue.split) == ("7", "dev")
    assert said(dialogue) == [("hi", {"offer"}, "ho"), ("", None, "so")]
    assert [turn.context for turn in dialogue.turns] == [{}, {"results": []}]


OURS = ("multiwoz", "multiwoz22", "crosswoz", "frames", "kvret", "unified")
DIALOGUES = [[TurnSpec("hello", None, "greet", "welcome"), TurnSpec("bye", None, "end", "see you")]] * 2


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_one_reader_alone_recognises_a_sample_as_a_folder_and_as_a_file(tmp_path, name):
    SAMPLES[name](tmp_path, DIALOGUES)
    paths = [tmp_path, *(path for path in tmp_path.rglob("*") if path.is_file())]
    for path in paths:
        names = [reader.name for reader in readers().values() if reader.recognises(open_source(path))]
        assert names in ([name], []) if path != tmp_path else names == [name], path


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def places(node, path=()):
    yield path
    for key, inner in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from places(inner, (*path, key))


def changed(node, path, value):
    if not path:
        return value
    node = copy.copy(node)
    node[path[0]] = changed(node[path[0]], path[1:], value)
    return node


@settings(max_examples=300, deadline=None)
@given(data=st.data(), name=st.sampled_from(OURS), value=json_values)
def test_a_value_of_another_kind_anywhere_is_read_or_refused(data, name, value):
    with tempfile.TemporaryDirectory() as folder:
        SAMPLES[name](Path(folder), DIALOGUES)
        path = data.draw(st.sampled_from(sorted(Path(folder).rglob("*.json"))))
        content = json.loads(path.read_text(encoding="utf-8"))
        place = data.draw(st.sampled_from(list(places(content))))
        path.write_text(json.dumps(changed(content, place, value)), encoding="utf-8")
        try:
            for dialogue in load_corpus(folder, format=name):
                dialogue.fingerprint()
        except DialogPolicyError as error:
            assert str(Path(folder)) in str(error) or "occurs twice" in str(error)  # noqa: PT017
