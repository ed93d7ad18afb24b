"""Results and their JSON objects; learning curves."""

import json

import pytest

from dialog_policy.comparison.result import CurvePoint, curve_steps
from dialog_policy.errors import OptionError
from dialog_policy.report import html_report, markdown_report, plots_of, result_of, text_report, write_csv
from tests.report.pages import make
from tests.report.results import score_result


def test_a_json_object_comes_back_as_it_was_written():
    made = make()
    for document in (made.score, made.comparison, made.value, made.summary, score_result()):
        assert result_of(json.loads(json.dumps(document))).to_json() == document
    assert [point.dialogues for point in result_of(made.comparison).curve] == [30, 30, 60, 60]


def test_what_is_no_json_object_of_a_result_is_refused():
    with pytest.raises(OptionError, match=r"expected a JSON object that evaluate.*missing required field `by_length`"):
        result_of({key: value for key, value in score_result().items() if key != "by_length"})


@pytest.mark.parametrize("report", [html_report, markdown_report, plots_of, text_report, lambda r: write_csv(r, "x")])
def test_reports_take_results_not_json_objects(report):
    with pytest.raises(OptionError, match=r"expected an Evaluation.*found dict\..*result_of"):
        report(score_result())


def test_a_learning_curve_has_means_and_ranges_over_seeds():
    points = [
        CurvePoint(policy=policy, share=share, dialogues=dialogues, turns=9, seed=seed, turn_accuracy=accuracy)
        for policy, share, dialogues, accuracies in (
            ("b", 0.5, 10, (0.2, 0.4)),
            ("b", 1.0, 20, (0.5,)),
            ("a", 1.0, 20, (0.9,)),
        )
        for seed, accuracy in enumerate(accuracies)
    ]
    steps = curve_steps(points)
    assert [(s.policy, s.share, s.dialogues, s.seeds) for s in steps] == [
        ("b", 0.5, 10, 2), ("b", 1.0, 20, 1), ("a", 1.0, 20, 1),
    ]  # fmt: skip
    assert (steps[0].mean, steps[0].lowest, steps[0].highest) == (pytest.approx(0.3), 0.2, 0.4)
