"""A corpus is a sequence of dialogues, and a table of turns."""

import numpy as np
import pytest
from hypothesis import given, settings

from dialog_policy import ActionSpace, Corpus, Dialogue, Turn, load_corpus
from dialog_policy.corpus.write import write_corpus
from dialog_policy.errors import CorpusError, CorpusWarning, OptionError
from tests.strategies import corpora


def dialogue(name, *users, **others):
    return Dialogue(id=name, turns=tuple(Turn(user=user, actions=frozenset({"a"})) for user in users), **others)


CORPUS = Corpus([dialogue("one", "hi"), dialogue("two", "<b>"), dialogue("three", "x", "y")], name="c", format="f")


def test_a_corpus_is_a_sequence():
    assert [CORPUS[0].id, CORPUS[-1].id, len(CORPUS)] == ["one", "three", 3]
    assert [d.id for d in reversed(CORPUS)] == ["three", "two", "one"]
    assert CORPUS.index(CORPUS[1]) == 1
    with pytest.raises(IndexError):
        CORPUS[3]


def test_a_slice_of_a_corpus_is_a_corpus_with_the_same_description():
    part = CORPUS[1:]
    assert isinstance(part, Corpus)
    assert [d.id for d in part] == ["two", "three"]
    assert (part.name, part.format) == ("c", "f")


def test_dialogues_are_looked_up_by_id():
    assert CORPUS.dialogue("two") is CORPUS[1]
    assert "two" in CORPUS
    assert CORPUS[1] in CORPUS
    assert dialogue("two", "another text") not in CORPUS
    with pytest.raises(CorpusError, match=r"c has no dialogue with the id 'tree'\. Did you mean 'three'"):
        CORPUS.dialogue("tree")
    with pytest.raises(TypeError, match=r"corpus\.dialogue\('two'\)"):
        CORPUS["two"]


def test_the_representations_count_in_the_singular_and_escape():
    assert repr(CORPUS[:1]) == "<Corpus 'c': 1 dialogue, 1 turn, 1 of them to predict>"
    shown = CORPUS._repr_html_()  # what IPython calls
    assert "3 dialogues, 4 turns" in shown
    assert "<td>&lt;b&gt;</td>" in shown


@settings(max_examples=40, deadline=None)
@given(corpora())
def test_a_frame_gives_the_corpus_back(corpus):
    pytest.importorskip("pandas")
    assert list(Corpus.from_frame(corpus.to_frame())) == list(corpus)


def test_a_frame_keeps_splits_fields_rewards_and_what_is_unknown():
    pytest.importorskip("pandas")
    turns = (Turn(user="a", actions=frozenset({"x", "y"}), reward=0.5), Turn(context={"n": [1]}, propensity=1.0))
    corpus = Corpus([Dialogue(id="d", turns=turns, split="dev", fields={"domain": "bank"}), dialogue("e", "f")])
    frame = corpus.to_frame()
    assert list(Corpus.from_frame(frame.sample(frac=1, random_state=3).sort_values("dialogue_id"))) == list(corpus)
    assert Corpus.from_frame(frame[["dialogue_id", "actions"]])[0].turns[1].actions is None


def test_scikit_learn_divides_a_corpus_into_corpora():
    selection = pytest.importorskip("sklearn.model_selection")
    corpus = CORPUS.with_gazetteer({"area": ["north"]})
    for part, ids in zip(selection.train_test_split(corpus, shuffle=False), (["one", "two"], ["three"]), strict=True):
        assert isinstance(part, Corpus)
        assert ([d.id for d in part], part.gazetteer, part.name) == (ids, corpus.gazetteer, "c")
    assert [d.id for d in corpus.take([-1, 0])] == ["three", "one"]
    assert [d.id for d in corpus.loc[np.array([True, False, True])]] == ["one", "three"]
    assert [d.id for d in corpus.iloc[1:]] == ["two", "three"]
    with pytest.raises(IndexError, match="expected 3 truth values, one a dialogue; found 2"):
        corpus.loc[[True, False]]
    with pytest.raises(IndexError):
        corpus.take([3])
    with pytest.raises(CorpusError, match="occurs twice"):
        corpus.take([1, 1])
    with pytest.raises(OptionError, match="axis=1"):
        corpus.take([0], axis=1)


