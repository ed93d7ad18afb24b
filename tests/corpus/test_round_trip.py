"""What is written is read again, whatever the texts, names and fields are."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog_policy.corpus import Dialogue, Turn
from dialog_policy.corpus.readers import load_corpus
from dialog_policy.corpus.write import write_corpus
from dialog_policy.errors import CorpusError, OptionError

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8) | st.sampled_from(
    ["null", "a|b", "[x]", ' "q" ', "a\r\nb", "\r", "\ufeffx", "nan", "=1+1", ",;\t", "\u2028", "#"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
NUMBER = st.none() | st.floats(allow_nan=False, allow_infinity=False)
TURNS = st.builds(
    Turn,
    user=TEXT,
    context=st.dictionaries(TEXT, JSON, max_size=2),
    actions=st.none() | st.frozensets(TEXT, max_size=3),
    system=TEXT,
    reward=NUMBER,
    propensity=NUMBER,
)
FIELDS = st.dictionaries(TEXT.filter(lambda name: name not in ("id", "turns", "split")), JSON, max_size=2)
DIALOGUES = st.builds(
    Dialogue,
    id=TEXT.filter(bool),
    turns=st.lists(TURNS, min_size=1, max_size=3).map(tuple),
    split=st.none() | TEXT.filter(bool),
    fields=FIELDS,
)
TARGET = Dialogue(id="a target", turns=(Turn(user="x", actions=frozenset({"y"})),))


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv", ".parquet"])
@settings(max_examples=80, deadline=None)
@given(originals=st.lists(DIALOGUES, max_size=3, unique_by=lambda dialogue: dialogue.id))
def test_every_dialogue_comes_back(tmp_path_factory, suffix, originals):
    dialogues = [*(dialogue for dialogue in originals if dialogue.id != TARGET.id), TARGET]
    path = tmp_path_factory.mktemp("written") / f"c{suffix}"
    write_corpus(dialogues, path)
    assert list(load_corpus(path)) == dialogues
    first = path.read_bytes()
    write_corpus(load_corpus(path), path)
    if suffix != ".parquet":  # that one names its writer's version
        assert path.read_bytes() == first


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_a_dialogue_without_turns_is_not_lost_silently_in_a_table(tmp_path, suffix):
    with pytest.raises(CorpusError, match="'b': it has no turns"):
        write_corpus([TARGET, Dialogue(id="b", turns=())], tmp_path / f"c{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_a_field_cannot_take_the_place_of_the_id(tmp_path):
    with pytest.raises(CorpusError, match="'id'"):
        write_corpus([Dialogue(id="a", turns=TARGET.turns, fields={"id": "7"})], tmp_path / "c.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_suffix_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(OptionError, match=r"Did you mean '\.parquet'"):
        write_corpus([TARGET], tmp_path / "c.parqet")
    assert list(tmp_path.iterdir()) == []
