"""What reports say of an off-policy value: its tables and sentences, chosen and put into words."""

from __future__ import annotations

from dialog_policy.errors import counted
from dialog_policy.ope.result import OffPolicyValue
from dialog_policy.report.document import Document, Paragraph, Section, Table
from dialog_policy.report.words import (
    interval_or_dash,
    number,
    rate,
    run_sentence,
    signed_number,
    size_of,
)

__all__ = ["about", "document", "estimates_table", "overlap_sentences", "propensities_sentence"]

LOGGING_POLICY = "logging policy"


def document(result: OffPolicyValue) -> Document:
    """Return what a policy would have been worth, and how far the log can tell.

    Parameters
    ----------
    result
        The off-policy value.
    """
    return Document(
        title=size_of(result, "decision", "decisions"),
        warnings=result.warnings,
        about=about(result),
        sections=[
            Section(parts=[Paragraph(result.conclusion, strong=True)]),
            Section(title="Estimates", parts=[estimates_table(result)]),
            Section(title="Overlap", parts=[Paragraph(" ".join(overlap_sentences(result)))]),
        ],
    )


def about(result: OffPolicyValue) -> list[str]:
    """Return sentences on what was estimated of whom, and how."""
    run = run_sentence(result.run)
    policy = "The policy" if result.policy == "the policy" else f"The policy “{result.policy}”"
    discount = "" if result.gamma == 1 else f", with discount {number(result.gamma)}"
    clip = "" if result.clip is None else f"; weights are clipped at {number(result.clip)}"
    sentences = [
        f"{policy} {result.acts}. There is a reward for each {result.rewarded}{discount}{clip}.",
        propensities_sentence(result),
    ]
    return [run, *sentences] if run else sentences


def propensities_sentence(result: OffPolicyValue) -> str:
    """Return where the propensities come from."""
    origin = result.propensities
    if origin.source == "logged":
        return "The propensities are those of the log."
    return (
        f"The propensities are estimated: cross-entropy {rate(origin.log_loss)} (from the shares of the action sets alone "
        f"{rate(origin.log_loss_of_shares)}), expected calibration error {rate(origin.ece)}."
    )


def estimates_table(result: OffPolicyValue, *, reasons: bool = False) -> Table:
    """Return the value by every estimator; with `reasons`, why some are refused."""
    logged = result.logged
    header = ["estimator", "value", "95 % CI", "difference from the log", "95 % CI"]
    rows: list[list[object]] = [[LOGGING_POLICY, number(logged.value), interval_or_dash(logged.ci95, number), "", ""]]
    for row in result.estimates:
        if row.refused is None:
            rows.append(
                [
                    row.name,
                    number(row.value),
                    interval_or_dash(row.ci95, number),
                    signed_number(row.difference),
                    interval_or_dash(row.difference_ci95, signed_number),
                ]
            )
        else:
            rows.append([row.name, "refused", "", "", ""])
    if reasons:
        header.append("effective sample size, or the reason for refusal")
        rows[0].append("")
        for cells, row in zip(rows[1:], result.estimates, strict=True):
            refused, size = row.refused, row.effective_sample_size
            cells.append(refused if refused is not None else f"{size:.1f}")
    return Table(title="Estimates", header=header, rows=rows)


def overlap_sentences(result: OffPolicyValue) -> list[str]:
    """Return sentences on how much of the log bears on the policy."""
    overlap = result.overlap
    dialogues = counted(result.dialogues, "dialogue")
    sentences = [
        f"The policy agrees with the log in {100 * overlap.agreement:.1f} % of the decisions on average.",
        f"The effective sample size is {overlap.effective_sample_size:.1f} of {dialogues}.",
        f"The mean weight is {number(overlap.mean_weight)}, 95 % CI {interval_or_dash(overlap.mean_weight_ci95, number)}; "
        "it is 1 where the log covers the policy.",
    ]
    if overlap.pareto_k is not None:
        sentences.append(
            f"Pareto k of the weights is {overlap.pareto_k:.2f}; from {overlap.pareto_k_limit:.2f} on, their mean is "
            "not reliable."
        )
    if result.clip is not None:
        clipped = overlap.clipped_dialogues
        have = "has" if clipped == 1 else "have"
        sentences.append(f"{counted(clipped, 'dialogue')} {have} a clipped weight, which biases the estimates.")
    return sentences