def test_a_frame_that_is_none_is_answered():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(CorpusError, match=r"expected a column 'actions', found: dialogue_id, action\. Did you mean"):
        Corpus.from_frame(pandas.DataFrame({"dialogue_id": ["a"], "action": [["b"]]}))
    with pytest.raises(CorpusError, match=r"dialogue 'a', turn 0 .*found the text 'b\|c'.*split"):
        Corpus.from_frame(pandas.DataFrame({"dialogue_id": ["a"], "actions": ["b|c"]}))
    with pytest.raises(CorpusError, match="dialogue 'a', turn 0"):
        Corpus.from_frame(pandas.DataFrame({"dialogue_id": ["a"], "actions": [["b"]], "context": [3]}))


def test_cells_of_a_frame_mean_what_cells_of_a_sheet_mean():
    pandas = pytest.importorskip("pandas")
    numbers = [str(number) for number in range(11)]
    rows = {"dialogue_id": ["a"] * 11, "actions": [["b"]] * 11, "user": numbers, "turn": numbers}
    frame = pandas.DataFrame(rows).assign(split=1, reward="0.5", fields='{"area": "north"}')
    (one,) = Corpus.from_frame(frame.iloc[::-1])
    assert [turn.user for turn in one.turns] == numbers
    assert (one.split, one.fields, one.turns[0].reward) == ("1", {"area": "north"}, 0.5)
    assert list(Corpus.from_frame(Corpus([one]).to_frame())) == [one]


@pytest.mark.parametrize(
    ("column", "cells", "message"),
    [
        (
            "turn",
            [0, "second"],
            "turn 1 .*'turn' cannot be read: expected a number or a time such as .*, found 'second'.*Number the turns",
        ),
        ("fields", ["abc", None], "turn 0 .*'fields' cannot be read: expected a JSON object"),
        (
            "turn",
            [1, None],
            "dialogue 'a', turn 1 .*one of its rows has a number as its turn, and this one has no number",
        ),
        ("turn", [1, 1.0], "dialogue 'a', turn 1 .*two turns with the number 1, in row 0 and row 1. If two dialogues"),
        ("split", ["dev", "test"], "dialogue 'a', turn 1 .*in the split 'dev' and, from here on, in 'test'"),
        ("user", ["hello", ["two", "tickets"]], "turn 1 .*'user' cannot be read: expected a text, found .'two'"),
        ("actions", [["b"], 3], "turn 1 .*'actions' cannot be read: expected a collection of action names, found '3'"),
        ("actions", [["b"], {"b": 1, "c": 0}], "turn 1 .*expected a collection of action names, found .*'c': 0"),
        (
            "actions",
            [["b"], [0, 1]],
            "turn 1 .*found '0' in it. If these are bit vectors, give the names of their bits",
        ),
        ("actions", [["b"], [0, 2, 1]], "turn 1 .*expected a collection of action names, found '0' in it[.]$"),
    ],
)
def test_a_cell_of_a_frame_that_means_nothing_is_named(column, cells, message):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"dialogue_id": ["a", "a"], "actions": [["b"], ["c"]]}).assign(**{column: cells})
    with pytest.raises(CorpusError, match=message):
        Corpus.from_frame(frame)


def test_a_frame_may_have_a_column_for_each_bit_and_columns_of_its_own():
    pandas = pytest.importorskip("pandas")
    rows = {
        "greet": [1.0, 0.0, None],
        "bye": [0, 1, 0],
        "user": ["hi", "no", "x"],
        "domain": "bank",
        "clock": [1, 2, 3],
    }
    frame = pandas.DataFrame({"dialogue_id": [7.0, 7.0, None], **rows})[:2]
    with pytest.raises(CorpusError, match=r"expected a column 'actions'.*bits=\['greet', 'bye'\]"):
        Corpus.from_frame(frame)
    with pytest.warns(CorpusWarning, match=r"left out where it does: 'clock'\."):
        (one,) = Corpus.from_frame(frame, bits=["greet", "bye"])
    assert (one.id, one.fields) == ("7", {"domain": "bank"})
    assert [turn.actions for turn in one.turns] == [{"greet"}, {"bye"}]
    with pytest.warns(CorpusWarning, match="'usr' is read as a field of the dialogue. Did you mean 'user'"):
        Corpus.from_frame(frame.rename(columns={"user": "usr"}).drop(columns="clock"), bits=["greet", "bye"])


