"""Results in Markdown."""

import re

from dialog_policy.report import markdown_report, result_of
from tests.report.pages import make
from tests.report.results import score_result


def columns(markdown):
    """Numbers of columns of the lines of tables."""
    return {len(re.findall(r"(?<!\\)\|", line)) for line in markdown.splitlines() if line.startswith("|")}


def test_an_evaluation():
    text = markdown_report(result_of(score_result()))
    assert text.startswith("> **Warning:** The run was trained on 24 of these 100 dialogues")
    assert r"Run small\_run (id a1b2c3), trained on 2026-11-24 with dialog-policy 0.2.0." in text
    assert r"| this policy | 0.780 \[0.750, 0.810\] |" in text
    assert r"| majority baseline | 0.100 \[" in text
    assert r"| 推荐餐厅 | ask\_\$name\_for\_the\_\$price | 10 of 60 |" in text
    assert columns(text) == {7, 4, 5}
    assert text.count("<details>") == text.count("</details>") == 3


def test_what_would_break_a_table_is_escaped():
    result = score_result()
    result["mistakes"]["confusions"][0] |= {"gold": ["a|b\nc&amp;"], "predicted": ["*d*"]}
    assert r"| a\|b c\&amp; | \*d\* | 10 of 60 |" in markdown_report(result_of(result))


def test_a_comparison_a_value_and_a_corpus():
    made = make()
    compared = markdown_report(result_of(made.comparison))
    assert compared.count("\n| good \\<1\\> − 坏的 |") == len(made.comparison["metrics"])
    assert "**good \\<1\\> is better than 坏的 in turn accuracy" in compared
    valued = markdown_report(result_of(made.value))
    assert valued.startswith("> **Warning:** The propensities were not logged")
    assert made.value["conclusion"].split(":")[0] in valued
    assert "| logging policy |" in valued
    assert "One problem." in markdown_report(result_of(made.summary))
