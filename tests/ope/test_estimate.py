import msgspec
import numpy as np
import pytest

from benchmarks.simulation import (
    SCENARIOS,
    Scenario,
    describe_coverage,
    describe_overlap,
    lead_dialogues,
    make_world,
    measure,
)
from dialog_policy.corpus import Corpus
from dialog_policy.errors import CorpusError, OptionError
from dialog_policy.ope import ESTIMATORS, estimate_value
from dialog_policy.prediction import Prediction
from dialog_policy.report.value_table import value_table


@pytest.fixture(scope="module")
def led():
    world = make_world(2, longest=3, sharpness=0.7)
    return world, *lead_dialogues(world, 300, 7)


def by_key(result):
    return {row["estimator"]: row for row in result["estimates"]}


def test_the_logging_policy_is_worth_what_it_earned(led):
    world, _, _ = led
    corpus, predictions = lead_dialogues(world._replace(target=world.logging), 300, 7)
    result = estimate_value(predictions, corpus, resamples=300)
    returns = [sum(turn.reward for turn in dialogue.turns) for dialogue in corpus]
    assert result["logged"]["value"] == pytest.approx(np.mean(returns))
    for key, row in by_key(result).items():
        assert row["value"] == pytest.approx(np.mean(returns), abs=0.1 if key in ("dm", "dr") else 1e-9)
        assert row["effective_sample_size"] == pytest.approx(300)
    assert result["overlap"]["mean_weight"] == pytest.approx(1)
    assert "not distinguishable" in result["conclusion"]


def test_the_report_has_every_estimate_with_its_interval(led):
    _, corpus, predictions = led
    result = estimate_value(predictions, corpus, resamples=300)
    assert list(by_key(result)) == list(ESTIMATORS)
    for row in result["estimates"]:
        assert row["ci95"][0] < row["value"] < row["ci95"][1]
        assert row["difference"] == pytest.approx(row["value"] - result["logged"]["value"])
    assert result["concludes"]
    assert result["rests_on"] == "dr"
    shown = value_table(result)
    assert all(estimator.name in shown for estimator in ESTIMATORS.values())
    assert result["conclusion"] in shown
    assert estimate_value(predictions, corpus, resamples=300) == result
    msgspec.json.encode(result)


def test_a_thin_log_is_refused_and_says_why(led):
    _, corpus, predictions = led
    result = estimate_value(predictions, corpus, act_greedily=True, resamples=200)
    few = {f"{i}" for i in range(60)}
    part = Corpus(dialogue for dialogue in corpus if dialogue.id in few)
    result = estimate_value([p for p in predictions if p.dialogue in few], part, act_greedily=True, resamples=200)
    assert not result["concludes"]
    assert "Nothing can be concluded" in result["conclusion"]
    for row in result["estimates"]:
        assert row["value"] is None
        assert row["ci95"] is None
        assert "at least 50 are needed" in row["refused"]
        assert np.isfinite(row["unreliable"]["value"])
    assert value_table(result).count("refused") == len(ESTIMATORS)


def test_estimated_propensities_are_said_to_be_so(led):
    world, corpus, predictions = led
    bare, _ = lead_dialogues(world, 300, 7, has_propensities=False)
    result = estimate_value(predictions, bare, resamples=200)
    assert result["propensities"]["from"] == "estimated"
    assert any("not logged but estimated" in text for text in result["warnings"])
    assert "propensities estimated" in value_table(result)
    forced = estimate_value(predictions, corpus, estimate_propensities=True, resamples=200)
    assert forced["estimates"] == result["estimates"]
    logged = estimate_value(predictions, corpus, resamples=200)
    assert logged["warnings"] == []
    assert logged["estimates"] != result["estimates"]


def test_discount_and_clipping(led):
    _, corpus, predictions = led
    first = by_key(estimate_value(predictions, corpus, gamma=0.0, resamples=200))
    whole = by_key(estimate_value(predictions, corpus, resamples=200))
    assert first["pdis"]["value"] < whole["pdis"]["value"]
    assert first["pdis"]["effective_sample_size"] > whole["pdis"]["effective_sample_size"]
    clipped = estimate_value(predictions, corpus, clip=1.2, resamples=200)
    assert clipped["overlap"]["clipped_dialogues"] > 0
    assert clipped["overlap"]["mean_weight"] < 1
    harsh = estimate_value(predictions, corpus, clip=0.01, resamples=200)
    assert "too much is clipped" in harsh["conclusion"]


def test_only_what_is_asked_for_is_estimated(led):
    _, corpus, predictions = led
    result = estimate_value(predictions, corpus, estimators=["snips"], resamples=200)
    assert [row["estimator"] for row in result["estimates"]] == ["snips"]
    assert result["rests_on"] == "snips"


def test_a_policy_that_says_its_propensity_alone_has_no_model_estimates(led):
    _, corpus, predictions = led
    told = []
    for p in predictions:
        (action,) = corpus.dialogue(p.dialogue).turns[p.turn].actions
        told.append(Prediction(dialogue=p.dialogue, turn=p.turn, actions=p.actions, logged=p.probabilities[action]))
    rows, full = (by_key(estimate_value(x, corpus, resamples=200)) for x in (told, predictions))
    for key in ("ips", "snips", "pdis", "wpdis"):
        assert rows[key]["value"] == pytest.approx(full[key]["value"])
    for key in ("dm", "dr"):
        assert rows[key]["value"] is None
        assert "other sets" in rows[key]["refused"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": 1.5}, "gamma from 0 to 1"),
        ({"gamma": float("nan")}, "gamma from 0 to 1"),
        ({"clip": 0.0}, "clip over 0"),
        ({"estimators": ["ipss"]}, "Did you mean 'ips'"),
    ],
)
def test_impossible_options_are_refused(led, options, message):
    _, corpus, predictions = led
    with pytest.raises(OptionError, match=message):
        estimate_value(predictions, corpus, **options)


def test_predictions_that_do_not_fit_the_log_are_refused(led):
    _, corpus, predictions = led
    with pytest.raises(CorpusError, match="found none"):
        estimate_value(predictions[1:], corpus)


@pytest.mark.parametrize(
    "name", ["one decision a dialogue", "a reward each turn", "the reward model does not see the state"]
)
def test_simulated_estimates_are_unbiased_and_their_intervals_cover(name):
    rows = describe_coverage(measure(SCENARIOS[name], range(40), dialogues=150, resamples=300))
    for row in rows:
        if row["estimator"] != "direct method":
            assert abs(row["bias"]) < 4 * row["bias_error"] + 0.01, row
            assert row["coverage"] >= 0.8, row


def test_coverage_is_told_by_overlap():
    rows = describe_overlap(measure(Scenario(sharpness=3.0), range(10), dialogues=80, same_world=False, resamples=200))
    assert sum(row["logs"] for row in rows) == 10
