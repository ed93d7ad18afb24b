"""The value of a policy for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dialog_policy.report.text_report import table

__all__ = ["value_table"]


def value_table(result: Mapping[str, Any], *, columns: int = 100, colour: bool = False) -> str:
    """Return what :func:`~dialog_policy.ope.estimate_value` found as text."""
    discount = "" if result["gamma"] == 1 else f", discount {result['gamma']:g}"
    clip = "" if result["clip"] is None else f", weights clipped at {result['clip']:g}"
    lines = [
        f"{result['corpus']}, split {result['split']}: {result['dialogues']} dialogues, {result['turns']} decisions, "
        f"a reward each {result['rewarded']}{discount}{clip}",
        f"{result['policy']} {result['acts']}; propensities {_propensities(result['propensities'])}",
        "",
    ]
    logged = result["logged"]
    rows = [["the logging policy", f"{logged['value']:.4g}", _interval(logged["ci95"]), "", ""]]
    for row in result["estimates"]:
        if row["refused"] is None:
            against = [f"{row['difference']:+.4g}", _interval(row["difference_ci95"])]
            rows.append([row["name"], f"{row['value']:.4g}", _interval(row["ci95"]), *against])
        else:
            rows.append([row["name"], "refused", "", "", ""])
    lines += table(
        ["", "value", "95 % interval", "against the log", "95 % interval"], rows, columns=columns, colour=colour
    )
    overlap = result["overlap"]
    low, high = overlap["mean_weight_ci95"]
    k = "none" if overlap["pareto_k"] is None else f"{overlap['pareto_k']:.2f} (limit {overlap['pareto_k_limit']:.2f})"
    lines += [
        "",
        f"Effective sample size {overlap['effective_sample_size']:.1f} of {result['dialogues']} dialogues; "
        f"mean weight {overlap['mean_weight']:.3g} [{low:.3g}, {high:.3g}]; Pareto k {k}",
    ]
    if result["clip"] is not None:
        lines.append(f"{overlap['clipped_dialogues']} dialogues have a clipped weight: the estimates are biased by it.")
    return "\n".join([*lines, *result["warnings"], "", result["conclusion"]])


def _interval(bounds: Sequence[float]) -> str:
    return f"{bounds[0]:.4g} to {bounds[1]:.4g}"


def _propensities(about: Mapping[str, Any]) -> str:
    if about["from"] == "logged":
        return "as logged"
    return (
        f"estimated (log-loss {about['log_loss']:.3f}, of the shares alone {about['log_loss_of_shares']:.3f}; "
        f"calibration error {about['ece']:.3f})"
    )
