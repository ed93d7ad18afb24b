import importlib.metadata
import json
import subprocess
import sys

import msgspec
import pytest

from benchmarks.simulation import lead_dialogues, make_world
from dialog_policy.corpus.write import write_corpus
from dialog_policy.evaluation.prediction_files import write_predictions
from dialog_policy.ope import ESTIMATORS
from tests.cli.commands import run


@pytest.fixture(scope="module")
def places(small, trained, tmp_path_factory):
    """A simulated log with predictions; the bundled corpus with rewards and a run."""
    folder = tmp_path_factory.mktemp("value")
    corpus, predictions = lead_dialogues(make_world(2, longest=3, sharpness=0.7), 250, 7)
    write_corpus(corpus, folder / "log.jsonl")
    write_predictions(folder / "policy.jsonl", predictions)
    part = small.split("test")
    rewarded = [msgspec.structs.replace(d, fields={**d.fields, "reward": float(i % 2)}) for i, d in enumerate(part)]
    write_corpus(part.with_dialogues(rewarded), folder / "small.jsonl")
    write_corpus(part, folder / "bare.jsonl")
    trained.save(folder / "run")
    return folder


def test_predictions_are_valued(places, tmp_path):
    shown = run("value", places / "policy.jsonl", places / "log.jsonl", "--json", tmp_path / "v.json").output
    result = json.loads((tmp_path / "v.json").read_text())
    assert [row["estimator"] for row in result["estimates"]] == list(ESTIMATORS)
    assert (result["policy"], result["corpus"], result["split"]) == ("policy", "log.jsonl", "all")
    assert result["propensities"] == {"from": "logged"}
    assert result["conclusion"] in " ".join(shown.split())


def test_options_reach_the_estimate(places, tmp_path):
    run("value", places / "policy.jsonl", places / "log.jsonl", "--estimator", "ips", "--estimator", "dr", "--gamma", "0.5",
        "--clip", "3", "--target-policy", "greedy", "--estimate-propensities", "--resamples", "150",
        "--json", tmp_path / "v.json")  # fmt: skip
    result = json.loads((tmp_path / "v.json").read_text())
    assert [row["estimator"] for row in result["estimates"]] == ["ips", "dr"]
    assert (result["gamma"], result["clip"], result["propensities"]["from"]) == (0.5, 3, "estimated")
    assert result["acts"] == "takes its predicted set always"
    assert (result["target_policy"], result["resamples"]) == ("greedy", 150)


def test_the_old_option_greedy_still_means_the_greedy_policy_and_says_its_new_name(places, tmp_path):
    log = (places / "policy.jsonl", places / "log.jsonl", "--estimator", "ips")
    shown = run("value", *log, "--greedy", "--json", tmp_path / "v.json").output
    assert "--greedy is deprecated; use --target-policy greedy." in shown
    assert json.loads((tmp_path / "v.json").read_text())["target_policy"] == "greedy"
    assert "contradicts" in run("value", *log, "--greedy", "--target-policy", "stochastic", code=2).output
    assert "--greedy" not in run("value", "--help").output


def test_a_run_and_its_baselines_are_valued_and_thin_overlap_is_said(places, tmp_path):
    for policy in (places / "run", f"{places / 'run'}:bigram"):
        shown = run("value", policy, places / "small.jsonl", "--json", tmp_path / "v.json").output
        result = json.loads((tmp_path / "v.json").read_text())
        assert (result["rewarded"], result["split"], result["concludes"]) == ("dialogue", "test", False)
        assert "Nothing can be concluded" in shown
        assert "not logged but estimated" in shown
        assert result["run"]["package_version"] == importlib.metadata.version("dialog-policy")
        assert result["run"]["created"].startswith("20")


def test_every_form(places, tmp_path):
    run("value", places / "policy.jsonl", places / "log.jsonl", "--html", tmp_path / "v.html", "--markdown",
        tmp_path / "v.md", "--plots", tmp_path / "plots")  # fmt: skip
    page = (tmp_path / "v.html").read_text()
    assert "doubly robust" in page
    assert "<svg" in page
    assert "| doubly robust |" in (tmp_path / "v.md").read_text()
    assert {path.name for path in (tmp_path / "plots").iterdir()} >= {"estimates.svg", "weights.svg"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{p}/none", "{p}/log.jsonl"], "expected a run or a file of predictions"),
        (["{p}/run", "{p}/bare.jsonl"], "expected a reward, found none"),
        (["{p}/policy.jsonl", "{p}/log.jsonl", "--gamma", "2"], "gamma from 0 to 1"),
        (["{p}/policy.jsonl", "{p}/log.jsonl", "--clip", "0"], "clip above 0"),
        (["{p}/policy.jsonl", "{p}/log.jsonl", "--estimator", "ipss"], "ipss"),
        (["{p}/policy.jsonl", "{p}/log.jsonl", "--resamples", "100000000000"], "from 100 to 100,000"),
        (["{p}/policy.jsonl", "{p}/small.jsonl"], "not in small.jsonl"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_a_mistake_gets_one_message_and_leaves_nothing(places, tmp_path, arguments, message):
    given = [argument.format(p=places) for argument in arguments]
    assert message in run("value", *given, "--json", tmp_path / "v.json", code=2).output
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_written_is_refused_before_anything_is_estimated(places, tmp_path, monkeypatch):
    monkeypatch.setattr(
        sys.modules["dialog_policy.cli.value"], "estimate_value", lambda *a, **options: pytest.fail("it was estimated")
    )
    for option in ("--json", "--html", "--markdown"):
        shown = run("value", places / "policy.jsonl", places / "log.jsonl", option, tmp_path, code=2).output
        assert f"{tmp_path} is a folder" in shown


@pytest.mark.parametrize(("propensity", "message"), [(0, "found 0.0"), (1.2, "found 1.2"), (None, "found none")])
def test_an_impossible_propensity_is_refused_with_the_place(places, tmp_path, propensity, message):
    lines = (places / "log.jsonl").read_text().splitlines()
    broken = json.loads(lines[3])
    broken["turns"][0]["propensity"] = propensity
    lines[3] = json.dumps(broken)
    (tmp_path / "log.jsonl").write_text("\n".join(lines) + "\n")
    shown = run("value", places / "policy.jsonl", tmp_path / "log.jsonl", code=2).output
    assert "dialogue '3', turn 0" in shown
    assert message in shown


def test_a_value_needs_the_core_install_alone(places, tmp_path):
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'keras', 'gensim', 'sklearn', 'scipy', 'pandas', 'onnx', 'jinja2', 'matplotlib'):\n"
        "    sys.modules[name] = None\n"
        "from dialog_policy.cli import main\n"
        f"main(['value', {str(places / 'run')!r}, {str(places / 'small.jsonl')!r}, '--json', {str(tmp_path / 'v.json')!r}])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "v.json").read_text())["propensities"]["from"] == "estimated"
