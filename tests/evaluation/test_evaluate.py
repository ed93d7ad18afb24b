import json
import math
from pathlib import Path

import msgspec
import pytest

from dialog_policy import DialogPolicy, load_corpus
from dialog_policy.baselines import load_baselines
from dialog_policy.comparison import compare
from dialog_policy.corpus import Corpus, Dialogue, Turn
from dialog_policy.errors import OptionError
from dialog_policy.evaluation import evaluate
from dialog_policy.evaluation.evaluation import Evaluation
from dialog_policy.evaluation.prediction_files import PredictionFile, write_predictions
from dialog_policy.ope import estimate_value
from dialog_policy.prediction import Prediction, Predictor
from dialog_policy.runtime import Policy
from tests.conftest import QUICK
from tests.predictors import Given

FIXTURES = Path(__file__).parent.parent / "fixtures"


@pytest.fixture(scope="module")
def policy():
    return Policy.load(FIXTURES / "run-format-4")


@pytest.fixture(scope="module")
def corpus():
    return load_corpus(FIXTURES / "run-format-4-dialogues.jsonl")


@pytest.fixture(scope="module")
def evaluation(policy, corpus):
    return evaluate(policy, corpus, resamples=20, mistakes=True)


def test_runs_baselines_and_files_are_predictors(policy, corpus, tmp_path):
    path = tmp_path / "mine.jsonl"
    write_predictions(path, policy.predict(corpus))
    file = PredictionFile(path, actions=policy.actions)
    assert file.name == "mine"
    for predictor in (policy, file, *load_baselines(policy.run, policy.actions).values()):
        assert isinstance(predictor, Predictor)
        predicted = [(p.dialogue, p.turn) for p in predictor.predict(corpus)]
        assert predicted == [(d.id, n) for d in corpus for n, turn in enumerate(d.turns) if turn.is_target]
    ours, theirs = (evaluate(predictor, corpus, baselines=(), resamples=0) for predictor in (policy, file))
    assert (theirs.turn_accuracy, theirs.seen) == (ours.turn_accuracy, ours.seen)
    assert theirs.run is theirs.mode is None


def test_a_baseline_alone_has_the_figures_that_it_has_beside_a_run(policy, corpus, evaluation):
    for name, baseline in load_baselines(policy.run, policy.actions).items():
        alone = evaluate(baseline, corpus, resamples=20)
        assert alone.baselines == {}
        assert alone.turn_accuracy == evaluation.baselines[name].turn_accuracy
        assert alone.ci95 == evaluation.baselines[name].ci95


def test_a_result_is_typed_and_its_json_object_can_be_read_back(evaluation):
    written = json.loads(json.dumps(evaluation.to_json()))
    assert msgspec.convert(written, Evaluation) == evaluation
    assert list(written)[:3] == ["warnings", "run", "corpus"]
    assert written["by_length"][0]["from"] == evaluation.by_length[0].from_
    assert written["baselines"]["bigram"]["micro_f1"] == evaluation.baselines["bigram"].micro_f1
    assert "folds" not in written
    assert None not in written.values()


def test_a_frame_has_a_row_for_every_policy(evaluation):
    frame = evaluation.to_frame()
    assert list(frame.index) == ["this policy", *evaluation.baselines]
    assert frame.loc["bigram", "turn_accuracy"] == evaluation.baselines["bigram"].turn_accuracy
    assert frame.loc["this policy", "top_k.3"] == evaluation.top_k["3"]
    assert math.isnan(frame.loc["bigram", "log_loss"])
    assert "<td>" in evaluation._repr_html_()
    assert f"turn accuracy {evaluation.turn_accuracy:.3f}>" in repr(evaluation)


def test_a_trained_policy_is_judged_as_the_run_that_it_saves(trained, small, tmp_path):
    trained.save(tmp_path / "run")
    ours, theirs = (
        evaluate(p, small, split="test", resamples=0, mistakes=True) for p in (trained, Policy.load(tmp_path / "run"))
    )
    assert msgspec.structs.replace(ours, run=theirs.run) == theirs
    assert ours.split == "test"
    assert ours.dialogues == len(small.split("test"))


def test_training_dialogues_are_named_in_the_result(trained, small):
    both = evaluate(trained, small, resamples=0).warnings
    assert [
        word in said for word, said in zip(("trained on 24 of these 60", "validated on 24 of"), both, strict=True)
    ] == [
        True,
        True,
    ]
    assert evaluate(trained, small, split="test", resamples=0).warnings == []
    assert evaluate(Given(list(trained.predict(small))), small, resamples=0).warnings == []


