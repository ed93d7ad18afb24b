"""What is particular to single readers; what every reader must do is in tests/contracts/test_readers.py."""

import io
import json
import zipfile
from datetime import datetime
from pathlib import Path

import pytest

from dialog_policy.corpus.readers import load_corpus
from dialog_policy.corpus.write import write_corpus
from dialog_policy.errors import CorpusError, CorpusWarning, OptionError

STAR_DIALOGUE = {
    "AnonymizedUserWorkerID": "u",
    "AnonymizedWizardWorkerID": "w",
    "DialogueID": 7,
    "Scenario": {"Happy": True, "MultiTask": False, "Domains": ["bank"], "New": 1},
    "Events": [
        {"Agent": "User", "Action": "utter", "Text": "hello"},
        {"Agent": "Wizard", "Action": "request_suggestions", "Text": "secret thought"},
        {"Agent": "Wizard", "Action": "pick_suggestion", "ActionLabel": "ask_name", "Text": "Your name?"},
        {"Agent": "User", "Action": "utter", "Text": "Ben"},
        {
            "Agent": "Wizard",
            "Action": "query",
            "APIName": "bank",
            "Constraints": [{"Name": '"Ben"'}, {"RequestType": '"Check"'}],
        },
        {
            "Agent": "KnowledgeBase",
            "Action": "return_item",
            "APIName": "bank",
            "Item": {"Balance": 3},
            "TotalItems": -1,
        },
        {"Agent": "Wizard", "Action": "utter", "Text": "typed freely"},
        {"Agent": "Wizard", "Action": "pick_suggestion", "ActionLabel": "bye", "Text": "Bye."},
    ],
}
BABI = """1 hi\thello what can i help you with today
2 table in paris for two please\ti'm on it
3 <SILENCE>\tapi_call R_cuisine paris two R_price
4 resto_b R_phone resto_b_phone
5 resto_b R_rating 3
6 resto_a R_phone resto_a_phone
7 resto_a R_rating 8
8 <SILENCE>\twhat do you think of this option: resto_a
9 no\tsure let me find an other option for you
10 <SILENCE>\twhat do you think of this option: resto_b
11 its phone\there it is resto_b_phone

1 hello\thello what can i help you with today
"""
KB = "1 resto_a R_location\tparis\n1 resto_a R_number\ttwo\n"
UNIFIED = [
    {
        "dialogue_id": "d1",
        "data_split": "validation",
        "extra": [1],
        "turns": [
            {"speaker": "user", "utterance": "cheap food", "dialogue_acts": {"categorical": []}},
            {
                "speaker": "system",
                "utterance": "Which area?",
                "db_results": {"restaurant": [{"name": "a"}]},
                "dialogue_acts": {"categorical": [{"intent": "request", "domain": "restaurant", "slot": "area"}]},
            },
        ],
    },
    {
        "dialogue_id": "d2",
        "data_split": "train",
        "turns": [
            {"speaker": "system", "utterance": "Hi", "dialogue_act": {"binary": [{"intent": "greet", "slot": ""}]}}
        ],
    },
]
SAMPLES: dict[str, tuple[str, dict[str, str]]] = {
    "jsonl": (
        "c.jsonl",
        {
            "c.jsonl": '{"id": "a", "domain": "x", "turns": [{"user": "hi", "actions": ["b", "a"], "system": "yes", "odd": 1},'
            ' {"user": "", "context": {"n": 2}, "actions": null, "system": "typed"}, {"actions": []}]}\n\n'
            '{"id": "b", "split": "test", "turns": [{"user": "ü", "actions": ["a"], "reward": 0.5, "propensity": 0.25}]}\n'
        },
    ),
    "table": (
        "c.csv",
        {
            "c.csv": "dialogue_id,user,actions,system,context,domain\n1,hi,a|b,yes,,x\n1,,null,typed,,x\n"
            '2,"a, b","[""c|d""]","say ""no""","{""n"": 2}",y\n2,last,,,,y\n'
        },
    ),
    "transcript": (
        "c.txt",
        {
            "c.txt": '# a comment\nt1: user: "Do you know an apple?", system: "no"(action=2)\nt2: user: "say \\"hi\\"", '
            'system: "hi"(action=2,5)\n\nt1: system: "welcome" (action=greet)\nt2: user: "bye"\n'
        },
    ),
    "star": ("dialogues/7.json", {"dialogues/7.json": json.dumps(STAR_DIALOGUE)}),
    "babi": (
        "dialog-babi-task5-full-dialogs-trn.txt",
        {"dialog-babi-task5-full-dialogs-trn.txt": BABI, "dialog-babi-kb-all.txt": KB},
    ),
    "unified": ("data/dialogues.json", {"data/dialogues.json": json.dumps(UNIFIED)}),
}


def content(path, **options):
    return [(d.id, d.turns, d.split, dict(d.fields)) for d in load_corpus(path, **options)]


