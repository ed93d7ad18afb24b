"""DialogPolicy as scikit-learn's tools know estimators, and the two classes that predict."""

import copy
import inspect
import pickle
import re
import shutil
import warnings

import msgspec
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.validation import check_is_fitted

from dialog_policy import Corpus, DialogPolicy, Dialogue, Turn, evaluate
from dialog_policy.corpus.write import write_corpus
from dialog_policy.errors import CorpusError, OptionError, RunError
from dialog_policy.evaluation import PredictionArrays
from dialog_policy.policy.config import Config, setting_names
from dialog_policy.policy.parts import choose_parts
from dialog_policy.prediction import Predictor
from dialog_policy.runtime import Policy
from tests.conftest import QUICK

FAST = QUICK | {"epochs": 1}


def test_the_signature_has_every_setting_with_the_configurations_default():
    parameters = {
        p.name: p.default for p in inspect.signature(DialogPolicy).parameters.values() if p.name != "old_names"
    }
    assert set(parameters) == set(setting_names())
    config = Config()
    for name, default in parameters.items():
        assert default == getattr(config, name, getattr(config.encoders, name, None)), name
    assert DialogPolicy().config == config
    documented = inspect.getdoc(DialogPolicy)
    assert all(name in documented for name in parameters)


def test_settings_are_stored_untouched_and_shown_where_they_differ():
    hidden = [64, 32]
    policy = DialogPolicy(hidden=hidden, dropout=0.5)
    assert policy.hidden is hidden
    assert repr(policy) == "DialogPolicy(hidden=[64, 32], dropout=0.5)"
    assert repr(DialogPolicy()) == "DialogPolicy()"
    assert policy.set_params(epochs=2) is policy
    assert policy.get_params() == DialogPolicy().get_params() | {"hidden": hidden, "dropout": 0.5, "epochs": 2}
    with pytest.raises(OptionError, match="Did you mean 'hidden'"):
        policy.set_params(hiden=3)


def test_clones_and_configurations_have_the_same_settings():
    policy = DialogPolicy(**QUICK, dropout=7)  # checked by fit
    copied = clone(policy)
    assert copied is not policy
    assert copied.get_params() == policy.get_params()
    config = DialogPolicy(**QUICK).config
    assert DialogPolicy.from_config(config).config == config
    assert DialogPolicy.from_config(msgspec.json.decode(msgspec.json.encode(config.flat()))).config == config
    assert repr(DialogPolicy.from_config(Config().flat())) == "DialogPolicy()"


def test_it_is_fitted_when_fit_was_called(trained):
    check_is_fitted(trained)
    with pytest.raises(ValueError, match="not fitted"):
        check_is_fitted(DialogPolicy())


def test_scikit_learn_validates_and_searches(small):
    corpus, halves = small[:12], [(range(6), range(6, 12))]
    (score,) = cross_val_score(DialogPolicy(**FAST), corpus, cv=halves)
    assert score == DialogPolicy(**FAST).fit(list(corpus[:6])).score(corpus[6:])
    search = GridSearchCV(DialogPolicy(**FAST), {"hidden": [4, FAST["hidden"]]}, cv=halves).fit(corpus)
    assert search.best_params_["hidden"] in (4, FAST["hidden"])
    assert search.cv_results_["split0_test_score"][1] == score
    assert search.best_estimator_.hidden == search.best_params_["hidden"]
    assert 0 <= search.score(corpus) <= 1


def test_copies_and_pickles_are_whole(trained, small, tmp_path):
    expected = list(trained.predict(small[:3]))
    trained.save(tmp_path / "run")
    loaded = DialogPolicy.load(tmp_path / "run")
    pickled = pickle.dumps(loaded)
    shutil.rmtree(tmp_path / "run")
    for copied in (pickle.loads(pickled), copy.deepcopy(trained), pickle.loads(pickle.dumps(trained))):  # noqa: S301 - its own
        assert list(copied.predict(small[:3])) == expected
        assert copied.runtime_.id == trained.runtime_.id
        assert copied.get_params() == trained.get_params() or copied.config == trained.config
        assert copied.history_ == trained.history_
    assert copy.deepcopy(DialogPolicy(hidden=8)).get_params() == DialogPolicy(hidden=8).get_params()
    damaged = trained.__getstate__()
    damaged["runtime_"] = damaged["runtime_"] | {"decoder.json": b"{}"}
    with pytest.raises(RunError, match="changed after training"):
        DialogPolicy().__setstate__(damaged)


