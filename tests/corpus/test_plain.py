"""What Python puts into dialogues and JSON has not: a corpus has what a session would make of it."""

import dataclasses
import datetime
from types import MappingProxyType

import msgspec
import pytest
from hypothesis import given, settings

from dialog_policy.corpus import Corpus, Dialogue, Turn
from dialog_policy.corpus.data import as_corpus, as_dialogues
from dialog_policy.corpus.plain import json_object
from dialog_policy.corpus.sharing import Sharing
from dialog_policy.errors import CorpusError
from tests.strategies import corpora


@dataclasses.dataclass
class Record:
    name: str
    tags: tuple[str, ...] = ()


ODD = {
    "results": (Record("oak", ("a", "b")), MappingProxyType({"name": "elm", "open": datetime.date(2026, 5, 1)})),
    "seen": {"c", "a", "b"},
    3: [("x",), None],
}
EVEN = {
    "results": [{"name": "oak", "tags": ["a", "b"]}, {"name": "elm", "open": "2026-05-01"}],
    "seen": ["a", "b", "c"],
    "3": [["x"], None],
}


def dialogue(**turn):
    return Dialogue(id="d", turns=(Turn(user="hello", actions=frozenset({"greet"})), Turn(**turn)))


def test_contexts_and_actions_are_what_json_makes_of_them():
    odd, even = dialogue(context=ODD, actions=["b", "a"]), dialogue(context=EVEN, actions=frozenset({"a", "b"}))
    for plain in (Corpus([odd])[0], next(iter(as_dialogues(iter([odd])))), as_corpus([odd]).only([True])[0]):
        assert msgspec.json.encode(plain.turns[1].context) == msgspec.json.encode(EVEN)  # of the same kinds, too
        assert plain == even
        assert plain.turns[0] is odd.turns[0]
    assert list(json_object(ODD)) == list(EVEN)  # what a session takes


def test_a_reader_of_somebody_elses_may_give_tuples():
    shared = Sharing().dialogue(dialogue(context={"results": ({"name": "oak"},)}))
    assert shared.turns[1].context == {"results": [{"name": "oak"}]}


@settings(max_examples=30, deadline=None)
@given(corpora())
def test_what_is_plain_stays_the_very_same(corpus):
    assert all(mine is given for mine, given in zip(Corpus(list(corpus)), corpus, strict=True))


def test_contexts_that_are_gone_are_not_taken_for_others():
    rows = (dialogue(context={"results": ({"n": (number,)}, {"m": number})}) for number in range(300))
    corpus = Corpus(msgspec.structs.replace(one, id=str(number)) for number, one in enumerate(rows))
    assert [one.turns[1].context["results"] for one in corpus] == [[{"n": [n]}, {"m": n}] for n in range(300)]


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        ({"actions": "greet"}, "expected a set of names as 'actions', found the text 'greet'. Write {'greet'}"),
        ({"actions": [1]}, "expected names of actions, found '1'"),
        ({"actions": 0}, "expected names of actions, found '0'"),
        ({"user": None}, "expected a text as 'user', found 'None'"),
        ({"context": {"a": object()}}, "a context must be a JSON object, with JSON values only: "),
        ({"context": {"a": {"\ud800"}}}, "a context must be a JSON object, with JSON values only: "),
        ({"context": None}, "expected a context as a JSON object, found 'None'"),
    ],
)
def test_what_json_cannot_express_is_named(turn, message):
    with pytest.raises(CorpusError) as caught:
        Corpus([dialogue(**turn)])
    assert message in str(caught.value)
    assert "dialogue 'd', turn 1" in str(caught.value)