def write_folder(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(params=sorted(SAMPLES))
def sample(request, tmp_path):
    """Name of a format and a folder in it."""
    return request.param, write_folder(tmp_path / "corpus", SAMPLES[request.param][1])


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv", ".parquet"])
def test_conversion_round_trip_is_exact(sample, tmp_path, suffix):
    _, folder = sample
    corpus = load_corpus(folder)
    target = tmp_path / f"out{suffix}"
    write_corpus(corpus, target)
    fields = suffix == ".jsonl"
    assert [(d.id, d.turns, d.split, dict(d.fields) if fields else None) for d in load_corpus(target)] == [
        (d.id, d.turns, d.split, dict(d.fields) if fields else None) for d in corpus
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"corpus", target.name}


def test_unknown_option_and_value_are_refused_with_a_hint(sample):
    name, folder = sample
    with pytest.raises(OptionError, match=name):
        load_corpus(folder, reader={"nonsense": "1"})


def test_option_hints(tmp_path):
    folder = write_folder(tmp_path, SAMPLES["star"][1])
    with pytest.raises(OptionError, match="Did you mean 'scenario'"):
        load_corpus(folder, reader={"scenarios": "happy"})
    with pytest.raises(OptionError, match="Did you mean 'happy'"):
        load_corpus(folder, reader={"scenario": "hapy"})
    with pytest.raises(OptionError, match="Did you mean 'star'"):
        load_corpus(folder, format="starr")


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("c.jsonl", '{"id": "a", "turns": []}\nnot json\n', "line 2"),
        ("c.jsonl", '{"id": "a", "turns": [{"user": "x", "action": []}]}\n', "Did you mean 'actions'"),
        ("c.jsonl", '{"id": "a", "turns": [{"user": 3, "actions": []}]}\n', r"turns\[0\].user"),
        ("c.csv", "dialogue_id,usr,actions\n1,hi,a\n", "Did you mean 'usr'"),
        ("c.csv", "dialogue_id,user,actions\n1,hi\n", "line 2"),
        ("c.csv", 'dialogue_id,user,actions,context\n1,hi,a,"{"\n', "line 2"),
        ("c.csv", "dialogue_id,user,actions\n1,hi,a\n2,hi,a\n1,hi,a\n", "Sort the rows"),
        ("c.txt", 't1: user: "a", system: "b"(action=1)\nwhat is this\n', "line 2"),
        ("c.unknown", "x\n", "not recognised"),
    ],
)
def test_errors_name_the_place(tmp_path, name, text, place):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(CorpusError, match=place):
        load_corpus(tmp_path / name)


def test_wrong_encoding_missing_file_and_bad_archive(tmp_path):
    (tmp_path / "c.jsonl").write_bytes('{"id": "ü"}'.encode("latin-1"))
    with pytest.raises(CorpusError, match="UTF-8"):
        load_corpus(tmp_path / "c.jsonl")
    with pytest.raises(CorpusError, match=r"Did you mean 'c\.jsonl'"):
        load_corpus(tmp_path / "c.json")
    (tmp_path / "c.zip").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(CorpusError, match="archive"):
        load_corpus(tmp_path / "c.zip")


def test_duplicate_ids_are_refused(tmp_path):
    line = '{"id": "a", "turns": [{"user": "x", "actions": ["y"]}]}\n'
    (tmp_path / "c.jsonl").write_text(line * 2)
    with pytest.raises(CorpusError, match="twice"):
        load_corpus(tmp_path / "c.jsonl")


