"""What people and spreadsheets do to tables, transcripts and JSON Lines."""

import json

import pytest

from dialog_policy.corpus.readers import load_corpus, stream
from dialog_policy.errors import CorpusError

HEAD = "dialogue_id,user,actions"


def read(tmp_path, name, text, **options):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(load_corpus(path, **options))


def test_scattered_rows_are_gathered_by_their_turn_numbers(tmp_path):
    one, two = read(tmp_path, "c.csv", f"{HEAD},turn\n1,later,a,10\n2,x,a,0\n1,first,b,2\n")
    assert [turn.user for turn in one.turns] == ["first", "later"]
    assert two.id == "2"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_spreadsheet_may_leave_its_marks(tmp_path, delimiter):
    text = f"\ufeff {HEAD} \r\n007,hi,a\r\n,,\r\n007,,\r\n".replace(",", delimiter)
    (dialogue,) = read(tmp_path, "c.csv", text)
    assert dialogue.id == "007"
    assert [(turn.user, turn.actions) for turn in dialogue.turns] == [("hi", {"a"}), ("", frozenset())]


def test_a_missing_number_is_no_number(tmp_path):
    (dialogue,) = read(tmp_path, "c.csv", f"{HEAD},reward,turn\n1,hi,a,nan,\n1,ho,a,0.5,\n")
    assert [turn.reward for turn in dialogue.turns] == [None, 0.5]


def test_parquet_with_lists_numbers_and_gaps(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {
        "dialogue_id": [1, 1, 2],
        "user": ["a", None, "b"],
        "actions": [["x"], [], None],
        "reward": [1.0, float("nan"), None],
    }
    parquet.write_table(arrow.table(columns), tmp_path / "c.parquet")
    one, two = load_corpus(tmp_path / "c.parquet")
    assert [(turn.user, turn.actions, turn.reward) for turn in one.turns] == [
        ("a", {"x"}, 1.0),
        ("", frozenset(), None),
    ]
    assert two.turns[0].actions is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEAD},user\n1,hi,a,other\n", "line 1: the column 'user' occurs twice"),
        (f"{HEAD},split\n1,hi,a,train\n1,x,b,test\n", "line 3, dialogue '1': .*'train'.*'test'"),
        (f"{HEAD},reward\n1,hi,a,much\n", "line 2, dialogue '1': the cell 'reward' cannot be read"),
        (f"{HEAD},propensity\n1,hi,a,inf\n", "the cell 'propensity' cannot be read: expected a finite number"),
        (f"{HEAD}\n1,hi,[a\n", "the cell 'actions' cannot be read"),
    ],
)
def test_faults_in_a_table_are_named(tmp_path, text, message):
    with pytest.raises(CorpusError, match=message):
        read(tmp_path, "c.csv", text)


def test_a_column_named_id_does_not_take_the_place_of_the_dialogues_id(tmp_path):
    (dialogue,) = read(tmp_path, "c.csv", f"{HEAD},id,domain\n1,hi,a,7,bank\n")
    assert (dialogue.id, dict(dialogue.fields)) == ("1", {"domain": "bank"})


@pytest.mark.parametrize(
    ("line", "user", "actions", "system"),
    [
        ('t1: user: "He said “hi”", system: "no"(action=2)', "He said “hi”", {"2"}, "no"),
        ("t1: user: “Do you?”, system: “no” (action=2, 5).", "Do you?", {"2", "5"}, "no"),
        ('t1: user: "Do you?”, system: “no"(action=2)', "Do you?", {"2"}, "no"),
        (r't1: user: "say \"a\\b\"", system: ""(action=)', 'say "a\\b"', frozenset(), ""),
        ('t1: user: "a", system: "b"(actions=inform(food),bye)', "a", {"inform(food)", "bye"}, "b"),
        ("T12 : (action=3)", "", {"3"}, ""),
        ('t1: system: "hello"(action=greet)', "", {"greet"}, "hello"),
    ],
)
def test_transcript_lines(tmp_path, line, user, actions, system):
    (dialogue,) = read(tmp_path, "c.txt", line, format="transcript")
    (turn,) = dialogue.turns
    assert (turn.user, turn.actions, turn.system) == (user, actions, system)


def test_a_forgotten_blank_line_does_not_join_two_dialogues(tmp_path):
    text = 't1: user: "a", system: "b"(action=1)\n# no blank line\nt1: user: "c", system: "d"(action=2)\n'
    with pytest.raises(CorpusError, match=r"line 3: expected a turn after t1, found t1. Put a blank line"):
        read(tmp_path, "c.txt", text)


def test_a_readme_beside_transcripts_is_not_one(tmp_path):
    (tmp_path / "README.txt").write_text("About these dialogues.\n")
    (tmp_path / "zebra.txt").write_text('t1: user: "a", system: "b"(action=1)\n')
    assert len(load_corpus(tmp_path)) == 1


def test_json_lines_name_dialogue_and_turn(tmp_path):
    text = '{"id": "x", "turns": [{"user": "a", "actions": ["b"]}, {"user": "q", "actions": "b"}]}\n'
    with pytest.raises(CorpusError, match=r"line 1, dialogue 'x', turn 1 \(counted from 0\)") as caught:
        read(tmp_path, "c.jsonl", text)
    assert (caught.value.line, caught.value.dialogue, caught.value.turn) == (1, "x", 1)


def test_dialogues_are_streamed_up_to_a_fault(tmp_path):
    line = '{"id": "%d", "turns": [{"user": "a", "actions": ["b"]}]}\n'
    (tmp_path / "c.jsonl").write_text(line % 1 + line % 2 + "{\n")
    found = stream(tmp_path / "c.jsonl")
    assert [next(found).id, next(found).id] == ["1", "2"]
    with pytest.raises(CorpusError, match="line 3"):
        next(found)


def unified(*turns):
    keys = ("speaker", "utterance", "dialogue_acts", "db_results")
    return json.dumps([{"dialogue_id": "d", "turns": [dict(zip(keys, turn, strict=False)) for turn in turns]}])


GREET = {"binary": [{"intent": "greet", "domain": "general", "slot": ""}], "categorical": []}


def test_an_utterance_without_acts_is_history_only_in_the_unified_format(tmp_path):
    text = unified(
        ("system", "Hi", GREET),
        ("user", "food", {}),
        ("system", "?", {"binary": [], "categorical": []}),
        ("user", "bye"),
    )
    (dialogue,) = read(tmp_path, "dialogues.json", text)
    assert [(turn.user, turn.actions) for turn in dialogue.turns] == [("", {"greet"}), ("food", None), ("bye", None)]


def test_results_of_the_unified_format_are_records(tmp_path):
    found = {"hotel": [{"name": "A"}, {"name": "B"}], "train": [{"id": "T1"}]}
    (dialogue,) = read(tmp_path, "dialogues.json", unified(("user", "x"), ("system", "y", GREET, found)))
    assert dialogue.turns[0].context["results"] == [
        {"domain": "hotel", "name": "A"},
        {"domain": "hotel", "name": "B"},
        {"domain": "train", "id": "T1"},
    ]


def test_camrest_has_the_turns_that_carry_acts(public_corpora):
    corpus = load_corpus(public_corpora("camrest-convlab-unified.zip"))
    assert (len(corpus), corpus.n_turns, corpus.n_targets, corpus.splits) == (541, 2209, 1603, ("train", "dev"))