def test_predictions_are_asked_for_once_and_not_kept(corpus, policy):
    """Mistakes and replies come from what was scored: a policy that costs an hour is not run twice."""
    given = Given(list(policy.predict(corpus)))
    assert evaluate(given, corpus, resamples=0, mistakes=True).mistakes.worst_dialogues
    assert given.n_calls == 1


def test_free_running_needs_a_policy_that_can(policy, corpus):
    free = evaluate(policy, corpus, free_running=True, mistakes=True, resamples=0)
    assert free.mode == "free-running"
    assert list(free.mistakes.after_error) == ["free-running", "teacher-forced"]
    with pytest.raises(OptionError, match="free running needs a run"):
        evaluate(Given([]), corpus, free_running=True)


@pytest.mark.parametrize("resamples", [-1, 100_001, 10**20])
def test_resamples_are_bounded_before_anything_is_predicted(resamples, corpus):
    given = Given([])
    with pytest.raises(OptionError, match="from 0 to 100,000, found"):
        evaluate(given, corpus, resamples=resamples)
    assert given.n_calls == 0


def one_dialogue(*gold):
    return Corpus([Dialogue(id="d", turns=tuple(Turn(actions=frozenset(actions)) for actions in gold))])


def test_the_likelihood_of_the_gold_set_is_not_the_cross_entropy_of_the_actions():
    corpus = one_dialogue("ab", "")
    predictions = [
        Prediction(dialogue="d", turn=0, actions=frozenset("ab"), probabilities={"a": 0.5, "b": 0.5}, logged=0.5),
        Prediction(dialogue="d", turn=1, actions=frozenset(), probabilities={"a": 0.5, "b": 0.5}, logged=0.25),
    ]
    result = evaluate(Given(predictions), corpus, resamples=0)
    assert result.log_loss == pytest.approx(2 * math.log(2))
    assert result.set_negative_log_likelihood == pytest.approx((math.log(2) + math.log(4)) / 2)
    impossible = [msgspec.structs.replace(p, logged=0.0) for p in predictions]
    assert evaluate(Given(impossible), corpus, resamples=0).set_negative_log_likelihood == pytest.approx(
        12 * math.log(10)
    )
    some = [predictions[0], msgspec.structs.replace(predictions[1], logged=None)]
    assert evaluate(Given(some), corpus, resamples=0).set_negative_log_likelihood is None


def test_policies_that_decide_sets_are_compared_by_sets():
    corpus = one_dialogue("ab", "", "c")
    listed = [[frozenset("ab")], [frozenset("a"), frozenset("b"), frozenset()], [frozenset("a")]]
    predictions = [Prediction(dialogue="d", turn=t, actions=own[0], sets=own) for t, own in enumerate(listed)]
    result = evaluate(Given(predictions), corpus, resamples=0)
    assert result.set_top_k == {"1": pytest.approx(1 / 3), "3": pytest.approx(2 / 3), "5": pytest.approx(2 / 3)}
    assert result.to_json()["set_top_k"] == result.set_top_k
    some = [*predictions[:2], msgspec.structs.replace(predictions[2], sets=None)]
    assert evaluate(Given(some), corpus, resamples=0).set_top_k is None


def test_run_and_baselines_list_their_most_probable_sets(policy, corpus, evaluation):
    assert evaluation.set_top_k["1"] == evaluation.turn_accuracy, "joint decoding decides the most probable set"
    assert evaluation.set_top_k["1"] <= evaluation.set_top_k["3"] <= evaluation.set_top_k["5"]
    regression = load_baselines(policy.run, policy.actions)["logreg_history"]
    judged = evaluate(regression, corpus, resamples=0)
    assert judged.set_top_k["1"] == judged.turn_accuracy < judged.set_top_k["5"]
    assert judged.set_negative_log_likelihood > 0
    majority = evaluate(load_baselines(policy.run, policy.actions)["majority"], corpus, resamples=0)
    assert (majority.set_top_k, majority.set_negative_log_likelihood) == (None, None)


def test_a_run_says_how_likely_the_gold_sets_are(policy, corpus, evaluation):
    logged = [max(p.logged, 1e-12) for p in policy.logged_probabilities(corpus)]
    assert evaluation.set_negative_log_likelihood == pytest.approx(-sum(map(math.log, logged)) / len(logged))


