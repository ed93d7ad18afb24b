"""What people and spreadsheets do to tables, transcripts and JSON Lines."""

import json

import pytest

from dialog_policy.corpus import Dialogue, Turn
from dialog_policy.corpus.checks import examine
from dialog_policy.corpus.readers import load_corpus, open_corpus, stream
from dialog_policy.corpus.write import write_corpus
from dialog_policy.errors import CorpusError, CorpusWarning, OptionError
from dialog_policy.text.tokens import tokenize

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
    dialogues = stream(tmp_path / "c.jsonl")
    assert [next(dialogues).id, next(dialogues).id] == ["1", "2"]
    with pytest.raises(CorpusError, match="line 3"):
        next(dialogues)


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
    records = {"hotel": [{"name": "A"}, {"name": "B"}], "train": [{"id": "T1"}]}
    (dialogue,) = read(tmp_path, "dialogues.json", unified(("user", "x"), ("system", "y", GREET, records)))
    assert dialogue.turns[0].context["results"] == [
        {"domain": "hotel", "name": "A"},
        {"domain": "hotel", "name": "B"},
        {"domain": "train", "id": "T1"},
    ]


def test_camrest_has_the_turns_that_carry_acts(public_corpora):
    corpus = load_corpus(public_corpora("camrest-convlab-unified.zip"))
    assert (len(corpus), corpus.n_turns, corpus.n_targets, corpus.splits) == (541, 2209, 1603, ("train", "dev"))


SHEET = "dialogue_id,user,actions\n1,hi,greet\n,yo,ask|greet\n2,für?,ask\n"
AS_SAVED = {
    "Excel's separator line": ("sep=;\r\n" + SHEET.replace(",", ";").replace("\n", "\r\n")).encode(),
    "blank lines above": ("\r\n \n" + SHEET).encode(),
    "UTF-16 from Excel": SHEET.replace(",", "\t").encode("utf-16"),
    "big-endian UTF-16": ("\ufeff" + SHEET).encode("utf-16-be"),
    "empty columns": "".join(f"{line},,\n" for line in SHEET.splitlines()).encode(),
    "empty columns in some rows": SHEET.replace("ask\n", "ask,, \n").encode(),
    "an empty column within": SHEET.replace(",user", ",,user").replace(",hi", ",,hi").replace(",yo", ",,yo")
    .replace(",für", ", ,für").encode(),
    "quotes everywhere": "".join('"' + line.replace(",", '","') + '"\n' for line in SHEET.splitlines()).encode(),
    "blank rows": SHEET.replace("2,", ",,\n , ,\n2,").encode(),
    "commas between actions": SHEET.replace("ask|greet", '"ask, greet"').encode(),
    "semicolons between actions": SHEET.replace("ask|greet", "ask; greet").encode(),
    "lines between actions": SHEET.replace("ask|greet", '"ask\ngreet"').encode(),
}  # fmt: skip


@pytest.mark.parametrize("name", AS_SAVED)
def test_sheets_as_people_have_them(tmp_path, name):
    one, two = read(tmp_path, "c.csv", AS_SAVED[name])
    assert [(turn.user, turn.actions) for turn in one.turns] == [("hi", {"greet"}), ("yo", {"ask", "greet"})]
    assert [(turn.user, turn.actions) for turn in two.turns] == [("für?", {"ask"})]
    assert dict(one.fields) == {}


@pytest.mark.parametrize(
    "cells",
    [
        ["a,b", "c|d"],  # another separator is in use
        ["a,b", "c"],  # no piece occurs again
        ["well, all right", "well, no", "no"],  # sentences
        ["inform(a, b)", "b"],
    ],
)
def test_commas_stay_where_they_can_be_part_of_a_name(tmp_path, cells):
    rows = "".join(f'1,x,"{cell}"\n' for cell in cells)
    (dialogue,) = read(tmp_path, "c.csv", f"{HEAD}\n{rows}")
    assert dialogue.turns[0].actions == {cells[0]}


