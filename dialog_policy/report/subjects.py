"""Which of the four subjects a result is about: an evaluation, a comparison, an off-policy value or a corpus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from dialog_policy.report import comparison, corpus, evaluation, value
from dialog_policy.report.document import Document

__all__ = ["document_of", "subject_of"]

Subject = Literal["evaluation", "comparison", "value", "corpus"]


def subject_of(result: Mapping[str, Any]) -> Subject:
    """Return what a JSON object of ``evaluate``, ``score``, ``compare``, ``value`` or ``inspect`` is about."""
    if "pairs" in result:
        return "comparison"
    if "estimates" in result:
        return "value"
    return "corpus" if "co_occurrence" in result else "evaluation"


def document_of(result: Mapping[str, Any], *, intervals: Literal["rows", "cells"] = "rows") -> Document:
    """Return a result in sentences and tables.

    Parameters
    ----------
    result
        The JSON object of ``evaluate``, ``score``, ``compare``, ``value`` or ``inspect``.
    intervals
        Where an evaluation's confidence intervals stand.
    """
    subject = subject_of(result)
    if subject == "evaluation":
        return evaluation.document(result, intervals=intervals)
    describe: dict[str, Callable[[Mapping[str, Any]], Document]] = {
        "comparison": comparison.document,
        "value": value.document,
        "corpus": corpus.document,
    }
    return describe[subject](result)
