"""Results for people: pages for the browser, plots, Markdown, the terminal."""

from dialog_policy.evaluation.report.comparison_report import compare_page
from dialog_policy.evaluation.report.value_report import value_page

__all__ = ["compare_page", "value_page"]
