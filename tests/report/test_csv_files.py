"""Results as CSV files."""

import csv

from dialog_policy.report import result_of, write_csv
from tests.report.pages import make
from tests.report.results import HISTORY, score_result


def read(paths):
    tables = {}
    for path in paths:
        with open(path, encoding="utf-8", newline="") as file:
            tables[path.stem] = list(csv.DictReader(file))
    return tables


def test_every_list_is_a_file(tmp_path):
    result = score_result()
    tables = read(write_csv(result_of(result), tmp_path / "csv", history=HISTORY))
    assert set(tables) == {
        "metrics", "by_length", "by_turn", "by_action", "slices", "calibration", "precision_recall", "history",
    }  # fmt: skip
    assert [row["turn"] for row in tables["by_turn"]] == [str(number) for number in range(20)]
    assert tables["slices"][0]["micro_f1_low"] == str(0.95 - 0.03)
    policies = {row["policy"] for row in tables["metrics"]}
    assert policies == {"this policy", "majority", "bigram"}
    (accuracy,) = (r for r in tables["metrics"] if (r["policy"], r["metric"]) == ("this policy", "turn_accuracy"))
    assert (accuracy["value"], accuracy["low"]) == ("0.78", str(0.78 - 0.03))


def test_no_figure_stands_without_the_warning(tmp_path):
    result = score_result()
    with_warning = read(write_csv(result_of(result), tmp_path / "a"))["metrics"]
    assert next(iter(with_warning[0])) == "warning"
    assert {row["warning"] for row in with_warning} == set(result["warnings"])
    without = read(write_csv(result_of(result | {"warnings": []}), tmp_path / "b"))["metrics"]
    assert list(without[0]) == ["policy", "metric", "value", "low", "high"]


def test_a_comparison_and_a_value(tmp_path):
    made = make()
    compared = read(write_csv(result_of(made.comparison), tmp_path / "comparison"))
    assert len(compared["pairs"]) == len(made.comparison["pairs"])
    assert compared["disagreements"][0]["gold"] == "|".join(made.comparison["disagreements"][0]["gold"])
    assert {row["policy"] for row in compared["metrics"]} == {"good <1>", "坏的"}
    valued = read(write_csv(result_of(made.value), tmp_path / "value"))
    assert [row["estimator"] for row in valued["estimates"]] == [row["estimator"] for row in made.value["estimates"]]