def test_columns_of_a_frame_that_cannot_be_fields_are_not_read_and_told(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"dialogue_id": ["a", "a"], "actions": [["b"], ["c"]], "id": 7, "vip": np.True_})
    frame = frame.assign(vector=[np.zeros(2), np.ones(2)], day=pandas.Timestamp("2026-03-01"))
    with pytest.warns(CorpusWarning, match="are not read: 'id', 'vector'"):
        corpus = Corpus.from_frame(frame)
    assert corpus[0].fields == {"vip": True, "day": "2026-03-01"}
    write_corpus(corpus, tmp_path / "c.jsonl")
    assert list(load_corpus(tmp_path / "c.jsonl")) == list(corpus)


def test_a_frame_of_an_array_has_numbers_for_names_of_columns():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(np.array([[1, 0], [0, 1]])).assign(dialogue_id="a")
    (one,) = Corpus.from_frame(frame, bits=["0", "1"])
    assert [turn.actions for turn in one.turns] == [{"0"}, {"1"}]


def test_contexts_have_values_of_json_only():
    numbers = {"n": np.int64(3), "x": [np.float64(0.5), float("nan")], "list": np.arange(2), "set": {"b", "a"}}
    (one,) = Corpus([Dialogue(id="a", turns=(Turn(context=numbers),))])
    assert one.turns[0].context == {"n": 3, "x": [0.5, None], "list": [0, 1], "set": ["a", "b"]}
    for wrong, message in (
        ({"a": {1, "b"}}, "'a' has a set whose values cannot be sorted"),
        ({"a": object()}, "'a' has a object"),
    ):
        with pytest.raises(CorpusError, match=message):
            Corpus([Dialogue(id="a", turns=(Turn(context=wrong),))])


def test_a_frame_may_have_ids_and_turns_in_its_index():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"dialogue_id": ["a", "a"], "turn": [2, 1], "actions": [["b"], ["c"]]})
    (one,) = Corpus.from_frame(frame.set_index(["dialogue_id", "turn"]))
    assert (one.id, [turn.actions for turn in one.turns]) == ("a", [{"c"}, {"b"}])


@pytest.mark.parametrize("bits", [True, 2.5, None])
def test_bits_of_a_frame_are_names_or_a_number(bits):
    pandas = pytest.importorskip("pandas")
    with pytest.raises(OptionError, match="expected a number of bits, or names"):
        Corpus.from_frame(pandas.DataFrame({"dialogue_id": ["a"], "actions": [[1]]}), bits=bits)


def test_what_is_no_frame_is_answered():
    with pytest.raises(OptionError, match="expected a pandas DataFrame, found list"):
        Corpus.from_frame([{"dialogue_id": "a", "actions": ["b"]}])
    with pytest.raises(OptionError, match=r"found a DataFrame\. Corpus\.from_frame"):
        load_corpus(pytest.importorskip("pandas").DataFrame({"dialogue_id": ["a"]}))


def test_a_frame_with_two_columns_of_one_name_is_answered():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(CorpusError, match="there are 2 columns 'user'"):
        Corpus.from_frame(
            pandas.DataFrame([["a", ["b"], "x", "y"]], columns=["dialogue_id", "actions", "user", "user"])
        )


def test_action_spaces_are_iterable():
    actions = ActionSpace().fit([{"b", "a"}, {"c"}])
    assert list(actions) == ["a", "b", "c"]
    assert set(actions) == {"a", "b", "c"}
    assert len(actions) == 3
    assert "b" in actions
    assert "d" not in actions
    assert repr(actions) == "ActionSpace(['a', 'b', 'c'])"


def test_action_spaces_decode_what_they_encode():
    space, sets = ActionSpace(["b", "a"]), [frozenset("a"), frozenset(), frozenset("ab")]
    assert space.inverse_transform(space.transform(iter(sets))) == sets
    assert space.inverse_transform([[True, False]]) == [frozenset("b")]
    assert space.inverse_transform(np.zeros((0, 2))) == []
    with pytest.raises(OptionError, match=r"shape \(n_sets, 2\).*found \(2,\)"):
        space.inverse_transform([0, 1])
    with pytest.raises(OptionError, match=r"found 0.7 in row 0, column 1.*probabilities > 0.5"):
        space.inverse_transform([[0, 0.7]])


@pytest.mark.parametrize(
    "call",
    [
        lambda: ActionSpace("abc"),
        lambda: ActionSpace().fit(["abc"]),
        lambda: ActionSpace(["abc"]).transform(["abc"]),
        lambda: ActionSpace(["abc"]).bits("abc"),
    ],
)
def test_a_text_is_no_set_of_actions(call):
    with pytest.raises(
        OptionError, match=r"expected a (list|set) of action names, found the text 'abc'. Write [\[{]'abc'[\]}]"
    ):
        call()
