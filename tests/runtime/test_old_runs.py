"""Runs of every earlier format load, predict what they predicted, and warn of nothing."""

import warnings

import msgspec
import pytest

from dialog_policy import DialogPolicy, load_corpus
from dialog_policy.prediction import Prediction
from dialog_policy.runtime import Policy
from tests.conftest import REPOSITORY

FIXTURES = REPOSITORY / "tests" / "fixtures"
# The predictions beside a run have probabilities with six digits.
WRITTEN = 1e-6


@pytest.mark.parametrize("version", [4])
@pytest.mark.parametrize("load", [Policy.load, DialogPolicy.load])
def test_an_old_run_predicts_what_it_predicted(version, load):
    run = FIXTURES / f"run-format-{version}"
    lines = run.with_name(f"{run.name}-predictions.jsonl").read_bytes().splitlines()
    written = [msgspec.json.decode(line, type=Prediction) for line in lines]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        policy = load(run)
        predicted = list(policy.predict(load_corpus(run.with_name(f"{run.name}-dialogues.jsonl"))))
    assert len(predicted) == len(written)
    for new, old in zip(predicted, written, strict=True):
        assert (new.dialogue, new.turn, new.actions) == (old.dialogue, old.turn, old.actions)
        assert new.confidence == pytest.approx(old.confidence, abs=WRITTEN, rel=WRITTEN)
        assert new.probabilities == pytest.approx(old.probabilities, abs=WRITTEN, rel=WRITTEN)


def test_settings_of_an_old_run_are_read_by_their_names_of_today():
    policy = DialogPolicy.load(FIXTURES / "run-format-4")
    assert policy.decoding == "joint"
    assert policy.hidden == 8
    assert "weights in all" in policy.summary()
