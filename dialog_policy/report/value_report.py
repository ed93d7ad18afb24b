"""An off-policy value for the browser: one self-contained page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dialog_policy.report.page import render
from dialog_policy.report.value_plots import value_plots

__all__ = ["value_page"]


def value_page(result: Mapping[str, Any]) -> str:
    """Return the page.

    Parameters
    ----------
    result
        What :func:`~dialog_policy.ope.estimate_value` returned.

    Raises
    ------
    MissingExtraError
        If the extra `report` is not installed.
    """
    by_key = {row["estimator"]: row for row in result["estimates"]}
    return render(
        "value.html",
        value_plots(result),
        title=f"{result['policy']}: value on {result['corpus']}",
        numbers=result,
        r=result,
        chosen=by_key.get(result["rests_on"]),
        rows=[_estimate(row) for row in result["estimates"]],
    )


def _estimate(row: Mapping[str, Any]) -> list[Any]:
    if row["refused"] is not None:
        return [row["name"], "refused", "", "", "", row["refused"]]
    return [
        row["name"],
        f"{row['value']:.4g}",
        _ends(row["ci95"]),
        f"{row['difference']:+.4g}",
        _ends(row["difference_ci95"]),
        f"{row['effective_sample_size']:.1f}",
    ]


def _ends(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.4g} to {ends[1]:.4g}"
