"""Where nothing can be said of an interval, results survive JSON and reports show a dash."""

import re

import pytest

from dialog_policy.comparison import compare
from dialog_policy.corpus import Corpus, Dialogue, Turn
from dialog_policy.ope import estimate_value
from dialog_policy.prediction import Prediction
from dialog_policy.report import html_report, markdown_report, result_of, text_report, write_csv


def dialogues(n):
    turn = Turn(user="hello", actions=frozenset(["a"]), reward=1.0, propensity=0.5)
    return Corpus([Dialogue(id=str(i), turns=(turn,)) for i in range(n)])


def predicted(n, action, probabilities=None):
    actions = frozenset([action])
    return [Prediction(dialogue=str(i), turn=0, actions=actions, probabilities=probabilities) for i in range(n)]


@pytest.fixture(params=["one dialogue compared", "one dialogue valued", "no overlap"])
def result(request):
    if request.param == "one dialogue compared":
        return compare({"x": predicted(1, "a"), "y": predicted(1, "b")}, dialogues(1), resamples=100)
    if request.param == "one dialogue valued":
        return estimate_value(predicted(1, "a"), dialogues(1), estimators=["ips"], resamples=100)
    return estimate_value(predicted(12, "b", {"b": 1.0}), dialogues(12), resamples=100)


def test_an_undefined_interval_is_null_and_read_back(result):
    again = result_of(result.to_json())
    assert again == result
    shown = [text_report(again), markdown_report(again), html_report(again)]
    for text in shown:
        assert not re.search(r"\[[+-]?nan|>nan<|\bnan,", text)
    undefined = "mcnemar" in result.to_json() or result.logged.ci95 is None
    assert ("–" in shown[1]) is undefined
    assert len(result.to_frame())


def test_undefined_intervals_are_empty_cells(result, tmp_path):
    for path in write_csv(result, tmp_path):
        assert "nan" not in path.read_text()