def test_probabilities_and_bits_of_all_target_turns_and_back(trained, small):
    test, space = small.split("test"), trained.actions_
    shares = trained.predict_proba(test)
    assert shares.shape == (test.n_targets, len(space))
    for row, prediction in zip(shares, trained.predict(test), strict=True):
        assert {a: p for a, p in zip(space, row.tolist(), strict=True) if p >= 0.001} == prediction.probabilities
    bits = space.transform(prediction.actions for prediction in trained.predict(test))
    again = evaluate(PredictionArrays(space, bits, shares), test, resamples=0)
    assert again.turn_accuracy == trained.score(test)
    assert trained.predict_proba([]).shape == (0, len(space))
    with pytest.raises(RunError, match="call fit"):
        DialogPolicy().predict_proba(test)


def micro_f1(policy, corpus, y=None):
    return evaluate(policy, corpus, resamples=0).micro_f1


def test_scikit_learn_scores_by_any_figure_over_a_grid_of_numpy(small):
    corpus, halves = small[:12], [(range(6), range(6, 12))]
    grid = {"learning_rate": np.logspace(-3, -2, 2)[:1], "hidden": np.arange(8, 9)}
    search = GridSearchCV(DialogPolicy(**FAST), grid, scoring=micro_f1, cv=halves, refit=False).fit(corpus)
    again = DialogPolicy(**FAST | {"learning_rate": 0.001, "hidden": 8}).fit(list(corpus[:6]))
    assert search.best_score_ == micro_f1(again, corpus[6:])


def test_old_names_are_understood_with_a_warning():
    with pytest.warns(DeprecationWarning, match="decisions='bits' is now called decoding='independent'"):
        policy = DialogPolicy(decisions="bits")
    assert policy.decoding == "independent"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert DialogPolicy.from_config({"decisions": "sets"}).decoding == "joint"
    with (
        pytest.warns(DeprecationWarning, match="decoding"),
        pytest.raises(OptionError, match="setting decoding: expected one of"),
    ):
        DialogPolicy(decisions="bytes").config  # noqa: B018


def test_a_path_a_corpus_and_dialogues_are_the_same(small, tmp_path):
    corpus = small[:8]
    write_corpus(corpus, tmp_path / "corpus.jsonl")
    forms = [corpus, str(tmp_path / "corpus.jsonl"), tmp_path / "corpus.jsonl", list(corpus), tuple(corpus)]
    plain = Corpus(corpus)
    policies = [DialogPolicy(**FAST).fit(form, dev=None) for form in (forms[1], forms[3])]
    assert len({policy.runtime_.id for policy in policies}) == 1
    policy = policies[0]
    assert len({policy.score(form) for form in forms}) == 1
    expected = list(policy.predict(plain))
    for form in (*forms, iter(corpus)):
        assert list(policy.predict(form)) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Dialogue(id="d", turns=()), r"found the single dialogue 'd'. Write \[dialogue\]"),
        ([Dialogue(id="d", turns=()), Turn(user="x")], "found Turn .* at position 1"),
        (["some", "texts"], "found str 'some' at position 0"),
        (3, "found 3"),
        (None, "found None"),
    ],
)
def test_what_is_no_corpus_is_named(data, message):
    with pytest.raises(OptionError, match=f"expected a corpus, the path of one, or a sequence of dialogues; {message}"):
        DialogPolicy(**FAST).fit(data)


def test_a_y_is_refused(small):
    with pytest.raises(OptionError, match="y is not used"):
        DialogPolicy(**FAST).fit(small, small)


