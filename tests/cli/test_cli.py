import json
import subprocess
import sys

import pytest

from dialog_policy.corpus import Dialogue, Turn
from dialog_policy.corpus.write import write_corpus
from dialog_policy.runtime import Policy
from tests.cli.commands import run
from tests.conftest import QUICK, REPOSITORY

SETTINGS = [
    f"{name}={json.dumps(value).replace(': ', '=').replace(chr(34) + '=', '=')}" for name, value in QUICK.items()
]
SETTINGS = [s.replace('{"kind=', "{kind=").replace(', "max_terms=', ", max_terms=") for s in SETTINGS]


@pytest.fixture(scope="module")
def corpus_file(small, tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "small.jsonl"
    write_corpus(small, path)
    return path


@pytest.fixture(scope="module")
def run_folder(corpus_file):
    folder = corpus_file.parent / "run"
    run("train", corpus_file, "--out", folder, "--set", *SETTINGS)
    return folder


def test_train_leaves_the_run_and_its_logs(run_folder):
    assert (run_folder / "logs" / "training.csv").read_text().startswith("epoch,")
    assert any((run_folder / "logs" / "tensorboard").rglob("*tfevents*"))
    assert not run_folder.with_name("run.partial").exists()


def test_evaluate_predict_and_score_agree(run_folder, corpus_file, tmp_path):
    shown = run(
        "evaluate", run_folder, corpus_file, "--json", tmp_path / "e.json", "--html", tmp_path / "r.html"
    ).output
    evaluated = json.loads((tmp_path / "e.json").read_text())
    assert f"{evaluated['turn_accuracy']:.3f}" in shown
    assert set(evaluated["baselines"]) == {
        "majority",
        "bigram",
        "nearest_neighbour",
        "logreg_utterance",
        "logreg_history",
        "logreg_context",
        "logreg_dialogue",
    }
    run("predict", run_folder, corpus_file, "--sets", "--out", tmp_path / "p.jsonl")
    run("score", tmp_path / "p.jsonl", corpus_file, "--json", tmp_path / "s.json")
    scored = json.loads((tmp_path / "s.json").read_text())
    for name in ("turn_accuracy", "dialogue_accuracy", "micro_f1", "macro_f1", "hamming_loss", "turns", "seen"):
        assert scored[name] == evaluated[name], name
    # What is computed from probabilities differs by their rounding in the file.
    likelihood = evaluated["ci95"].pop("set_negative_log_likelihood")
    assert likelihood[0] <= evaluated["set_negative_log_likelihood"] <= likelihood[1]
    for name, interval in evaluated["ci95"].items():
        assert scored["ci95"][name] == pytest.approx(interval, rel=1e-4), name
    page = (tmp_path / "r.html").read_text()
    plots = ("policies", "by_length", "by_turn", "by_action", "reliability", "confusions", "after_error", "history")
    assert all(f'id="plot-{name}"' in page for name in plots)
    assert f"{100 * evaluated['turn_accuracy']:.1f}" in page


def test_a_prediction_looks_at_the_true_set_only_if_it_is_asked_to(run_folder, corpus_file, tmp_path):
    run("predict", run_folder, corpus_file, "--out", tmp_path / "p.jsonl")
    run("predict", run_folder, corpus_file, "--sets", "--out", tmp_path / "s.jsonl")
    plain, told = (
        [json.loads(line) for line in (tmp_path / name).read_text().splitlines()] for name in ("p.jsonl", "s.jsonl")
    )
    assert {key for row in plain for key in row} == {"dialogue", "turn", "actions", "probabilities", "confidence"}
    assert [{key: row[key] for key in plain[0]} for row in told] == plain
    assert all(row["sets"][0] == row["actions"] and 0 <= row["logged"] <= 1 for row in told)
    said = run("predict", run_folder, corpus_file, "--sets", "--free-running", "--out", tmp_path / "x.jsonl", code=2)
    assert "--sets needs the true history" in said.output


def test_free_running_says_so(run_folder, corpus_file):
    assert "free running" in run("evaluate", run_folder, corpus_file, "--free-running").output


@pytest.mark.parametrize(
    ("split", "said"), [("train", "trained on 24 of these 24"), ("dev", "validated on 24"), ("test", None)]
)
def test_evaluate_says_first_which_dialogues_trained_the_run(split, said, run_folder, corpus_file, tmp_path):
    outputs = {form: tmp_path / f"e.{form}" for form in ("json", "html", "markdown")}
    options = [word for form, path in outputs.items() for word in (f"--{form}", path)]
    shown = run("evaluate", run_folder, corpus_file, "--split", split, "--resamples", 0, *options).stdout
    result = json.loads(outputs["json"].read_text())
    assert next(iter(result)) == "warnings"
    for page in (shown, outputs["html"].read_text(), outputs["markdown"].read_text()):
        words = " ".join(page.split("<body", 1)[-1].split())
        first = words.find("results on them say nothing about new ones")
        assert (first >= 0) == (said is not None)
        assert first < words.lower().find("turn accuracy")
    assert [said in warning for warning in result["warnings"]] == [True] * (said is not None)
    assert result["run"]["name"] == "run"
    assert result["run"]["id"] == result["policy"]


@pytest.mark.parametrize("command", ["evaluate", "score"])
def test_too_many_resamples_are_one_message(command, run_folder, corpus_file, tmp_path):
    policy = run_folder
    if command == "score":
        policy = tmp_path / "p.jsonl"
        run("predict", run_folder, corpus_file, "--out", policy)
    shown = run(command, policy, corpus_file, "--split", "test", "--resamples", 100_000_000_000, code=2)
    assert "from 0 to 100,000, found 100,000,000,000" in shown.stderr


def test_folds_have_everything_that_an_evaluation_has(run_folder, corpus_file, tmp_path):
    run("evaluate", run_folder, corpus_file, "--split", "test", "--json", tmp_path / "e.json", "--resamples", 20)
    options = ["--split", "test", "--folds", 2, "--resamples", 20]
    run("evaluate", run_folder, corpus_file, *options, "--json", tmp_path / "f.json")
    evaluated, folded = (json.loads((tmp_path / name).read_text()) for name in ("e.json", "f.json"))
    assert folded["folds"] == 2
    assert set(evaluated) - set(folded) == {"run", "policy"}
    assert set(evaluated["mistakes"]) == set(folded["mistakes"])
    assert set(evaluated["baselines"]) == set(folded["baselines"])
    run("evaluate", run_folder, corpus_file, *options, "--free-running", "--json", tmp_path / "g.json")
    free = json.loads((tmp_path / "g.json").read_text())
    assert free["mode"] == "free-running"
    assert list(free["mistakes"]["after_error"]) == ["free-running", "teacher-forced"]
    assert free["mistakes"]["after_error"]["teacher-forced"]["turn_accuracy"] == folded["turn_accuracy"]


def test_several_corpora_are_judged_as_one(run_folder, corpus_file, small, tmp_path):
    parts = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    dialogues = list(small.split("test"))
    for path, own in zip(parts, (dialogues[:5], dialogues[5:]), strict=True):
        write_corpus(small.with_dialogues(own), path)
    run("evaluate", run_folder, *parts, "--json", tmp_path / "both.json", "--resamples", 0)
    run("evaluate", run_folder, corpus_file, "--json", tmp_path / "whole.json", "--resamples", 0)
    both, whole = (json.loads((tmp_path / name).read_text()) for name in ("both.json", "whole.json"))
    assert both["turn_accuracy"] == whole["turn_accuracy"]
    assert both["turns"] == whole["turns"]
    run("predict", run_folder, *parts, "--out", tmp_path / "p.jsonl")
    assert len((tmp_path / "p.jsonl").read_text().splitlines()) == whole["turns"]


@pytest.mark.parametrize("mode", [[], ["--free-running"]])
def test_predict_needs_no_actions(mode, run_folder, tmp_path):
    """What the system did is unknown then, which is not the same as nothing."""
    rows = ["dialogue_id,user", "a,hello", "a,a cheap hotel please", "b,goodbye"]
    (tmp_path / "new.csv").write_text("\n".join(rows) + "\n")
    out = tmp_path / "p.jsonl"
    shown = run("predict", run_folder, tmp_path / "new.csv", "--split", "all", "--out", out, *mode)
    assert "unknown" in shown.stderr
    predicted = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(p["dialogue"], p["turn"]) for p in predicted] == [("a", 0), ("a", 1), ("b", 0)]
    policy = Policy.load(run_folder)
    unknown, nothing = (
        Dialogue(
            id="a", turns=(Turn(user="hello", actions=before), Turn(user="a cheap hotel please", actions=frozenset()))
        )
        for before in (None, frozenset())
    )
    if not mode:
        of_unknown, of_nothing = (list(policy.predict([d]))[-1].probabilities for d in (unknown, nothing))
        assert predicted[1]["probabilities"] == pytest.approx(of_unknown, rel=1e-4)
        assert of_unknown != of_nothing