def test_members_outside_the_archive_are_only_names(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../evil.jsonl", '{"id": "a", "turns": [{"user": "x", "actions": ["y"]}]}\n')
    (tmp_path / "c.zip").write_bytes(buffer.getvalue())
    with pytest.raises(CorpusError):
        load_corpus(tmp_path / "c.zip")
    assert not (tmp_path.parent / "evil.jsonl").exists()


def test_star_protocol(tmp_path):
    (dialogue,) = load_corpus(write_folder(tmp_path, SAMPLES["star"][1]))
    assert [t.actions for t in dialogue.turns] == [{"ask_name"}, {"query_check"}, None, {"bye"}]
    assert [t.user for t in dialogue.turns] == ["hello", "Ben", "", ""]
    assert dialogue.turns[2].context == {"api": "bank", "results": [{"Balance": 3}]}
    assert "Ben" in dialogue.turns[1].system
    assert dialogue.split == "train"


def test_babi_templates(tmp_path):
    first, second = load_corpus(write_folder(tmp_path, SAMPLES["babi"][1]))
    assert [next(iter(t.actions)) for t in first.turns] == [
        "hello what can i help you with today",
        "i'm on it",
        "api_call R_cuisine <location> <number> R_price",
        "what do you think of this option: <name>",
        "sure let me find an other option for you",
        "what do you think of this option: <name>",
        "here it is <phone>",
    ]
    assert [r["name"] for r in first.turns[3].context["results"]] == ["resto_a", "resto_b"]
    assert len(second.turns) == 1


def test_history_only_and_empty_set_in_a_table(tmp_path):
    first, second = load_corpus(write_folder(tmp_path, SAMPLES["table"][1]))
    assert [t.actions for t in first.turns] == [{"a", "b"}, None]
    assert [t.actions for t in second.turns] == [{"c|d"}, frozenset()]
    assert second.turns[0].context == {"n": 2}
    assert dict(first.fields) == {"domain": "x"}


ROWS = "dialogue_id;turn;user;actions;reward"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        # Two dialogues with one id would be one, their turns by turns.
        ("A;1;hi;greet;|A;2;b;book;|A;1;good morning;greet;", "line 4, dialogue 'A'.*two turns with the number 1, in line 2 and line 4"),
        ("A;1;hi;greet;|B;1;x;bye;|A;1.0;yes;greet;", "number 1, in line 2 and line 4. If two dialogues have this id"),
        ("A;1;hi;greet;|;1;hello;greet;", "line 3, dialogue 'A'.*two turns with the number 1"),
        ("A;2;hi;greet;|A;;b;book;", "line 3, dialogue 'A'.*one of its rows has a number as its turn, and this one has no number"),
        ("A;1;hi;greet;1,000", "line 2, dialogue 'A'.*'reward' cannot be read: expected a number such as 0.5, found '1,000'"),
        ("A;T1;hi;greet;", "'turn' cannot be read: expected a number or a time such as .*, found 'T1'.*Number the turns"),
    ],
)  # fmt: skip
def test_rows_whose_order_or_numbers_are_not_known_are_refused(tmp_path, rows, message):
    (tmp_path / "t.csv").write_text("\n".join([ROWS, *rows.split("|")]))
    with pytest.raises(CorpusError, match=message):
        load_corpus(tmp_path / "t.csv")


def test_numbers_may_have_a_decimal_comma(tmp_path):
    (tmp_path / "t.csv").write_text(f"{ROWS}\nA;1;hi;greet;0,125\nA;2,0;so;bye;-1,5\n;3;x;bye;12,5\nB;1;hi;greet;.5\n")
    corpus = load_corpus(tmp_path / "t.csv")
    assert [(d.id, [turn.reward for turn in d.turns]) for d in corpus] == [("A", [0.125, -1.5, 12.5]), ("B", [0.5])]


def test_ids_with_spaces_at_an_end_are_told(tmp_path):
    (tmp_path / "t.csv").write_text("dialogue_id,user,actions\nA,hi,greet\nA ,b,bye\n A,c,bye\n")
    with pytest.warns(
        CorpusWarning, match="2 dialogue ids with spaces at an end: ' A' is another id than 'A'.*remove the"
    ):
        assert [d.id for d in load_corpus(tmp_path / "t.csv")] == ["A", "A ", " A"]


def test_a_title_above_a_sheets_header_and_dates_in_it(tmp_path):
    openpyxl = pytest.importorskip("openpyxl", reason="the extra excel is not installed")
    book = openpyxl.Workbook()
    for row in (["Our dialogues"], [], ["dialogue_id", "user", "actions"], ["1", datetime(2026, 3, 1), "greet"]):
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    with pytest.raises(
        CorpusError, match="The header of the sheet 'Sheet' seems to be in row 3: delete the rows above"
    ):
        load_corpus(tmp_path / "t.xlsx")
    book.active.delete_rows(1, 2)
    book.save(tmp_path / "t.xlsx")
    assert load_corpus(tmp_path / "t.xlsx")[0].turns[0].user == "2026-03-01"


@pytest.mark.parametrize(
    ("above", "line"), [("Our bot", 2), ("Our bot;;;", 2), ("\nOur bot;;;\n;;;", 4), ("greetings, and more", 2)]
)
@pytest.mark.parametrize("ids", ["dialogue_id", "number"])
def test_a_title_above_the_header_of_a_csv_file_is_named(tmp_path, above, line, ids):
    path = tmp_path / "title.csv"
    path.write_text(f"{above}\n{ids};user;actions;system\n1;hi;greet;Hello!\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=f"The header seems to be in line {line}. Delete the rows above"):
        load_corpus(path)


def test_words_that_columns_are_called_by_make_no_row_a_header(tmp_path):
    path = tmp_path / "words.csv"
    path.write_text('Gespräch,Frage,actions\n1,"user, system, actions",greet\n1,turn,split\n', encoding="utf-8")
    (dialogue,) = load_corpus(path, reader={"dialogue_id": "Gespräch", "user": "Frage"})
    assert [turn.user for turn in dialogue.turns] == ["user, system, actions", "turn"]


def test_columns_can_be_named(tmp_path):
    (tmp_path / "c.csv").write_text("conv;said;did\n1;hi;a\n")
    options = {"dialogue_id": "conv", "user": "said", "actions": "did"}
    (dialogue,) = load_corpus(tmp_path / "c.csv", reader=options)
    assert dialogue.turns[0].user == "hi"
    assert dialogue.turns[0].actions == {"a"}
