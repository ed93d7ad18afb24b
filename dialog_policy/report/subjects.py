"""The four subjects that a report may have: an evaluation, a comparison, an off-policy value or a corpus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from dialog_policy.comparison.result import Comparison
from dialog_policy.corpus.summary import CorpusSummary
from dialog_policy.errors import OptionError
from dialog_policy.evaluation.evaluation import Evaluation
from dialog_policy.ope.result import OffPolicyValue
from dialog_policy.report import comparison, corpus, evaluation, value
from dialog_policy.report.document import Document

__all__ = ["Result", "check_result", "document_of", "result_of", "warnings_of"]

Result: TypeAlias = Evaluation | Comparison | OffPolicyValue | CorpusSummary


def result_of(document: Mapping[str, Any]) -> Result:
    """Return the result that a JSON object of ``evaluate``, ``score``, ``compare``, ``value`` or ``inspect`` describes.

    Raises
    ------
    OptionError
        If it is none of these.
    """
    kind: type[Result] = Evaluation
    for key, other in (("pairs", Comparison), ("estimates", OffPolicyValue), ("co_occurrence", CorpusSummary)):
        if key in document:
            kind = other
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise OptionError(
            f"expected a JSON object that evaluate, score, compare, value or inspect of this version wrote; {error}."
        ) from None


def check_result(result: object) -> None:
    """Refuse what is no result.

    Raises
    ------
    OptionError
        If it is something else, such as a JSON object.
    """
    if not isinstance(result, Evaluation | Comparison | OffPolicyValue | CorpusSummary):
        raise OptionError(
            "expected an Evaluation, a Comparison, an OffPolicyValue or a CorpusSummary; "
            f"found {type(result).__name__}. dialog_policy.report.result_of makes one of a JSON object."
        )


def warnings_of(result: Result) -> list[str]:
    """Return what the reader has to know before any figure."""
    return [] if isinstance(result, CorpusSummary) else result.warnings


def document_of(result: Result, *, intervals: Literal["rows", "cells"] = "rows") -> Document:
    """Return a result in sentences and tables.

    Parameters
    ----------
    result
        An evaluation, a comparison, an off-policy value or the summary of a corpus.
    intervals
        Where an evaluation's confidence intervals stand.
    """
    check_result(result)
    if isinstance(result, Evaluation):
        return evaluation.document(result, intervals=intervals)
    if isinstance(result, Comparison):
        return comparison.document(result)
    return value.document(result) if isinstance(result, OffPolicyValue) else corpus.document(result)