@pytest.mark.parametrize("out", ["{tmp}", "{tmp}/no/such/p.jsonl", "{corpus}"])
def test_predictions_that_cannot_be_written_are_refused_first(out, run_folder, corpus_file, tmp_path):
    before = corpus_file.read_bytes()
    place = out.format(tmp=tmp_path, corpus=corpus_file)
    shown = run("predict", run_folder, corpus_file, "--out", place, code=2)
    assert len(shown.stderr.strip().splitlines()) == 1
    assert place in shown.stderr or str(tmp_path) in shown.stderr
    assert corpus_file.read_bytes() == before


def test_reader_options_are_remembered_and_can_be_overridden(tmp_path):
    rows = ["conv,said,did", *(f"{i},hello {i % 3},{'ab'[i % 2]}" for i in range(40))]
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    options = ["--reader", "dialogue_id=conv", "user=said", "--reader", "actions=did"]
    run("train", tmp_path / "t.csv", *options, "--out", tmp_path / "run", "--split", "all", "--set", *SETTINGS)
    run("evaluate", tmp_path / "run", tmp_path / "t.csv", "--split", "all")
    (tmp_path / "u.csv").write_text("\n".join(rows).replace("said", "user") + "\n")
    run("evaluate", tmp_path / "run", tmp_path / "u.csv", "--split", "all", "--reader", "user=user")


