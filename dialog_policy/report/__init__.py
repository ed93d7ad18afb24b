"""Results for people: the terminal, Markdown, pages for a browser, CSV files and plots.

All take an :class:`~dialog_policy.evaluation.Evaluation`, a comparison, an off-policy value or the summary of a corpus and show it:
figures are chosen, ordered and worded here, not computed. :func:`result_of` makes the result of a JSON file again.
"""

from dialog_policy.report.csv_files import write_csv
from dialog_policy.report.html import html_report
from dialog_policy.report.markdown import markdown_report
from dialog_policy.report.plots import plots_of, write_plots
from dialog_policy.report.subjects import result_of
from dialog_policy.report.terminal import show, text_report

__all__ = ["html_report", "markdown_report", "plots_of", "result_of", "show", "text_report", "write_csv", "write_plots"]