def test_other_encodings_are_answered_and_read_by_name(tmp_path):
    content = SHEET.encode("cp1252")
    with pytest.raises(CorpusError, match=r"line 4: expected UTF-8 .* 0xfc.*--reader encoding=cp1252"):
        read(tmp_path, "c.csv", content)
    _, two = read(tmp_path, "c.csv", content, reader={"encoding": "cp1252"})
    assert two.turns[0].user == "für?"
    with pytest.raises(OptionError, match="encoding=hex: there is no such encoding"):
        read(tmp_path, "c.csv", content, reader={"encoding": "hex"})
    with pytest.raises(CorpusError, match="expected UTF-16 text"):
        read(tmp_path, "c.csv", SHEET.encode("utf-16")[:-1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            f"{HEAD},context\n1,hi,a,north\n",
            r"line 2.*'context'.*expected a JSON object.*found 'north'.*rename the column",
        ),
        (f"{HEAD},context\n1,hi,a,[1]\n", r"expected a JSON object.*found '\[1\]'"),
        (f"{HEAD},\n1,hi,a,note\n", "line 2: the cell 'note' stands in column 4, which has no name"),
        (f"{HEAD}\n1,hi,a,b\n", "line 2: expected 3 cells as in the header, found 4"),
        (f"{HEAD}\n,hi,a\n", "line 2: the cell 'dialogue_id' is empty"),
        (f"sep=;\n{HEAD}\n", "line 1: expected a column 'dialogue_id'|found none"),
        (
            "dialogue_id,user,action\n1,a,b\n",
            r"expected a column 'actions'.*Did you mean 'action'\?.*--reader actions=action",
        ),
        (
            "Dialog,User,Bot,Act taken\n1,hi,hello,greet\n",
            r"expected the columns 'dialogue_id', 'user' and 'actions', found: Dialog, User, Bot, Act taken\..*"
            r"Say which columns they are: --reader dialogue_id=Dialog user=User system=COLUMN actions=COLUMN\.$",
        ),
        (
            "call,speaker,text,act\n1,agent,hello,greet\n",
            r"expected the columns 'dialogue_id', 'user' and 'actions'.*actions=act\. If the table has a row for each utterance",
        ),
        ("dialogue_id,actions\n1,a\n", "expected a column 'user'"),
        (
            f'{HEAD},context\n1,a,b,"{{""n"": {"9" * 400}}}"\n',
            "'context' cannot be read: it has an integer of more than",
        ),
        (f"{HEAD},reward\n1,a,b,{'9' * 400}\n", r"expected a finite number, found 9{40}\."),
    ],
)
def test_what_people_put_into_sheets_is_answered(tmp_path, text, message):
    with pytest.raises(CorpusError, match=message):
        read(tmp_path, "c.csv", text)


def workbook(path, **sheets):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
        if name == "merged":
            sheet.merge_cells("A2:A3")
    book.save(path)
    return path


def test_excel_workbooks(tmp_path):
    head = ["dialogue_id", "user", "actions", "reward", None]
    path = workbook(
        tmp_path / "c.xlsx",
        merged=[head, [1, "hi", "greet", 0.5], [None, 7, "ask|greet", None], [2.0, True, "ask"]],
        more=[[None], head, ["x", None, "bye"]],
        legend=[["action", "meaning"], ["ask", "asks"]],
    )
    with pytest.warns(CorpusWarning, match="The sheet 'legend' is not read: it has no column 'dialogue_id'"):
        one, two, three = load_corpus(path)
    assert [one.id, two.id, three.id] == ["1", "2", "x"]
    assert [(t.user, t.actions, t.reward) for t in one.turns] == [("hi", {"greet"}, 0.5), ("7", {"ask", "greet"}, None)]
    assert two.turns[0].user == "TRUE"
    assert three.turns[0].actions == {"bye"}


