"""A corpus is a sequence of dialogues, and a table of turns."""

import numpy as np
import pytest
from hypothesis import given, settings

from dialog_policy import ActionSpace, Corpus, Dialogue, Turn
from dialog_policy.errors import CorpusError, OptionError
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


def test_a_frame_that_is_none_is_answered():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(CorpusError, match=r"expected a column 'actions', found: dialogue_id, action\. Did you mean"):
        Corpus.from_frame(pandas.DataFrame({"dialogue_id": ["a"], "action": [["b"]]}))
    with pytest.raises(CorpusError, match=r"dialogue 'a', turn 0 .*found the text 'b\|c'.*split"):
        Corpus.from_frame(pandas.DataFrame({"dialogue_id": ["a"], "actions": ["b|c"]}))
    with pytest.raises(CorpusError, match="dialogue 'a', turn 0"):
        Corpus.from_frame(pandas.DataFrame({"dialogue_id": ["a"], "actions": [["b"]], "context": [3]}))


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