def test_a_corpus_without_user_text_is_trained_on_and_judged():
    """Intents and slots as the context, as bots with an NLU of their own log them."""
    dialogues = [
        Dialogue(
            id=f"{n}",
            turns=tuple(
                Turn(context={"intent": intent}, actions=frozenset({f"answer_{intent}"}))
                for intent in ("greet", "ask", "bye")[: 1 + n % 3]
            ),
        )
        for n in range(40)
    ]
    corpus = Corpus(dialogues)
    trained = DialogPolicy(**{**QUICK, "epochs": 2}).fit(corpus, dev=None)
    result = evaluate(trained, corpus, resamples=0, mistakes=True)
    assert result.turns == corpus.n_targets
    assert result.baselines["logreg_context"].turn_accuracy == 1
    assert result.baselines["logreg_utterance"].turn_accuracy == result.baselines["majority"].turn_accuracy < 1


def test_a_path_and_a_list_are_corpora_everywhere(policy, corpus):
    path = FIXTURES / "run-format-4-dialogues.jsonl"
    judged = [evaluate(policy, data, resamples=0) for data in (corpus, path, str(path), list(corpus))]
    assert {e.turn_accuracy for e in judged} == {judged[0].turn_accuracy}
    expected = list(policy.predict(corpus))
    for data in (path, list(corpus), iter(corpus)):
        assert list(policy.predict(data)) == expected
    baselines = list(load_baselines(policy.run, policy.actions).values())[:2]
    assert compare(baselines, path, resamples=100).turns == corpus.n_targets


class Wrong:
    name, actions = "wrong", None

    def predict(self, dialogues):
        return iter([("d", 0, {"a"})])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda p, c: evaluate("runs/x", c),
            r"expected a predictor, .*; found 'runs/x'\. Load a run with Policy\.load",
        ),
        (lambda p, c: evaluate(Wrong, c), r"expected a predictor, .*; found the class Wrong\. Give an object of it"),
        (lambda p, c: compare(p, c), "expected a list of at least two policies to compare, found Policy"),
        (lambda p, c: evaluate(5, c), r"found int without name, actions, predict"),
        (lambda p, c: evaluate(p, c, baselines=["bigram"]), r"found 'bigram'\. .*load_baselines"),
        (lambda p, c: evaluate(p, 5), "expected a corpus, the path of one, or a sequence of dialogues; found 5"),
        (lambda p, c: evaluate(Wrong(), c), r"expected `predict` to yield Prediction\(.*found tuple"),
        (lambda p, c: evaluate(p, c, seed=-1), "seed: expected a whole number from 0, found -1"),
        (lambda p, c: evaluate(p, c, seed=1.5), "seed: expected a whole number from 0, found 1.5"),
        (lambda p, c: evaluate(p, c, resamples=2.5), "resamples: expected a whole number, found 2.5"),
        (lambda p, c: evaluate(p, c, resamples="9"), "resamples: expected a whole number, found '9'"),
        (lambda p, c: p.start().respond("hello", allowed=[["a"]]), r"expected a set of actions, found \[\['a'\]\]"),
        (lambda p, c: p.start().respond("hello", allowed=5), "expected a set of actions, found 5"),
        (lambda p, c: compare([p, "runs/x"], c), r"found 'runs/x'\. Load a run"),
        (lambda p, c: compare({"a": p, "b": Path("runs/x")}, c), r"found 'runs/x'\. Load a run"),
        (lambda p, c: compare([p, Wrong()], c, seed=-1), "seed: expected"),
        (lambda p, c: estimate_value("runs/x", c), r"found 'runs/x'\. Load a run"),
        (lambda p, c: p.predict(5), "expected a corpus, the path of one"),
    ],
)
def test_what_is_no_predictor_or_no_corpus_is_told_what_to_give(policy, corpus, call, message):
    with pytest.raises(OptionError, match=message):
        call(policy, corpus)


def test_a_baseline_says_so_too_where_it_was_fitted_on_what_it_is_judged_on(trained, small):
    baselines = load_baselines(trained.runtime_.run, trained.actions)
    train = small.split("train")
    judged = evaluate(baselines["majority"], train, resamples=0)
    assert judged.warnings[0].startswith("The baseline was trained on ")
    compared = compare([baselines["majority"], baselines["bigram"]], train, resamples=100)
    assert [w[:31] for w in compared.warnings] == ["The baseline majority was train", "The baseline bigram was trained"]
