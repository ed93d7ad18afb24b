"""DSTC2, M2M and Schema-Guided Dialogue: counts in the public files, and small samples of our own."""

import pytest

from dialog_policy.corpus.readers import load_corpus
from dialog_policy.errors import CorpusError
from tests.corpus.files import put, read, said

# Corpus and labels to dialogues with a target turn, target turns and labels, of train and of dev.
COUNTS = {
    ("dstc2.zip", "act"): [(1612, 11677, 12), (253, 1878, 12)],
    ("dstc2.zip", "act-slot"): [(1612, 11677, 27), (253, 1878, 27)],
    ("sim-M.zip", "act"): [(362, 1589, 7), (111, 507, 7)],
    ("sim-M.zip", "act-slot"): [(362, 1589, 28), (111, 507, 28)],
    ("sgd.zip", "act-slot"): [(12174, 111878, 251), (2098, 19384, 176)],
}


@pytest.mark.parametrize(("file", "labels"), COUNTS)
def test_the_published_counts_are_found(public_corpora, file, labels):
    corpus = load_corpus(public_corpora(file), reader={"labels": labels})
    assert corpus.splits == ("train", "dev")
    counts = []
    for part in map(corpus.split, corpus.splits):
        names = {action for dialogue in part for turn in dialogue.turns for action in turn.actions or ()}
        counts.append((sum(dialogue.n_targets > 0 for dialogue in part), part.n_targets, len(names)))
    assert counts == COUNTS[file, labels]


def log(*turns):
    """A call's turns: acts of the system, its text, hypotheses of what the user said and meant."""
    return {
        "session-id": "voip-1",
        "system-specific": {"dialog-manager": 1},
        "turns": [
            {
                "output": {
                    "dialog-acts": [{"act": act, "slots": slots} for act, slots in acts],
                    "transcript": text,
                },
                "input": {
                    "live": {
                        "asr-hyps": [{"asr-hyp": hypothesis, "score": score} for hypothesis, score in heard],
                        "slu-hyps": [{"slu-hyp": meant, "score": score} for meant, score in understood],
                    }
                },
            }
            for acts, text, heard, understood in turns
        ],
    }


NORTH = {"act": "inform", "slots": [["area", "north"]]}
SOUTH = {"act": "inform", "slots": [["area", "south"]]}
PHONE = {"act": "request", "slots": [["slot", "phone"]]}
CALL = log(
    ([("welcomemsg", [])], "Hello", [("the south", -4.0), ("the north", -0.5)], [([NORTH], 0.6), ([SOUTH], 0.1)]),
    ([("request", [["slot", "food"]]), ("expl-conf", [["area", "north"]])], "Food?", [("", -0.1)], [([PHONE], 1)]),
    ([("offer", [["name", "A"]]), ("inform", [["phone", 12], ["area", "north"]])], "A, 12", [], []),
)
LABELS = {"turns": [{"transcription": text, "goal-labels": {"area": "secret"}} for text in ("north", "phone", "bye")]}


@pytest.fixture
def calls(tmp_path):
    lists = {"config__d_train.flist": "day/voip-1\n", "config__d_test.flist": "other/voip-9\n"}
    return put(tmp_path, **lists, **{"day__voip-1__log": CALL, "day__voip-1__label": LABELS})


@pytest.mark.parametrize(
    ("labels", "second", "third"),
    [
        ("act", {"request", "expl-conf"}, {"offer", "inform"}),
        ("act-slot", {"request-food", "expl-conf-area"}, {"offer-name", "inform-phone", "inform-area"}),
        (
            "act-slot-value",
            {"request-food", "expl-conf-area-north"},
            {"offer-name-A", "inform-phone-12", "inform-area-north"},
        ),
    ],
)
def test_a_system_output_of_dstc2_answers_the_turn_before(calls, labels, second, third):
    (call,) = read(calls, labels=labels)
    assert (call.id, call.split) == ("voip-1", "train")
    assert said(call) == [
        ("", {"welcomemsg"}, "Hello"),
        ("north", second, "Food?"),
        ("phone", third, "A, 12"),
        ("bye", None, ""),
    ]
    understood = [turn.context.get("understood") for turn in call.turns]
    assert understood == [
        None,
        {"inform-area": {"value": "north", "confidence": 0.6}},
        {"request-phone": {"value": "", "confidence": 1.0}},
        None,
    ]
    assert "secret" not in str(call)


@pytest.mark.parametrize(
    ("asr", "users"),
    [("1best", ["", "the north", "", ""]), ("nbest", ["", "the north | the south", "", ""])],
)
def test_what_was_recognised_in_dstc2_needs_no_labels(calls, asr, users):
    (calls / "day" / "voip-1" / "label.json").unlink()
    (call,) = read(calls, asr=asr)
    assert [turn.user for turn in call.turns] == users
    with pytest.raises(CorpusError, match=r"log\.json, dialogue 'voip-1': expected label\.json .*asr=1best"):
        read(calls)


