"""What reports say of a comparison of policies: its tables and sentences, chosen and put into words."""

from __future__ import annotations

from collections.abc import Iterable

from dialog_policy.comparison.result import Comparison, CurvePoint, PolicyDifference, curve_steps
from dialog_policy.errors import counted
from dialog_policy.report.document import Document, Paragraph, Section, Table
from dialog_policy.report.words import (
    LOWER_IS_BETTER,
    Estimate,
    action_set,
    interval_or_dash,
    metric_name,
    number,
    p_value,
    rate,
    run_sentence,
    signed,
    size_of,
)

__all__ = [
    "curve_table",
    "dialogues_table",
    "document",
    "pairs_table",
    "policies_table",
    "runs_of",
    "verdicts",
]

# Turns shown of those that one policy gets right and the other wrong; the JSON has all.
_SHOWN = 3


def document(result: Comparison) -> Document:
    """Return which policy is better, how sure that is, and where they differ.

    Parameters
    ----------
    result
        The comparison.
    """
    sections = [
        Section(parts=[Paragraph(sentence, strong=True) for sentence in verdicts(result)]),
        Section(title="Policies", parts=[policies_table(result)]),
        Section(title="Differences", parts=[pairs_table(result, short=True), Paragraph(_TEST)]),
        Section(title="Dialogues with every turn right", parts=[dialogues_table(result)]),
        Section(title="Turns that only one of two policies gets right", parts=_disagreements(result), detail=True),
    ]
    if result.curve:
        sections.append(Section(title="Learning curve", parts=[curve_table(result.curve)]))
    return Document(title=size_of(result), warnings=result.warnings, about=runs_of(result), sections=sections)


_TEST = (
    "95 % CI: bootstrap over dialogues. p: randomisation test over dialogues; Holm: corrected for the number of pairs. "
    "Effect size d: the difference in standard deviations of what one dialogue adds."
)


def runs_of(result: Comparison) -> list[str]:
    """Return a sentence for each policy that is a run."""
    sentences = (run_sentence(row.run) for row in result.policies)
    return [sentence for sentence in dict.fromkeys(sentences) if sentence]


def verdicts(result: Comparison) -> list[str]:
    """Return a sentence for each pair: which policy is better by the first metric, or that the data cannot tell."""
    return [_verdict(row) for row in result.pairs if row.metric == result.metrics[0]]


def _verdict(row: PolicyDifference) -> str:
    metric = metric_name(row.metric)
    evidence = (
        f"difference {signed(row.difference)}, 95 % CI {interval_or_dash(row.ci95, signed)}, "
        f"p {_equals(row.p_holm)} after Holm's correction"
    )
    if not row.is_significant:
        return f"The data do not show which of {row.a} and {row.b} is better in {metric} ({evidence})."
    better = (row.difference > 0) != (row.metric in LOWER_IS_BETTER)
    return f"{row.a} is {'better' if better else 'worse'} than {row.b} in {metric} ({evidence})."


def _equals(p: float) -> str:
    return written if (written := p_value(p)).startswith("<") else f"= {written}"


def policies_table(result: Comparison) -> Table:
    """Return the metrics of every policy."""
    rows = [[row.name, *(Estimate(getattr(row, m), row.ci95[m]) for m in result.metrics)] for row in result.policies]
    header = ["policy", *map(metric_name, result.metrics)]
    return Table(title="Policies, with 95 % CI", header=header, rows=rows)


def pairs_table(result: Comparison, *, short: bool = False) -> Table:
    """Return the difference of every pair in every metric; without some columns where it is to be `short`."""
    header = ["difference of", "metric", "difference", "95 % CI", "p", "p (Holm)", "effect size d"]
    rows: list[list[object]] = [
        [
            f"{row.a} − {row.b}",
            metric_name(row.metric),
            signed(row.difference),
            interval_or_dash(row.ci95, signed),
            p_value(row.p_randomisation),
            p_value(row.p_holm),
            "–" if row.effect_size is None else f"{row.effect_size:+.2f}",
        ]
        for row in result.pairs
    ]
    if not short:
        header += ["p (bootstrap)", "dialogues better / worse"]
        for row, cells in zip(result.pairs, rows, strict=True):
            cells += [p_value(row.p_bootstrap), f"{row.dialogues_better} / {row.dialogues_worse}"]
    return Table(title="Differences", header=header, rows=rows, left=(0, 1))


def dialogues_table(result: Comparison) -> Table:
    """Return how many dialogues each policy of a pair gets right from the first turn to the last."""
    rows = [
        [
            f"{row.a} and {row.b}",
            len(row.a_only),
            len(row.b_only),
            row.both,
            row.neither,
            p_value(row.p),
            p_value(row.p_holm),
        ]
        for row in result.mcnemar
    ]
    header = ["policies", "only the first", "only the second", "both", "neither", "p (exact McNemar)", "p (Holm)"]
    return Table(title="Dialogues with every turn right", header=header, rows=rows)


def _disagreements(result: Comparison) -> list[Paragraph | Table]:
    parts: list[Paragraph | Table] = []
    for pair in result.mcnemar:
        a, b = pair.a, pair.b
        turns = [row for row in result.disagreements if (row.a, row.b) == (a, b)]
        for right, wrong in ((a, b), (b, a)):
            own = [row for row in turns if row.right == right]
            first = f"; the first {_SHOWN} are shown" if len(own) > _SHOWN else ""
            parts.append(Paragraph(f"{right} is right and {wrong} wrong in {counted(len(own), 'turn')}{first}."))
            if own:
                title = f"Turns that {right} gets right and {wrong} wrong"
                header = ["dialogue and turn", "the user says", "true actions", f"{wrong} predicts"]
                rows: list[list[object]] = [
                    [
                        f"{row.dialogue}, {row.turn}",
                        row.user or "(nothing)",
                        action_set(row.gold),
                        action_set(row.predicted),
                    ]
                    for row in own[:_SHOWN]
                ]
                parts.append(Table(title=title, header=header, rows=rows, left=(0, 1, 2, 3)))
    return parts


def curve_table(points: Iterable[CurvePoint]) -> Table:
    """Return a learning curve: mean turn accuracy and its range over seeds for each share of training."""
    rows = [
        [
            step.policy,
            f"{number(100 * step.share)} %",
            step.dialogues,
            step.mean,
            f"{rate(step.lowest)} to {rate(step.highest)}",
            step.seeds,
        ]
        for step in curve_steps(points)
    ]
    header = ["policy", "share of training", "dialogues", "mean turn accuracy", "range over seeds", "seeds"]
    return Table(title="Learning curve", header=header, rows=rows)
