import json

import numpy as np
from click.testing import CliRunner

from benchmarks.workload import STAR_LENGTHS, conversations
from dialog_policy.cli import main
from dialog_policy.corpus.write import write_corpus


def test_made_up_dialogues_have_real_lengths_and_are_the_same_again():
    made = list(conversations(2_000, seed=1))
    counts = np.bincount([len(dialogue) for dialogue in made], minlength=len(STAR_LENGTHS) + 1)[1:]
    shares = np.array(STAR_LENGTHS) / sum(STAR_LENGTHS)
    assert np.abs(counts / len(made) - shares).max() < 4 * np.sqrt(shares.max() / len(made))
    assert made == list(conversations(2_000, seed=1))
    assert sum(STAR_LENGTHS) == 2_184
    assert sum(n * count for n, count in enumerate(STAR_LENGTHS, start=1)) == 17_801


def test_serving_is_measured_against_keras(tmp_path):
    write_corpus(conversations(16), tmp_path / "c.jsonl")
    done = CliRunner().invoke(
        main, ["benchmark", str(tmp_path / "c.jsonl"), "--serving", "--json", str(tmp_path / "b.json")]
    )
    assert done.exit_code == 0, done.output
    result = json.loads((tmp_path / "b.json").read_text())
    assert result["respond_us_p99"] >= result["respond_us_p50"] > 0
    assert result["ratios"]["keras_predict"] == result["keras_predict_us_p50"] / result["respond_us_p50"]
    assert result["ratios"]["keras_call"] == result["keras_call_us_p50"] / result["respond_us_p50"]
    assert result["load_s"] > 0
    assert 20 < result["rss_mb"] < 1_000
    assert f"{result['respond_many_turns_per_s']:,.0f} turns/s" in done.output