def test_saved_and_loaded_it_is_the_same(trained, small, tmp_path):
    trained.save(tmp_path / "run")
    loaded = DialogPolicy.load(tmp_path / "run")
    assert loaded.config == trained.config
    assert loaded.history_ == trained.history_
    assert list(loaded.actions_) == list(trained.actions_)
    assert loaded.validation_ == trained.validation_
    assert list(loaded.predict(small[:3])) == list(trained.predict(small[:3]))
    loaded.save(tmp_path / "again")
    assert Policy.load(tmp_path / "again").id == Policy.load(tmp_path / "run").id
    with pytest.raises(RunError, match="call fit"):
        DialogPolicy().save(tmp_path / "never")


def test_all_that_predict_are_predictors(trained, tmp_path):
    assert isinstance(trained, Predictor)
    assert isinstance(DialogPolicy(), Predictor)
    assert DialogPolicy().actions is None
    assert trained.actions is trained.actions_
    trained.save(tmp_path / "mine")
    assert DialogPolicy.load(tmp_path / "mine").name == "mine"
    assert iter(trained.predict([])) is not None
    with pytest.raises(RunError, match="call fit"):
        DialogPolicy().predict([])


def dialogue(name, actions, user="hello", split=None):
    return Dialogue(id=str(name), split=split, turns=(Turn(user=user, actions=actions),))


def test_nothing_to_learn_is_said_before_anything(tmp_path):
    history = [Dialogue(id="a", turns=(Turn(user="hi"),))]
    empty = [dialogue(n, frozenset()) for n in range(4)]
    for corpus, message in (
        (history, "no turn with system actions"),
        (empty, "in all of its 4 turns the set of actions"),
    ):
        with pytest.raises(CorpusError, match=message):
            DialogPolicy(**FAST).fit(corpus, out=tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("user", ["", "hello"])
@pytest.mark.parametrize("actions", [[{"a"}, {"b"}], [{"a"}, {"a"}], [{"a"}, set()], [{"a", "b"}, {"a", "b"}]])
def test_little_to_learn_is_learnt(user, actions, tmp_path):
    """No text, one action only, one set only, hardly any turns: such a policy says little, but it does not fail."""
    corpus = Corpus(dialogue(n, frozenset(actions[n % 2]), user) for n in range(6))
    policy = DialogPolicy(**FAST).fit(corpus, out=tmp_path / "x")
    assert len(list(Policy.load(tmp_path / "x").predict(corpus))) == 6
    assert 0 <= policy.score(corpus) <= 1


def test_the_validation_part_is_what_is_said(small):
    train, dev = small.split("train"), small.split("dev")
    policy = DialogPolicy(**FAST).fit(small)
    assert policy.validation_ == "the dev part of desk.jsonl, 24 dialogues"
    assert policy.runtime_.info["corpus"]["train"]["dialogues"] == 36
    assert choose_parts(train, dev, 20).validation == "the dev part of desk.jsonl, 24 dialogues"
    assert choose_parts(small, "dev", 20).validation == "the dev part of desk.jsonl, 24 dialogues"
    fixed = "training runs for its fixed number of epochs"
    assert choose_parts(train, None, 20).validation == f"none (as requested); {fixed}"
    few = choose_parts(train, "inner", 20)
    assert few.dev is None
    assert len(few.train) == 24
    assert re.sub(r"[0-9]+ dialogues?", "N dialogues", few.validation) == (
        f"none (N dialogues in a tenth of the training part; early stopping needs 20, setting smallest_dev); {fixed}"
    )
    unmarked = small.with_dialogues(msgspec.structs.replace(d, split=None) for d in small)
    held = choose_parts(unmarked, unmarked[:3], 20).validation
    assert held.startswith("none (3 dialogues in a held-out part of desk.jsonl; early stopping needs 20, ")
    tenth = choose_parts(unmarked, "auto", 1)
    assert tenth.validation == f"a tenth of the training part, {len(tenth.dev)} dialogues"
    assert len(tenth.train) == len(unmarked) - len(tenth.dev)
