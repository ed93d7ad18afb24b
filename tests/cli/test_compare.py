import importlib.metadata
import json
import subprocess
import sys

import pytest

from dialog_policy.cli import main
from dialog_policy.corpus import Corpus
from dialog_policy.corpus.write import write_corpus
from dialog_policy.evaluation.prediction_files import write_predictions
from tests.cli.commands import run


@pytest.fixture(scope="module")
def places(small, trained, tmp_path_factory):
    """A corpus, a run, and predictions of the test part: the run's own, and of one that is always wrong."""
    folder = tmp_path_factory.mktemp("compare")
    write_corpus(small, folder / "small.jsonl")
    trained.save(folder / "run")
    part = small.split("test")
    mine = list(trained.predict(part))
    write_predictions(folder / "mine.jsonl", mine)
    (folder / "other").mkdir()
    lines = [json.dumps({"dialogue": p.dialogue, "turn": p.turn, "actions": ["nothing known"]}) for p in mine]
    (folder / "other" / "mine.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "short.jsonl").write_text("\n".join(line for line in lines if mine[0].dialogue not in line) + "\n")
    return folder


def compare(places, *arguments, code=0):
    return run("compare", *arguments, places / "small.jsonl", "--resamples", "200", code=code)


def test_runs_baselines_and_predictions_are_policies_alike(places, tmp_path):
    shown = compare(places, places / "run", f"{places / 'run'}:majority", places / "mine.jsonl", "--split", "test",
                    "--json", tmp_path / "c.json").output  # fmt: skip
    result = json.loads((tmp_path / "c.json").read_text())
    assert [row["name"] for row in result["policies"]] == ["run", "run:majority", "mine"]
    run_, majority, mine = result["policies"]
    assert run_["turn_accuracy"] == mine["turn_accuracy"] > majority["turn_accuracy"]
    assert f"{run_['turn_accuracy']:.3f}" in shown
    assert result["split"] == "test"
    assert run_["run"]["name"] == majority["run"]["name"] == "run"
    assert run_["run"]["package_version"] == importlib.metadata.version("dialog-policy")
    assert "run" not in mine
    assert result["warnings"] == []
    run("evaluate", places / "run", places / "small.jsonl", "--json", tmp_path / "e.json")
    evaluated = json.loads((tmp_path / "e.json").read_text())
    for metric in ("turn_accuracy", "micro_f1", "macro_f1"):
        assert run_[metric] == pytest.approx(evaluated[metric])
        assert majority[metric] == pytest.approx(evaluated["baselines"]["majority"][metric])


def test_dialogues_that_a_run_was_trained_on_are_said_in_the_result(places, tmp_path):
    compare(places, places / "run", f"{places / 'run'}:majority", "--split", "train", "--json", tmp_path / "c.json")
    first = json.loads((tmp_path / "c.json").read_text())["warnings"][0]
    assert first.startswith("The run run was trained on ")
    assert first.endswith("results on them say nothing about new ones.")


@pytest.mark.parametrize("name", ["nearest_neighbour", "logreg_utterance", "logreg_context", "logreg_dialogue"])
def test_every_baseline_of_a_run_can_be_compared(places, tmp_path, name):
    compare(places, places / "run", f"{places / 'run'}:{name}", "--json", tmp_path / "c.json")
    assert json.loads((tmp_path / "c.json").read_text())["policies"][1]["name"] == f"run:{name}"


def test_policies_of_one_name_are_told_apart(places, tmp_path):
    same = places / "mine.jsonl"
    compare(places, same, places / "other" / "mine.jsonl", same, "--split", "test", "--json", tmp_path / "c.json")
    names = [row["name"] for row in json.loads((tmp_path / "c.json").read_text())["policies"]]
    assert names == [str(same), str(places / "other" / "mine.jsonl"), f"{same} (2)"]


def test_chosen_metrics_in_every_form(places, tmp_path):
    compare(places, places / "run", f"{places / 'run'}:bigram", "--metric", "recall", "--html", tmp_path / "c.html",
            "--json", tmp_path / "c.json", "--markdown", tmp_path / "c.md", "--plots", tmp_path / "plots",
            "--plot-format", "png")  # fmt: skip
    result = json.loads((tmp_path / "c.json").read_text())
    assert {row["metric"] for row in result["pairs"]} == {"recall"}
    page = (tmp_path / "c.html").read_text()
    assert "run:bigram" in page
    assert f"{result['policies'][0]['recall']:.3f}" in page or f"{100 * result['policies'][0]['recall']:.1f}" in page
    assert f"| {result['pairs'][0]['difference']:+.3f} |" in (tmp_path / "c.md").read_text()
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"policies.png", "differences.png"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{p}/run"], "expected at least two policies"),
        (["{p}/run", "{p}/none"], "expected a run or a file of predictions"),
        (["{p}/run", "{p}/run:bigrm"], "Did you mean 'bigram'"),
        (["{p}/run", "{p}/short.jsonl"], "turn 0"),
        (["{p}/run", "{p}/small.jsonl"], "line 1"),
        (["{p}/run", "{p}/mine.jsonl", "--metric", "acuracy"], "acuracy"),
        (["{p}/run", "{p}/mine.jsonl", "--curve", "half"], "expected shares such as"),
        (["{p}/run", "{p}/mine.jsonl", "--curve", "0.5,2"], "above 0 and at most 1, found 2"),
        (["{p}/mine.jsonl", "{p}/other/mine.jsonl", "--split", "test", "--curve", "0.5"], "none of these policies is a run"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)  # fmt: skip
def test_a_mistake_gets_one_message_and_leaves_nothing(places, tmp_path, arguments, message):
    given = [argument.format(p=places) for argument in arguments]
    shown = compare(places, *given, "--json", tmp_path / "c.json", code=2).output
    assert message in shown
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_written_is_refused_before_anything_is_trained(places, tmp_path, monkeypatch):
    from dialog_policy.policy import curve

    monkeypatch.setattr(curve, "learning_curve", lambda *arguments, **options: pytest.fail("it was trained"))
    (tmp_path / "folder").mkdir()
    for option, place in (("--json", "folder"), ("--html", "none/of/it.html"), ("--markdown", "folder")):
        shown = compare(places, places / "run", places / "mine.jsonl", "--curve", "1", option, tmp_path / place, code=2)
        assert str(tmp_path / place) in shown.output
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("resamples", ["99", "100000000000"])
def test_a_number_of_resamples_without_sense_is_refused(places, resamples):
    arguments = (places / "run", places / "mine.jsonl", places / "small.jsonl", "--resamples", resamples)
    assert "from 100 to 100,000" in run("compare", *arguments, code=2).output


def test_runs_that_read_the_corpus_differently_are_refused(places, trained, tmp_path, monkeypatch):
    trained.save(tmp_path / "other")
    monkeypatch.setitem(trained.runtime_.info["corpus"], "reader", {"labels": "act"})
    from dialog_policy.cli import policies

    load = policies.Policy.load
    monkeypatch.setattr(
        policies.Policy, "load", lambda path: trained.runtime_ if path.endswith("other") else load(path)
    )
    shown = compare(places, places / "run", tmp_path / "other", code=2).output
    assert "no options" in shown
    assert "labels=act" in shown


def test_a_learning_curve_is_trained_and_shown(places, tmp_path):
    shown = compare(places, places / "run", f"{places / 'run'}:bigram", "--curve", "1,0.25", "--seeds", "2",
                    "--json", tmp_path / "c.json").output  # fmt: skip
    rows = json.loads((tmp_path / "c.json").read_text())["curve"]
    assert [(row["policy"], row["share"], row["dialogues"], row["seed"]) for row in rows] == [
        ("run", 0.25, 6, 0), ("run", 0.25, 6, 1), ("run", 1.0, 24, 0), ("run", 1.0, 24, 1),
    ]  # fmt: skip
    assert "25 %" in shown


def test_an_interrupted_curve_leaves_nothing(places, tmp_path, monkeypatch):
    from dialog_policy.policy import curve

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(curve.DialogPolicy, "fit", interrupt)
    arguments = [
        "compare",
        places / "run",
        places / "mine.jsonl",
        places / "small.jsonl",
        "--curve",
        "1",
        "--resamples",
        "200",
    ]
    with pytest.raises(SystemExit) as stopped:
        main([str(a) for a in [*arguments, "--json", tmp_path / "c.json"]])
    assert stopped.value.code == 1
    assert list(tmp_path.iterdir()) == []


def test_a_comparison_needs_the_core_install_alone(places, tmp_path):
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'keras', 'gensim', 'sklearn', 'scipy', 'pandas', 'onnx', 'jinja2', 'matplotlib'):\n"
        "    sys.modules[name] = None\n"
        "from dialog_policy.cli import main\n"
        f"main(['compare', {str(places / 'run')!r}, {str(places / 'run') + ':bigram'!r}, {str(places / 'small.jsonl')!r},"
        f" '--json', {str(tmp_path / 'c.json')!r}])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "c.json").read_text())["turns"] > 0


def test_an_unlabelled_corpus_cannot_be_compared_on(places, small, tmp_path):
    write_corpus(Corpus(list(small.split("train"))[:3]), tmp_path / "other.jsonl")
    result = run("compare", places / "run", places / "mine.jsonl", tmp_path / "other.jsonl", "--split", "all", code=2)
    assert "not in other.jsonl" in result.output
