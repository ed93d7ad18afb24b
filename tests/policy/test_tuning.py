from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, local

import pytest

from dialog_policy.corpus import Corpus
from dialog_policy.corpus.write import write_corpus
from dialog_policy.errors import DivergenceError, RunError
from dialog_policy.policy import make_config, tuning
from dialog_policy.policy.config import tomllib
from dialog_policy.policy.tuning import best_settings, tune
from tests.cli.commands import run

optuna = pytest.importorskip("optuna", reason="needs the extra `tune`")
QUICK = make_config(
    {"epochs": 1, "hidden": 32, "user": [{"kind": "bits", "max_terms": 30}], "system": [], "context": []}
)


@pytest.fixture(scope="module")
def study(small, tmp_path_factory):
    out = tmp_path_factory.mktemp("study")
    return tune(small.split("train"), small.split("dev"), base=QUICK, out=out, trials=2), out


def test_the_first_trial_is_what_was_begun_with_and_the_best_can_be_trained(study):
    first = study[0].trials[0]
    assert (first.params["hidden"], first.params["encoders"]) == (32, "configured")
    assert study[0].best_value >= first.value
    config = make_config(best_settings(study[0]), QUICK)
    assert config.hidden == study[0].best_trial.params["hidden"]
    assert config.epochs == 1


def test_a_search_goes_on_and_refuses_other_data(study, small):
    result, out = study
    train, dev = small.split("train"), small.split("dev")
    again = tune(train, dev, base=QUICK, out=out, trials=3)
    assert [t.value for t in again.trials[:2]] == [t.value for t in result.trials[:2]]
    assert len(again.trials) == 3
    with pytest.raises(RunError, match="other dialogues in its train part"):
        tune(Corpus(list(train)[1:]), dev, base=QUICK, out=out, trials=4)
    with pytest.raises(RunError, match="other settings"):
        tune(train, dev, base=make_config({"seed": 1}, QUICK), out=out, trials=4)


def both_take_from_the_queue_at_once(monkeypatch):
    """Let two threads see the same waiting trial before either has taken it, which SQLite allows: it has no locked rows."""
    storage = optuna.storages.RDBStorage
    take, check = storage.set_trial_state_values, storage.check_trial_is_updatable
    both, taking = Barrier(2), local()

    def set_trial_state_values(self, trial, state, values=None):
        taking.now = state == optuna.trial.TrialState.RUNNING
        try:
            return take(self, trial, state, values)
        finally:
            taking.now = False

    def check_trial_is_updatable(self, trial, state):
        check(self, trial, state)
        if getattr(taking, "now", False):
            both.wait()

    monkeypatch.setattr(storage, "set_trial_state_values", set_trial_state_values)
    monkeypatch.setattr(storage, "check_trial_is_updatable", check_trial_is_updatable)


def test_two_calls_at_once_share_a_search(small, tmp_path, monkeypatch):
    together, met, trained = Barrier(2), local(), []

    class Fake:
        history_ = ({"dev_turn_accuracy": 0.5},)

        def fit(self, *parts, **options):
            trained.append(parts)
            if not hasattr(met, "once"):
                met.once = together.wait()

    monkeypatch.setattr(tuning.DialogPolicy, "from_config", lambda config: Fake())
    both_take_from_the_queue_at_once(monkeypatch)
    options = {"base": QUICK, "out": tmp_path, "trials": 6}
    tune(small.split("train"), small.split("dev"), **options | {"trials": 0})
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(tune, small.split("train"), small.split("dev"), **options) for _ in range(2)]
        studies = [call.result() for call in calls]
    trials = studies[0].trials
    assert len(trials) in (6, 7), "one may be at a trial when the other ends the last one"
    assert len(trained) == len(trials), "no trial is trained by both"
    assert trials[0].params["dropout"] == QUICK.dropout
    assert len({trial.params["dropout"] for trial in trials}) == len(trials)


def test_a_diverging_trial_fails_and_the_search_goes_on(small, tmp_path, monkeypatch):
    class Fake:
        history_ = ({"dev_turn_accuracy": 0.5},)
        fits = 0
        diverging = (1, 2)

        def fit(self, *parts, **options):
            Fake.fits += 1
            if Fake.fits in Fake.diverging:
                raise DivergenceError("the loss is not finite.")

    monkeypatch.setattr(tuning.DialogPolicy, "from_config", lambda config: Fake())
    options = {"dev": small.split("dev"), "base": QUICK, "out": tmp_path}
    study = tune(small.split("train"), trials=2, **options)
    with pytest.raises(RunError, match=r"none of the 2 trials was completed.*smaller learning_rate"):
        best_settings(study)
    study = tune(small.split("train"), trials=3, **options)
    assert [trial.value for trial in study.trials] == [None, None, 0.5]
    assert best_settings(study)["hidden"] == study.trials[2].params["hidden"]


def test_the_command_leaves_settings_that_train_takes(small, tmp_path):
    write_corpus(small, tmp_path / "small.jsonl")
    settings = ["epochs=1", "hidden=8", 'user=[{kind="bits", max_terms=30}]', "system=[]", "context=[]"]
    out = tmp_path / "search"
    result = run(
        "tune",
        tmp_path / "small.jsonl",
        "--split",
        "train",
        "--dev",
        "dev",
        "--trials",
        "1",
        "--out",
        out,
        "--set",
        *settings,
    )
    assert "1 trial" in result.output
    assert {"study.db", "trials.csv", "best.toml"} <= {path.name for path in out.iterdir()}
    best = tomllib.loads((out / "best.toml").read_text())
    assert make_config(best).epochs == 1


def test_too_few_dialogues_to_judge_by_are_refused(tmp_path):
    few = tmp_path / "few.csv"
    few.write_text("dialogue_id,user,actions\n" + "".join(f"{n},hi,greet\n" for n in range(30)))
    assert "at least 20 dialogues" in run("tune", few, "--out", tmp_path / "search", code=2).output
