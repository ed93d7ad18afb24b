"""Actions as bit vectors, in every format of one's own and in data frames."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_policy import Corpus, Dialogue, Turn
from dialog_policy.corpus.actions import ActionSpace
from dialog_policy.corpus.append import append_dialogues
from dialog_policy.corpus.bits import actions_of_bits, bit_names, bits_of_actions, look_like_bits
from dialog_policy.corpus.checks import examine
from dialog_policy.corpus.readers import load_corpus, stream
from dialog_policy.errors import CorpusError, CorpusWarning, OptionError
from dialog_policy.text.tokens import tokenize

HEAD = "dialogue_id,user,actions"
NAMES = ("greet", "query", "book", "bye")
GIVEN = {"bits": ",".join(NAMES)}


def _dialogue(*turns):
    sets = [(user, None if actions is None else frozenset(actions)) for user, actions in turns]
    return Dialogue(id="new", turns=tuple(Turn(user=user, actions=actions) for user, actions in sets))


def read(tmp_path, name, text, **options):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return [turn.actions for dialogue in load_corpus(path, **options) for turn in dialogue.turns]


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.sampled_from(["", " ", ",", ", ", ";", "|"]), st.booleans())
def test_every_way_to_write_a_vector_means_the_same(bits, between, has_brackets):
    numpy = pytest.importorskip("numpy")
    names = bit_names(len(bits))
    expected = {name for name, bit in zip(names, bits, strict=True) if bit}
    text = between.join("01"[bit] for bit in bits)
    array = numpy.array(bits, dtype=float)
    written = [f"[{text}]" if has_brackets else text, list(bits), [int(bit) for bit in bits], array]
    written += [int("".join("01"[bit] for bit in bits)), str(array), json.dumps(bits)]
    assert [actions_of_bits(vector, names) for vector in written] == [expected] * len(written)
    assert actions_of_bits(bits_of_actions(expected, names), names) == expected
    # What the policy learns from are the same bits in the same order.
    assert ActionSpace().fit([names]).transform([expected]).tolist() == [[float(bit) for bit in bits]]


@pytest.mark.parametrize("cells", [("0110", "1000", "", "null"), ('"[0, 1, 1, 0]"', '"1,0,0,0"', "0 0 0 0", "null")])
def test_a_cell_with_a_vector(tmp_path, cells):
    text = HEAD + "".join(f"\n1,hi,{cell}" for cell in cells)
    assert read(tmp_path, "c.csv", text, reader=GIVEN) == [{"query", "book"}, {"greet"}, frozenset(), None]


def test_a_spreadsheet_takes_a_vector_for_a_number(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (HEAD.split(","), ["1", "hi", 110], ["1", "hi", 1], ["1", "hi", 0]):
        book.active.append(row)
    book.save(tmp_path / "c.xlsx")
    corpus = load_corpus(tmp_path / "c.xlsx", reader=GIVEN)
    assert [turn.actions for turn in corpus[0].turns] == [{"query", "book"}, {"bye"}, frozenset()]


def test_vectors_in_json_lines_and_transcripts(tmp_path):
    turns = [{"user": "hi", "actions": vector} for vector in ([0, 1, 1, 0], [False, False, False, True], "1000", None)]
    expected = [{"query", "book"}, {"bye"}, {"greet"}, None]
    assert read(tmp_path, "c.jsonl", json.dumps({"id": "1", "turns": turns}), reader=GIVEN) == expected
    text = 't1: user: "hi", system: "no"(action=0110)\nt2: user: "x"(action=0,0,0,1)\nt3: user: "y"'
    assert read(tmp_path, "c.txt", text, reader=GIVEN) == [{"query", "book"}, {"bye"}, None]


def test_a_column_for_each_action(tmp_path):
    text = "dialogue_id,user,act_greet,act_bye,domain\n1,hi,1,0,bank\n1,so,x,TRUE,bank\n1,and,,0,bank\n1,late,null,null,bank\n"
    expected = [{"act_greet"}, {"act_greet", "act_bye"}, frozenset(), None]
    for option in ("act_greet,act_bye", "act_*", "act_bye, act_gr*"):
        assert read(tmp_path, "c.csv", text, reader={"actions": option}) == expected
    assert dict(load_corpus(tmp_path / "c.csv", reader={"actions": "act_*"})[0].fields) == {"domain": "bank"}
    # A column that is really called so is one column.
    assert read(tmp_path, "d.csv", '"dialogue_id",user,"a,b"\n1,hi,x|y\n', reader={"actions": "a,b"}) == [{"x", "y"}]


@pytest.mark.parametrize(
    ("yes", "no"), [("1.0", "0.0"), ('"1,0"', '"0,0"'), ("WAHR", "FALSCH"), ("ja", "nein"), ("Y", "n"), ("✓", "")]
)
def test_a_column_for_each_action_as_spreadsheets_and_people_write_it(tmp_path, yes, no):
    text = f"dialogue_id,user,greet,bye\n1,hi,{yes},{no}\n1,so,{no},{yes}\n"
    assert read(tmp_path, "c.csv", text, reader={"actions": ["greet", "bye"]}) == [{"greet"}, {"bye"}]


def test_options_from_python_may_be_lists(tmp_path):
    assert read(tmp_path, "c.csv", f"{HEAD}\n1,hi,0110", reader={"bits": list(NAMES)}) == [{"query", "book"}]
    for wrong in ([0, 1], {}, [], None, ["a,b"], True):
        with pytest.raises(OptionError, match=r"bits=.*expected a text, a number, or a list of names"):
            load_corpus(tmp_path / "c.csv", reader={"bits": wrong})


def test_vectors_in_a_database(tmp_path):
    sql = pytest.importorskip("sqlalchemy")
    engine = sql.create_engine(f"sqlite:///{tmp_path / 'c.db'}")
    with engine.begin() as connection:
        connection.execute(
            sql.text("CREATE TABLE turns (dialogue_id TEXT, turn INT, user TEXT, actions TEXT, hello INT, bye INT)")
        )
        connection.execute(
            sql.text("INSERT INTO turns VALUES ('1', 0, 'hi', '0110', 1, 0), ('1', 1, 'x', '1000', 1, 1)")
        )
    address = f"sqlite:///{tmp_path / 'c.db'}"
    assert [t.actions for t in load_corpus(address, reader=GIVEN)[0].turns] == [{"query", "book"}, {"greet"}]
    assert [t.actions for t in load_corpus(address, reader={"actions": "hello,bye"})[0].turns] == [
        {"hello"},
        {"hello", "bye"},
    ]
    with pytest.raises(CorpusError, match=r"expected a column 'helo', found: .*Did you mean 'hello'"):
        load_corpus(address, reader={"actions": "helo,bye"})


def test_vectors_in_a_data_frame():
    pandas, numpy = pytest.importorskip("pandas"), pytest.importorskip("numpy")
    frame = pandas.DataFrame({"dialogue_id": [1, 1], "user": ["hi", "x"]})
    frame["actions"] = list(numpy.array([[0, 1, 1, 0], [0, 0, 0, 0]]))
    corpus = Corpus.from_frame(frame, bits=NAMES)
    assert [turn.actions for turn in corpus[0].turns] == [{"query", "book"}, frozenset()]
    assert [turn.actions for turn in Corpus.from_frame(frame, bits=4)[0].turns] == [
        {"action_1", "action_2"},
        frozenset(),
    ]
    with pytest.raises(CorpusError, match="bit vectors, give the names of their bits: bits="):
        Corpus.from_frame(frame)


@pytest.mark.parametrize(
    ("name", "text", "options", "message"),
    [
        ("c.csv", f'{HEAD}\n1,hi,"[0, 1, 0]"', {}, "line 2, dialogue '1'.*reader bits=greet,query,….*bits=3"),
        ("c.csv", f'{HEAD}\n1,hi,"0,1,0"\n1,hi,"0,0,1"', {}, "bits=3"),
        ("c.csv", f"{HEAD}\n1,hi,01101", GIVEN, "expected 4 bits, found 5: '01101'"),
        ("c.csv", f"{HEAD}\n1,hi,011", GIVEN, "expected 4 bits, found 3: '011'"),
        ("c.csv", f"{HEAD}\n1,hi,greet", GIVEN, "expected a vector of zeros and ones, found 'greet'"),
        ("c.txt", 't1: user: "hi"(action=0,1,0)', {}, "line 1: action=0,1,0 is a bit vector.*bits=3"),
        ("c.txt", 't1: user: "hi"(action=011)', {"bits": "2"}, "line 1: expected 2 bits, found 3"),
        ("c.jsonl", '{"id": "1", "turns": [{"user": "", "actions": [0, 1]}]}', {}, "turn 0 .*bits=2"),
        (
            "c.jsonl",
            '{"id": "1", "turns": [{"actions": [0]}]}',
            GIVEN,
            "dialogue '1', turn 0 .*expected 4 bits, found 1",
        ),
        (
            "c.jsonl",
            '{"id": "1", "turns": [{"actions": ["", 0, 0, 1]}]}',
            GIVEN,
            "turn 0 .*zeros and ones, found a missing value in",
        ),
        ("c.csv", "dialogue_id,user,a,b\n1,hi,1,0", {}, "expected a column 'actions'.*--reader actions=a,b"),
        (
            "c.csv",
            "dialogue_id,user,a,b\n1,hi,1,0",
            {"actions": "a,bb"},
            "expected a column 'bb', found: .*actions=COLUMN",
        ),
        ("c.csv", "dialogue_id,user,a,b\n1,hi,1,0", {"actions": "z*"}, r"expected columns like 'z\*', found: "),
        (
            "c.csv",
            "dialogue_id,user,a,b\n1,hi,1,2",
            {"actions": "a,b"},
            "line 2: the cell 'b' has '2'; expected 1, true, yes or x where",
        ),
    ],
)
def test_what_is_no_vector_is_named(tmp_path, name, text, options, message):
    with pytest.raises(CorpusError, match=message):
        read(tmp_path, name, text, reader=options)


@pytest.mark.parametrize("option", ["greet,,bye", "greet,bye,greet", "0", "1000000"])
def test_names_of_bits_are_distinct(option):
    with pytest.raises(OptionError, match="bits="):
        bit_names(option)
    assert bit_names("11")[:2] == ("action_00", "action_01")


def test_vectors_that_are_taken_for_names_are_warned_of(tmp_path):
    with pytest.warns(CorpusWarning, match="look like bit vectors.*bits=4"):
        read(tmp_path, "c.csv", f"{HEAD}\n1,hi,0110\n1,hi,1000")
    _, problems = examine(stream(tmp_path / "c.csv"), tokenize)
    assert [problem.count for problem in problems if problem.check == "bit-vectors"] == [2]
    assert look_like_bits(["1", "10", "100"]) == 3
    assert look_like_bits(["01", "10"]) == 2
    assert not any(map(look_like_bits, (["0", "1"], ["1", "10"], ["010", "020"], ["010", "greet"], [])))


@pytest.mark.parametrize(
    ("name", "text", "options"),
    [
        ("c.csv", f"{HEAD}\n1,hi,0110\n", GIVEN),
        ("c.csv", "dialogue_id,user,greet,bye\n1,hi,1,0\n", {"actions": "greet,bye"}),
        ("c.jsonl", '{"id": "1", "turns": [{"user": "hi", "actions": [0, 1, 1, 0]}]}\n', GIVEN),
    ],
)
def test_dialogues_are_added_in_the_way_of_the_file(tmp_path, name, text, options):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    given = {"format": "table" if name.endswith(".csv") else "jsonl", "reader": options}
    new = [_dialogue(("so", {"greet"}), ("bye", {"greet", "bye"}), ("", frozenset()), ("late", None))]
    assert append_dialogues(path, new, **given) == 1
    assert path.read_text(encoding="utf-8").startswith(text)
    assert load_corpus(path, reader=options)[1].turns == new[0].turns
    with pytest.raises(CorpusError, match="nothing was added: the action 'dance' has no bit"):
        append_dialogues(path, [_dialogue(("so", {"dance"}))], **given)
