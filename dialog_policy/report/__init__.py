"""Results for people: the terminal, Markdown, pages for a browser, CSV files and plots.

All take the JSON object of ``evaluate``, ``score``, ``compare``, ``value`` or ``inspect`` and show it: nothing is computed here.
"""

from dialog_policy.report.csv_files import write_csv
from dialog_policy.report.html import html_report
from dialog_policy.report.markdown import markdown_report
from dialog_policy.report.plots import plots_of, write_plots
from dialog_policy.report.terminal import show, text_report

__all__ = ["html_report", "markdown_report", "plots_of", "show", "text_report", "write_csv", "write_plots"]