def test_calls_that_do_not_fit_their_lists_or_labels_are_named(calls):
    put(calls, **{"config__d_train.flist": "day/voip-1\n\nday/voip-2\n"})
    with pytest.raises(CorpusError, match=r"d_train\.flist, line 3: the call 'day/voip-2' is not there"):
        read(calls)
    put(calls, **{"config__d_train.flist": "", "day__voip-1__label": {"turns": LABELS["turns"][:2]}})
    with pytest.raises(CorpusError, match=r"label\.json, dialogue 'voip-1': expected 3 turns as in log\.json, found 2"):
        read(calls)


def test_a_call_that_no_list_names_has_no_part(calls):
    (calls / "config" / "d_train.flist").unlink()
    assert [call.split for call in read(calls)] == [None]


MOVIES = [
    {
        "dialogue_id": "m1",
        "turns": [
            {"user_utterance": {"text": "hi"}, "user_acts": [{"type": "GREETING"}], "dialogue_state": []},
            {
                "system_acts": [{"type": "REQUEST", "slot": "date"}, {"type": "CONFIRM", "slot": "time", "value": "8"}],
                "system_utterance": {"text": "8, when ?"},
                "user_utterance": {"text": "today"},
                "dialogue_state": [{"slot": "date", "value": "secret"}],
            },
            {"system_acts": [{"type": "GOOD_BYE"}], "system_utterance": {"text": "bye"}},
        ],
    },
    {"dialogue_id": "m2", "turns": [{"user_utterance": {"text": "only this"}}]},
]


@pytest.mark.parametrize(
    ("labels", "first"), [("act", {"REQUEST", "CONFIRM"}), ("act-slot", {"REQUEST-date", "CONFIRM-time"})]
)
def test_acts_of_m2m_answer_the_user_of_the_turn_before(tmp_path, labels, first):
    one, two = read(put(tmp_path, **{"sim-M__dev": MOVIES}), labels=labels)
    assert said(one) == [("hi", first, "8, when ?"), ("today", {"GOOD_BYE"}, "bye")]
    assert said(two) == [("only this", None, "")]
    assert (one.split, "secret" in str(one)) == ("dev", False)


def test_sgd_calls_before_it_acts(tmp_path):
    frame = {"service": "Food_1", "slots": [], "actions": [{"act": "OFFER", "slot": "name"}, {"act": "GOODBYE"}]}
    call = {"service_call": {"method": "Find", "parameters": {"city": "C"}}, "service_results": [{"name": "A"}]}
    turns = [
        {"speaker": "USER", "utterance": "food", "frames": [{"service": "Food_1", "state": {"slot_values": "secret"}}]},
        {"speaker": "SYSTEM", "utterance": "A", "frames": [{**frame, **call}]},
        {"speaker": "USER", "utterance": "no", "frames": []},
        {"speaker": "SYSTEM", "utterance": "B", "frames": [frame | {"service_results": []}, {"service": "Bank_1"}]},
        {"speaker": "SYSTEM", "utterance": "?", "frames": []},
    ]
    dialogues = [{"dialogue_id": "1_00000", "services": ["Food_1"], "turns": turns}]
    put(tmp_path, train__dialogues_001=dialogues, dev__dialogues_001=dialogues, train__schema=[])
    one, other = read(tmp_path)
    assert [(d.id, d.split) for d in (one, other)] == [("train-1_00000", "train"), ("dev-1_00000", "dev")]
    offer = {"OFFER-name", "GOODBYE"}
    assert said(one) == [("food", offer, "A"), ("no", offer, "B"), ("", None, "?")]
    assert [dict(turn.context) for turn in one.turns] == [
        {"calls": [{"service": "Food_1", "method": "Find", "parameters": {"city": "C"}}], "results": [{"name": "A"}]},
        {"results": []},
        {},
    ]
    assert "secret" not in str(one)
    assert read(tmp_path, labels="act")[0].turns[0].actions == {"OFFER", "GOODBYE"}
    assert read(tmp_path, labels="service-act-slot")[0].turns[0].actions == {"Food_1-OFFER-name", "Food_1-GOODBYE"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "train__dialogues_001",
            [{"dialogue_id": "1", "turns": [{"speaker": "ROBOT"}]}],
            r"\[0\]\.turns\[0\]\.speaker",
        ),
        ("train", [MOVIES[1], {"dialogue_id": 3, "turns": []}], r"dialogue_id.*element 1"),
    ],
)
def test_a_wrong_value_is_found_by_file_and_place(tmp_path, name, content, message):
    path = put(tmp_path, **{name: content}) / f"{name.replace('__', '/')}.json"
    with pytest.raises(CorpusError, match=f"{path}.*{message}"):
        list(load_corpus(tmp_path, format="sgd" if "__" in name else "m2m"))