def test_faults_in_workbooks_are_named(tmp_path):
    path = workbook(tmp_path / "c.xlsx", a=[["id", "user"], [1, "x"]], b=[["z"]])
    with pytest.raises(
        CorpusError, match="expected a sheet with a column 'dialogue_id', found the sheets 'a': id, user; 'b': z"
    ):
        load_corpus(path)
    rows = [HEAD.split(","), [1, "x", "[a"]]
    with pytest.raises(CorpusError, match=r"c\.xlsx, sheet 'a', line 2, dialogue '1': the cell 'actions'"):
        load_corpus(workbook(tmp_path / "c.xlsx", a=rows, b=rows))
    (tmp_path / "c.xlsx").write_bytes(b"no workbook")
    with pytest.raises(CorpusError, match="expected an Excel workbook"):
        load_corpus(tmp_path / "c.xlsx")
    (tmp_path / "c.ods").write_bytes(b"x")
    with pytest.raises(CorpusError, match=r"Save it as \.xlsx or as CSV"):
        load_corpus(tmp_path / "c.ods")


def test_a_workbook_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    path = workbook(tmp_path / "c.xlsx", a=[HEAD.split(","), [1, "x" * 30_000, "a"]])
    monkeypatch.setattr("dialog_policy.corpus.readers.limits.RATIO_COUNTS_FROM", 1000)
    monkeypatch.setattr("dialog_policy.corpus.readers.limits.LARGEST_RATIO", 1)
    with pytest.raises(CorpusError, match="refused"):
        load_corpus(path)


def test_a_corpus_without_user_texts(tmp_path):
    text = 'dialogue_id,context,actions\n1,"{""intent"": ""greet""}",greet\n1,"{""intent"": ""bye""}",bye\n'
    (dialogue,) = read(tmp_path, "c.csv", text)
    assert [(turn.user, turn.context["intent"]) for turn in dialogue.turns] == [("", "greet"), ("", "bye")]
    assert not [p for p in examine([dialogue], tokenize)[1] if p.level == "error"]


UNANNOTATED = {
    "no column": ("c.csv", "dialogue_id,user\n1,a\n1,b\n"),
    "a blank column": ("c.csv", f"{HEAD}\n1,a,\n1,b,\n"),
    "no keys": ("c.jsonl", '{"id": "1", "turns": [{"user": "a"}, {"user": "b"}]}\n'),
    "null": ("c.jsonl", '{"id": "1", "turns": [{"user": "a", "actions": null}, {"user": "b", "actions": null}]}\n'),
    "transcript": ("c.txt", 't1: user: "a"\nt2: user: "b"\n'),
}


@pytest.mark.parametrize("name", UNANNOTATED)
def test_actions_that_are_not_told_are_unknown_for_prediction(tmp_path, name):
    file, text = UNANNOTATED[name]
    (dialogue,) = read(tmp_path, file, text, annotated=False)
    assert [(turn.user, turn.actions) for turn in dialogue.turns] == [("a", None), ("b", None)]
    if name == "a blank column":
        with pytest.warns(CorpusWarning, match="no turn has an action, so there is nothing to learn"):
            read(tmp_path, file, text)
    else:
        with pytest.raises(CorpusError, match="actions"):
            read(tmp_path, file, text)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("c.csv", "dialogue_id,user,action\n1,a,b\n"),
        ("c.jsonl", '{"id": "1", "turns": [{"user": "a", "action": ["b"]}]}\n'),
        ("c.jsonl", '{"id": "1", "turns": [{"user": "a"}]}\n{"id": "2", "turns": [{"user": "a", "actions": []}]}\n'),
    ],
)
def test_a_misspelt_or_missing_key_is_no_unknown_action(tmp_path, file, text):
    with pytest.raises(CorpusError, match="actions"):
        read(tmp_path, file, text, annotated=False)


def test_actions_that_are_told_are_read_for_prediction_too(tmp_path):
    (dialogue,) = read(tmp_path, "c.csv", f"{HEAD}\n1,a,\n1,b,x\n", annotated=False)
    assert [turn.actions for turn in dialogue.turns] == [frozenset(), {"x"}]


