"""A run judged in parts, here and by other processes, has the figures of one process to the last digit."""

import pickle

import msgspec
import pytest
from click.testing import CliRunner

from dialog_policy import load_corpus
from dialog_policy.cli import main
from dialog_policy.corpus import Corpus, contradictions
from dialog_policy.errors import OptionError
from dialog_policy.evaluation import evaluate, judging, predictions_in_parts
from dialog_policy.evaluation.predictions_in_parts import predicted_in_parts
from dialog_policy.executor import LocalProcesses
from dialog_policy.runtime import Policy, predicting
from dialog_policy.store import prepare
from tests.predictors import Given

TOGETHER = 17


def sent(thing):
    """Return a thing as another process would get it."""
    return pickle.loads(pickle.dumps(thing))  # noqa: S301 - its own bytes


class Elsewhere:
    """An executor that sends tasks and results as another process would get them."""

    processes = 2

    def map(self, function, tasks):
        for task in tasks:
            yield sent(function(sent(task)))


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "run"
    trained.save(path)
    return path


@pytest.fixture(scope="module")
def store(small, tmp_path_factory):
    return prepare(small, tmp_path_factory.mktemp("store") / "S", split="none", turns_a_shard=100).path


@pytest.fixture(autouse=True)
def few_together(monkeypatch):
    for module in (judging, predictions_in_parts):
        monkeypatch.setattr(module, "DIALOGUES_TOGETHER", TOGETHER)
    monkeypatch.setattr(predicting, "_CHUNK", TOGETHER)


@pytest.mark.parametrize("free_running", [False, True])
def test_parts_have_the_figures_of_the_whole(run, store, small, free_running):
    options = {"mistakes": True, "resamples": 40, "free_running": free_running}
    whole = evaluate(Policy.load(run), small, **options).to_json()
    assert len(whole["mistakes"]["contradictions"]["recent"]["examples"]) > 2
    assert len(whole["baselines"]) > 3
    assert evaluate(Policy.load(run), load_corpus(store), executor=Elsewhere(), **options).to_json() == whole
    assert evaluate(Policy.load(run), small, executor=Elsewhere(), **options).to_json() == whole


def test_other_processes_have_them_too(run, store, tmp_path):
    def command(*words):
        told = CliRunner().invoke(main, [str(word) for word in words])
        assert told.exit_code == 0, told.output + told.stderr
        return words

    for processes in (1, 2):
        more = ["--split", "all", "--processes", processes]
        command("evaluate", run, store, "--json", tmp_path / f"{processes}.json", "--resamples", 20, *more)
        command("predict", run, store, "--out", tmp_path / f"{processes}.jsonl", *more)
    for kind in ("json", "jsonl"):
        assert (tmp_path / f"1.{kind}").read_bytes() == (tmp_path / f"2.{kind}").read_bytes()


def test_parts_without_anything_to_predict_are_left_out(run, small):
    silent = [
        msgspec.structs.replace(d, turns=tuple(msgspec.structs.replace(t, actions=None) for t in d.turns))
        if TOGETHER <= n < 2 * TOGETHER
        else d
        for n, d in enumerate(small)
    ]
    corpus = Corpus(silent)
    policy = Policy.load(run)
    assert evaluate(policy, corpus, executor=Elsewhere()).to_json() == evaluate(policy, corpus).to_json()
    for logged in (False, True):
        predicted = list(predicted_in_parts(policy, corpus, Elsewhere(), logged=logged))
        assert predicted == list(policy.predict(corpus, logged=logged))


def test_what_cannot_be_loaded_elsewhere_is_refused(small):
    with pytest.raises(OptionError, match="given is none"):
        evaluate(Given([]), small, executor=LocalProcesses(2))


def test_a_policy_that_is_not_saved_goes_elsewhere_too(trained, small):
    whole = evaluate(trained, small, resamples=0).to_json()
    assert evaluate(trained, small, executor=Elsewhere(), resamples=0).to_json() == whole


@pytest.mark.parametrize("most", [5, 40, 10_000])
def test_contradictions_of_parts_and_of_few_histories(small, most):
    words = [([t.user.split() for t in d.turns], [t.system.split() for t in d.turns]) for d in small]
    whole = contradictions.Contradictions(most)
    for dialogue, (user, system) in zip(small, words, strict=True):
        whole.add(dialogue, user, system)
    for cuts in ([20], [1, 30, 31], [0, 59]):
        together = contradictions.Contradictions(most)
        for start, end in zip([0, *cuts], [*cuts, len(small)], strict=True):
            part = contradictions.Contradictions(most)
            for dialogue, (user, system) in zip(small[start:end], words[start:end], strict=True):
                part.add(dialogue, user, system)
            together.merge(sent(part))
        assert together.summary(small.dialogue) == whole.summary()
    exact = contradictions.Contradictions()
    for dialogue, (user, system) in zip(small, words, strict=True):
        exact.add(dialogue, user, system)
    for kind in ("recent", "whole"):
        own, of_all = (getattr(one.summary(), kind) for one in (whole, exact))
        assert own.histories <= most * own.one_in
        if most == 10_000:
            assert own == of_all
        elif most == 40:
            assert own.one_in > 1
            assert own.histories == pytest.approx(of_all.histories, rel=0.5)
            assert own.max_accuracy == pytest.approx(of_all.max_accuracy, abs=0.1)
