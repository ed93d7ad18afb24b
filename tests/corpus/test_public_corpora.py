"""The counts that a correct reader finds in the public corpora."""

import pytest

from dialog_policy.corpus.entity_tracker import EntityTracker
from dialog_policy.corpus.readers import load_corpus
from dialog_policy.errors import CorpusError


def labels(corpus):
    return {action for dialogue in corpus for turn in dialogue.turns for action in turn.actions or ()}


def test_star(public_corpora):
    path = public_corpora("star.zip")
    happy = [d for d in load_corpus(path, reader={"scenario": "happy"}) if d.split == "train"]
    assert (len(happy), sum(d.n_targets for d in happy)) == (2184, 17801)
    assert len(labels(load_corpus(path))) == 166


@pytest.mark.parametrize(
    ("task", "train", "dev"), [("5", (1000, 18340), (1000, 18457)), ("6", (1618, 14404), (500, 4159))]
)
def test_babi(public_corpora, task, train, dev):
    corpus = load_corpus(public_corpora("dialog-bAbI-tasks.zip"), reader={"task": task})
    for name, counts in (("train", train), ("dev", dev)):
        part = corpus.split(name)
        assert (len(part), part.n_targets) == counts
    if task == "5":
        assert len(labels(corpus.split("train"))) == 16


@pytest.mark.parametrize("task", "12345")
def test_refilling_a_babi_template_gives_the_response_back(public_corpora, task):
    corpus = load_corpus(public_corpora("dialog-bAbI-tasks.zip"), reader={"task": task})
    for dialogue in corpus:
        tracker = EntityTracker(corpus.gazetteer)
        for turn in dialogue.turns:
            tracker.observe_user(turn.user, turn.context)
            (template,) = turn.actions
            assert tracker.fill(template) == turn.system
            tracker.observe_system(turn.system)


def test_unified(public_corpora):
    assert len(load_corpus(public_corpora("camrest-convlab-unified.zip"))) == 541


def test_a_corpus_without_system_actions_is_refused(public_corpora):
    with pytest.raises(CorpusError, match="nothing to predict"):
        load_corpus(public_corpora("woz-convlab-unified.zip"))