def test_inspect_and_convert(corpus_file, tmp_path):
    shown = run("inspect", corpus_file, "--json", tmp_path / "i.json").output
    summary = json.loads((tmp_path / "i.json").read_text())
    assert summary["dialogues"] == 60
    assert str(summary["target_turns"]) in shown
    run("convert", corpus_file, tmp_path / "c.csv")
    assert json.loads((tmp_path / "i.json").read_text())["lengths"] == summary["lengths"]
    assert run("inspect", tmp_path / "c.csv").output.splitlines()[2:] != []


MISTAKES = [
    (["train", "nowhere.jsonl", "--out", "{tmp}/r"], "no file or folder"),
    (["train", "{corpus}", "--out", "{tmp}/r", "--split", "tran"], "Did you mean 'train'"),
    (["train", "{corpus}", "--out", "{tmp}/r", "--set", "hiden=3"], "Did you mean 'hidden'"),
    (["train", "{corpus}", "--out", "{tmp}/r", "--set", "hidden"], "KEY=VALUE"),
    (["train", "{corpus}", "--out", "{tmp}/r", "--set", "dropout=2"], "dropout"),
    (["train", "{corpus}", "--out", "{tmp}/r", "--config", "{tmp}/none.toml"], "no configuration file"),
    (["train", "{corpus}", "--out", "{tmp}/r", "--dev", "nodev.jsonl"], "no file or folder"),
    (["train", "{corpus}", "--out", "{tmp}/r", "--format", "jsnl"], "Did you mean 'jsonl'"),
    (["train", "{corpus}", "--out", "{repository}"], "is not a run"),
    (["train", "{corpus}", "--out", "{tmp}/r", "--resume"], "no training to resume"),
    (["evaluate", "{tmp}/norun", "{corpus}"], "no run at"),
    (["evaluate", "{repository}/docs", "{corpus}"], "not a run"),
    (["evaluate", "{run}", "{corpus}", "--split", "tset"], "Did you mean 'test'"),
    (["score", "{tmp}/none.jsonl", "{corpus}"], "no file of predictions"),
    (["score", "{corpus}", "{corpus}"], "line 1"),
    (["convert", "{corpus}", "{tmp}/out.xls"], "expected a name"),
    (["predict", "{run}", "{corpus}", "--out", "{tmp}/p.csv"], "predictions are written as JSON Lines"),
    (["serve", "{run}", "--store", "{tmp}/no/such.sqlite"], "there is no folder"),
    (["evaluat", "x", "y"], "Did you mean 'evaluate'"),
    (["train", "{corpus}", "--outt", "{tmp}/r"], "--out"),
]


@pytest.mark.parametrize(
    ("arguments", "message"), MISTAKES, ids=lambda x: " ".join(x)[:40] if isinstance(x, list) else None
)
def test_a_mistake_gets_one_message_and_leaves_nothing(arguments, message, run_folder, corpus_file, tmp_path):
    places = {"corpus": corpus_file, "run": run_folder, "tmp": tmp_path, "repository": REPOSITORY}
    result = run(*(a.format(**places) for a in arguments), code=2)
    assert message in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_corpus_without_actions_is_refused(public_corpora, tmp_path):
    result = run("train", public_corpora("woz-convlab-unified.zip"), "--out", tmp_path / "r", code=2)
    assert "nothing to predict" in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_is_one_message_with_the_command(corpus_file, tmp_path):
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'keras', 'gensim', 'sklearn', 'scipy', 'pandas', 'jinja2', 'matplotlib'):\n"
        "    sys.modules[name] = None\n"
        "from dialog_policy.cli import main\n"
        f"main(['train', {str(corpus_file)!r}, '--out', {str(tmp_path / 'r')!r}])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 2
    assert "pip install 'dialog-policy[train]'" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_run_is_evaluated_with_the_core_install_alone(run_folder, corpus_file, tmp_path):
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'keras', 'gensim', 'sklearn', 'scipy', 'pandas', 'onnx', 'jinja2', 'matplotlib'):\n"
        "    sys.modules[name] = None\n"
        "from dialog_policy.cli import main\n"
        f"main(['evaluate', {str(run_folder)!r}, {str(corpus_file)!r}, '--json', {str(tmp_path / 'e.json')!r}])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "e.json").read_text())["turns"] > 0


def test_help_teaches():
    shown = run("--help").output
    for verb in ("inspect", "convert", "train", "evaluate", "predict", "score"):
        assert verb in shown
        assert "Usage:" in run(verb, "--help").output