def test_blanks_in_a_transcript_are_not_tried_in_every_division(tmp_path):
    # With four quantifiers side by side these would take days.
    with pytest.raises(CorpusError, match="line 1: expected t1: user"):
        read(tmp_path, "c.txt", 't1: user: "a"' + " " * 3000 + "x\n", format="transcript")


def test_long_integers_in_json_lines_are_answered(tmp_path):
    text = '{"id": "a", "turns": [{"actions": ["x"]}, {"actions": [], "context": {"n": [%s]}}]}\n' % ("9" * 400)
    with pytest.raises(CorpusError, match=r"line 1, dialogue 'a', turn 1 .*an integer of more than 308 digits"):
        read(tmp_path, "c.jsonl", text)
    assert len(read(tmp_path, "c.jsonl", text.replace("[999", '["999').replace("999]", '999"]'))) == 1


@pytest.mark.parametrize("name", ["C.CSV", "C.Tsv", "C.JSONL", "C.XLSX"])
def test_suffixes_in_capitals(tmp_path, name):
    dialogues = read(tmp_path, "c.csv", SHEET)
    path = tmp_path / "corpus" / name
    path.parent.mkdir()
    if name == "C.XLSX":
        workbook(path, a=[line.split(",") for line in SHEET.splitlines()])
    else:
        write_corpus(dialogues, path)
    assert list(load_corpus(path)) == list(load_corpus(path.parent)) == dialogues


def test_columns_that_are_left_out_are_named(tmp_path):
    with pytest.warns(CorpusWarning, match="The column 'note' differs within a dialogue and cannot be a field of it"):
        one, two = read(tmp_path, "c.csv", f"{HEAD},note,domain\n1,a,x,good,bank\n1,b,x,bad,\n2,b,x,ok,taxi\n")
    assert (dict(one.fields), dict(two.fields)) == ({"domain": "bank"}, {"note": "ok", "domain": "taxi"})


def test_misspelt_keys_and_columns_are_named(tmp_path):
    with pytest.warns(CorpusWarning, match=r"The column 'sytem' is read as a field.*Did you mean 'system'\?"):
        read(tmp_path, "c.csv", f"{HEAD},sytem\n1,a,x,hello\n")
    text = '{"id": "1", "turns": [{"user": "a", "actions": ["x"], "sytem": "b", "mood": 1}]}\n'
    with pytest.warns(CorpusWarning, match=r"The key 'sytem' of turns is not read.*Did you mean 'system'\?"):
        read(tmp_path, "c.jsonl", text)
    opened = open_corpus(tmp_path / "c.jsonl")
    list(opened.dialogues())
    assert [str(p.message) for p in opened.problems() if p.level == "note"] == [
        "1 other key of turns is not read: 'mood'"
    ]


def test_json_lines_as_programs_export_them(tmp_path):
    text = '{"id": 7, "turns": [{"user": null, "context": null, "actions": ["greet"], "system": null}]}\n'
    (dialogue,) = read(tmp_path, "c.jsonl", text)
    assert dialogue == Dialogue(id="7", turns=(Turn(actions=frozenset(["greet"])),))
    with pytest.raises(CorpusError, match="the dialogue id '7' occurs twice"):
        read(tmp_path, "c.jsonl", text + text.replace("7", '"7"'))
    for other in (text.replace(', "turns"', ',\n"turns"'), f"[{text}]"):
        with pytest.raises(CorpusError, match="Write each dialogue as an object in a line of its own"):
            read(tmp_path, "c.jsonl", other)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_what_a_file_could_not_give_back_is_not_written(tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    greet = Turn(actions=frozenset(["greet"]))
    faulty = {"reward is infinite": Dialogue(id="a", turns=(greet, Turn(reward=float("inf"))))}
    if suffix != ".jsonl":
        faulty["the id of a dialogue is empty"] = Dialogue(id="", turns=(greet,))
    for message, dialogue in faulty.items():
        with pytest.raises(CorpusError, match=message):
            write_corpus([Dialogue(id="b", turns=(greet,)), dialogue], tmp_path / f"c{suffix}")
    assert not list(tmp_path.iterdir())
