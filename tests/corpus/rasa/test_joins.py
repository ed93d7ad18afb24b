"""Rasa's stories of equal names, and those that checkpoints join."""

import itertools

import pytest

from dialog_policy.errors import CorpusError
from tests.corpus.rasa.projects import linked, put, read, stories, story


def test_ids_are_unique_whatever_the_stories_are_called(tmp_path):
    steps = [{"intent": "a"}, {"action": "b"}]
    names = ["s", "s (2)", "s", "s", "s (2)"]
    put(tmp_path, s=stories(*(story(*steps, name=name) for name in names)))
    assert len({d.id for d in read(tmp_path)}) == 5


def test_checkpoints_join_stories_across_files(tmp_path):
    put(tmp_path, b=stories(linked("c", ["X"], []), linked("d", ["X", "Y"], [])))
    put(tmp_path, a=stories(linked("a", [], ["X"]), linked("b", [], ["X", "unused"]), linked("e", [], [])))
    assert [d.id for d in read(tmp_path)] == ["e", "a > c", "a > d", "b > c", "b > d"]


def test_a_checkpoint_in_the_middle_lets_others_in_and_out(tmp_path):
    middle = story({"intent": "m"}, {"action": "M"}, {"checkpoint": "X"}, {"action": "N"}, name="m")
    put(tmp_path, s=stories(middle, linked("a", [], ["X"]), linked("b", ["X"], [])))
    texts = {d.id: [t.user + min(t.actions) for t in d.turns] for d in read(tmp_path)}
    assert texts == {"m": ["mM", "N"], "m > b": ["mM", "bB"], "a > m": ["aA", "N"], "a > b": ["aA", "bB"]}


def test_a_cycle_is_gone_through_once(tmp_path):
    put(tmp_path, s=stories(linked("a", [], ["X"]), linked("l", ["X"], ["X"]), linked("z", ["X"], [])))
    texts = {d.id: [turn.user for turn in d.turns] for d in read(tmp_path)}
    assert texts == {"a > l > z": ["a", "l", "z"], "a > z": ["a", "z"], "a > l > z (2)": ["a", "l", "l", "z"]}


def test_a_long_chain_of_forks_does_not_explode(tmp_path):
    items = [linked("a", [], ["0"])]
    items += [linked(f"{n}{side}", [str(n)], [str(n + 1)]) for n in range(40) for side in "lr"]
    texts = read(put(tmp_path, s=stories(*items)))
    pairs = {pair for d in texts for pair in itertools.pairwise(d.id.split(" > "))}
    assert len(texts) < 200
    assert pairs == {("a", "0l"), ("a", "0r")} | {
        (f"{n}{x}", f"{n + 1}{y}") for n in range(39) for x in "lr" for y in "lr"
    }


def test_what_begins_nowhere_is_told(tmp_path):
    with pytest.raises(CorpusError, match="no story leads to its checkpoint 'X'"):
        read(put(tmp_path, s=stories(linked("a", ["X"], ["Y"]), linked("b", ["Y"], ["X"]))))


def test_too_many_joins_are_refused(tmp_path):
    items = [linked(f"{side}{i}", *ends) for side, ends in (("a", ([], ["X"])), ("b", (["X"], []))) for i in range(101)]
    with pytest.raises(CorpusError, match="more than 10,000 ways"):
        read(put(tmp_path, s=stories(*items)))
