"""What reports say of an evaluation: its tables and sentences, chosen and put into words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from dialog_policy.errors import counted
from dialog_policy.evaluation.evaluation import Evaluation, Metrics
from dialog_policy.evaluation.mistakes import Mistakes
from dialog_policy.metric_names import MAIN_METRICS
from dialog_policy.report.document import Document, Paragraph, Section, Table
from dialog_policy.report.groups import LEAST_TURNS, is_small
from dialog_policy.report.words import (
    FIELDS,
    MODES,
    Estimate,
    action_set,
    interval,
    metric_name,
    policy_name,
    rate,
    run_sentence,
    size_of,
)

__all__ = [
    "actions_table",
    "confusions_table",
    "document",
    "lengths_table",
    "policies_table",
    "probabilities_table",
    "slices_table",
    "top_k_sentence",
    "unseen_sentence",
]

THIS_POLICY = "this policy"
_SHOWN = 5


def document(result: Evaluation, *, intervals: Literal["rows", "cells"] = "rows") -> Document:
    """Return what matters most of an evaluation: the metrics beside the baselines', then where the policy is weak.

    Parameters
    ----------
    result
        The evaluation.
    intervals
        Whether confidence intervals of metrics are rows of their own, for this policy, or stand in the cells, for all.
    """
    mode = f", {MODES.get(result.mode, result.mode)}" if result.mode else ""
    run = run_sentence(result.run)
    figures: list[Paragraph | Table] = [policies_table(result, intervals=intervals)]
    if (probabilities := probabilities_table(result)).rows:
        figures.append(probabilities)
    if top := top_k_sentence(result):
        figures.append(Paragraph(top))
    if unseen := unseen_sentence(result):
        figures.append(Paragraph(unseen))
    sections = [
        Section(parts=figures),
        Section(title="Turn accuracy by length of the dialogue", parts=[lengths_table(result)], detail=True),
    ]
    if result.slices:
        sections.append(Section(title="Groups of turns with the lowest accuracy", parts=_weakest(result), detail=True))
    if mistakes := _mistakes(result.mistakes):
        sections.append(Section(title="Most frequent mistakes", parts=mistakes, detail=True))
    return Document(
        title=size_of(result) + mode,
        warnings=result.warnings,
        about=[run] if run else [],
        sections=sections,
    )


def policies_table(result: Evaluation, *, intervals: Literal["rows", "cells", "none"]) -> Table:
    """Return the headline metrics of this policy and of the baselines."""
    scores: dict[str, Metrics] = {
        THIS_POLICY: result,
        **{policy_name(name): row for name, row in result.baselines.items()},
    }
    rows: list[list[object]] = []
    for name, row in scores.items():
        ends = row.ci95 or {}
        in_cells = ends if intervals == "cells" else {}
        rows.append([name, *(Estimate(getattr(row, metric), in_cells.get(metric)) for metric in MAIN_METRICS)])
        if intervals == "rows" and row is result and ends:
            rows += [
                [f"  95 % CI, {end}", *(ends[metric][place] for metric in MAIN_METRICS)]
                for place, end in enumerate(("lower", "upper"))
            ]
    header = ["policy", *map(metric_name, MAIN_METRICS)]
    return Table(title="Metrics of the policy and of the baselines", header=header, rows=rows)


def probabilities_table(result: Evaluation) -> Table:
    """Return the metrics of the predicted probabilities, of calibration and of the replies: those that there are."""
    tops = {"set_top_k": result.set_top_k, "top_k": result.top_k}
    values: dict[str, float] = {f"{name}.{k}": share for name, top in tops.items() for k, share in (top or {}).items()}
    measures = ("set_negative_log_likelihood", "log_loss", "brier")
    values |= {key: figure for key in measures if (figure := getattr(result, key)) is not None}
    if result.calibration is not None:
        values["ece"] = result.calibration.ece
    if result.response_accuracy is not None:
        values["response_accuracy"] = result.response_accuracy
    ends = result.ci95 or {}
    return Table(
        title="Metrics of the probabilities and replies",
        header=["metric", "value", "95 % CI"],
        rows=[
            [metric_name(key, exclusive=result.actions_exclude_each_other), value, interval(ends.get(key))]
            for key, value in values.items()
        ],
    )


def top_k_sentence(result: Evaluation) -> str:
    """Return what top-k accuracy means where turns may have several actions; nothing where it needs no words."""
    if result.top_k is None or result.actions_exclude_each_other:
        return ""
    return "A turn counts for top-k accuracy if all of its true actions are among the k most probable ones."


def unseen_sentence(result: Evaluation) -> str:
    """Return a sentence about turns that no policy trained on this part could get right; nothing if there are none."""
    turns = result.unseen_action_turns
    if not turns:
        return ""
    have, count = ("has", "counts") if turns == 1 else ("have", "count")
    return f"{counted(turns, 'turn')} {have} an action that does not occur in training and {count} as wrong."


def lengths_table(result: Evaluation) -> Table:
    """Return accuracy by the number of turns to predict."""
    rows = [
        [
            row.length,
            row.dialogues,
            row.turns,
            row.turn_accuracy,
            interval(row.ci95),
            row.dialogue_accuracy,
            "small" if is_small(row) else "",
        ]
        for row in result.by_length
    ]
    header = ["turns to predict", "dialogues", "turns", "turn accuracy", "95 % CI", "dialogue accuracy", "note"]
    return _without_empty(Table(title="Accuracy by length of the dialogue", header=header, rows=rows))


def slices_table(result: Evaluation) -> Table:
    """Return the accuracy of every group of turns."""
    rows = [
        [
            FIELDS.get(row.field, row.field),
            row.value,
            row.dialogues,
            row.turns,
            row.turn_accuracy,
            interval(row.ci95.get("turn_accuracy")),
            row.micro_f1,
            interval(row.ci95.get("micro_f1")),
            "small" if is_small(row) else "",
        ]
        for row in result.slices
    ]
    header = ["grouped by", "value", "dialogues", "turns", "turn accuracy", "95 % CI", "micro F1", "95 % CI", "note"]
    return _without_empty(Table(title="Groups of turns", header=header, rows=rows, left=(0, 1)))


def _weakest(result: Evaluation) -> list[Paragraph | Table]:
    usual = [row for row in result.slices if not is_small(row)]
    left_out = len(result.slices) - len(usual)
    weakest = sorted(usual, key=lambda row: float(row.turn_accuracy))[:_SHOWN]
    rows = [
        [
            f"{FIELDS.get(row.field, row.field)}: {row.value}",
            row.turns,
            row.turn_accuracy,
            interval(row.ci95.get("turn_accuracy")),
        ]
        for row in weakest
    ]
    header = ["group", "turns", "turn accuracy", "95 % CI"]
    parts: list[Paragraph | Table] = []
    if rows:
        parts.append(_without_empty(Table(title="Groups with the lowest accuracy", header=header, rows=rows)))
    if left_out:
        are = "is" if left_out == 1 else "are"
        groups = counted(left_out, "group")
        parts.append(Paragraph(f"{groups} of fewer than {LEAST_TURNS} turns {are} too small to be ranked."))
    return parts


def actions_table(result: Evaluation) -> Table:
    """Return the metrics of every action."""
    rows = [
        [
            row.action,
            row.support,
            row.predicted,
            row.precision,
            row.recall,
            row.f1,
            interval(row.ci95),
            row.average_precision,
        ]
        for row in result.by_action
    ]
    header = ["action", "turns", "predicted", "precision", "recall", "F1", "95 % CI", "average precision"]
    return _without_empty(Table(title="Actions", header=header, rows=rows))


def confusions_table(mistakes: Mistakes) -> Table:
    """Return which action sets were predicted instead of which."""
    rows = [
        [
            action_set(row.gold),
            action_set(row.predicted),
            row.turns,
            row.turns / row.gold_turns,
            row.dialogue,
            row.turn,
        ]
        for row in mistakes.confusions
    ]
    header = [
        "true actions",
        "predicted instead",
        "turns",
        "share of the true set's turns",
        "first in dialogue",
        "turn",
    ]
    return Table(title="Confusions", header=header, rows=rows, left=(0, 1))


def _mistakes(mistakes: Mistakes | None) -> list[Paragraph | Table]:
    if not mistakes or not mistakes.confusions:
        return []
    rows = [
        [action_set(row.gold), action_set(row.predicted), f"{row.turns:,} of {row.gold_turns:,}"]
        for row in mistakes.confusions[:_SHOWN]
    ]
    header = ["true actions", "predicted instead", "turns"]
    parts: list[Paragraph | Table] = [Table(title="Most frequent mistakes", header=header, rows=rows, left=(0, 1))]
    if never := len(mistakes.never_predicted):
        verb = "occurs but is" if never == 1 else "occur but are"
        parts.append(Paragraph(f"{counted(never, 'action')} {verb} never predicted."))
    bound = mistakes.contradictions.recent
    if bound.max_accuracy is not None:
        parts.append(
            Paragraph(
                f"A policy that sees only {bound.history} cannot exceed a turn accuracy of {rate(bound.max_accuracy)}: "
                "the same history is followed by different actions."
            )
        )
    return parts


def _without_empty(table: Table) -> Table:
    """Leave out columns in which no row has anything."""
    kept: Sequence[int] = [
        column for column in range(len(table.header)) if any(row[column] not in ("", None) for row in table.rows)
    ]
    return Table(
        title=table.title,
        header=[table.header[column] for column in kept],
        rows=[[row[column] for column in kept] for row in table.rows],
        left=[kept.index(column) for column in table.left if column in kept],
    )
