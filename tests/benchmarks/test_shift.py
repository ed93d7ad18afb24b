"""The table of changed systems, on dialogues that are made up."""

import pytest

from benchmarks import shift
from benchmarks.shift import BASELINES, ROWS, Row, bundled_parts, line, managers_of, measure
from dialog_policy import Corpus, Dialogue, Turn, load_corpus
from tests.conftest import QUICK


def test_a_row_says_what_a_change_of_the_bundled_corpus_costs():
    parts = bundled_parts(24)
    assert [len(part) for part in parts[:2]] == [24, 6]
    trained = {turn.user for dialogue in parts.train for turn in dialogue.turns}
    assert any("restaurant" in turn.user and turn.user not in trained for d in parts.changed for turn in d.turns)
    found = measure(Row(None, ("turn_accuracy",), lambda _: parts), parts, QUICK)
    assert set(found) == {"policy", *BASELINES}
    for who in found:
        assert 0 <= found[who]["changed"]["turn_accuracy"] <= 1


def test_a_line_has_mean_and_deviation_of_the_seeds():
    found = [{"policy": {"same": {"f1": 0.7}, "changed": {"f1": changed}}} for changed in (0.5, 0.6)]
    assert line("sgd", "policy", "f1", found) == "| sgd | f1 | policy | 70.0 ± 0.0 | 55.0 ± 7.1 | 15.0 ± 7.1 |"
    assert line("sgd", "policy", "f1", [{"policy": {"same": {"f1": None}, "changed": {"f1": None}}}]) is None


def test_a_dialogue_has_the_manager_of_the_call_with_the_same_utterances():
    def dialogue(id, *utterances, **fields):
        turns = tuple(Turn(user=said, actions=frozenset("a"), system="") for said in utterances)
        return Dialogue(id=id, turns=turns, fields=fields)

    calls = [
        dialogue("x", "Thai food", "the address", system={"dialog-manager": 0}),
        dialogue("y", "thai_food", "cheap", "bye", system={"dialog-manager": 1}),
    ]
    corpus = Corpus([dialogue("1", "thai food", "cheap", "bye"), dialogue("2", "thai food"), dialogue("3", "no idea")])
    assert managers_of(corpus, Corpus(calls)) == {"1": 1, "2": 0, "3": 0}


@pytest.fixture(scope="module")
def read_once():
    """Three of the rows have the calls of DSTC2."""
    read = {}

    def load(path, reader=None):
        key = path, str(reader)
        if key not in read:
            read[key] = load_corpus(path, reader=reader)
        return read[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shift, "load_corpus", load)
        yield


@pytest.mark.parametrize(
    "name", [name for name in ROWS if name not in ("bundled", "sgd", "sgd-dev", "sgd-whole", "babi6-a1")]
)  # a1: as a0
def test_the_parts_of_public_corpora_share_no_dialogue(public_corpora, name, read_once):
    archives = {"dstc2": "dstc2.zip", "babi6": "dialog-bAbI-tasks.zip", "star": "star.zip"}
    parts = ROWS[name].parts(public_corpora(archives[name.split("-")[0]]).parent)
    ids = [dialogue.id for part in parts for dialogue in part]
    assert len(set(ids)) == len(ids)
    assert min(map(len, parts)) > 70
