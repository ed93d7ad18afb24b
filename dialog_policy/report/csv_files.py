"""The numbers of a result as CSV files, one a list."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dialog_policy.comparison.result import Comparison
from dialog_policy.evaluation.evaluation import Evaluation
from dialog_policy.files import write_file
from dialog_policy.report.evaluation import THIS_POLICY
from dialog_policy.report.subjects import Result, check_result, warnings_of

__all__ = ["numbers", "write_csv"]


def numbers(document: Mapping[str, Any]) -> dict[str, float]:
    """Return every single figure of the JSON object of a result by its name; one in another object as ``object.name``.

    Not those of lists, intervals and mistakes.
    """
    figures: dict[str, float] = {}
    for name, value in document.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            figures[name] = value
        elif isinstance(value, Mapping) and name not in ("ci95", "mistakes"):
            figures.update({f"{name}.{inner}": figure for inner, figure in numbers(value).items()})
    return figures


def write_csv(
    result: Result,
    folder: str | os.PathLike[str],
    *,
    history: Sequence[Mapping[str, float]] | None = None,
) -> list[Path]:
    """Write ``metrics.csv`` and one file for each list of a result; return the files.

    An interval becomes the columns ``low`` and ``high``, or ``<figure>_low`` and ``<figure>_high`` where a row has several; a
    list of names is joined by ``|``. Where the result has warnings, they are the first column of ``metrics.csv``, in every row.

    Parameters
    ----------
    result
        An evaluation, a comparison, an off-policy value or the summary of a corpus.
    folder
        Made if it is missing.
    history
        The training's epochs, if they are to be written.

    Raises
    ------
    OptionError
        If a file cannot be written.
    """
    check_result(result)
    document = result.to_json()
    tables = {"metrics": _metrics(result, document)}
    for name, value in document.items():
        if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
            tables[name] = [_flat(row) for row in value]
    for name in ("calibration", "calibration_bits"):
        if name in document:
            tables[name] = [_flat(row) for row in document[name]["bins"]]
    curves = [
        {"action": row["action"], "recall": recall, "precision": precision}
        for row in document.get("by_action", ())
        for recall, precision in row.get("precision_recall", ())
    ]
    if curves:
        tables["precision_recall"] = curves
    if history:
        tables["history"] = [dict(epoch) for epoch in history]
    return [_write(Path(folder) / f"{name}.csv", rows) for name, rows in tables.items()]


def _metrics(result: Result, document: Mapping[str, Any]) -> list[dict[str, Any]]:
    if isinstance(result, Comparison):
        scores = {row["name"]: row for row in document["policies"]}
    elif isinstance(result, Evaluation):
        scores = {THIS_POLICY: document, **document["baselines"]}
    else:
        scores = {document.get("policy", result.corpus): document}
    warnings = " ".join(warnings_of(result))
    rows = []
    for policy, own in scores.items():
        figures = numbers({name: value for name, value in own.items() if name != "baselines"})
        for metric, value in figures.items():
            low, high = own.get("ci95", {}).get(metric) or (None, None)
            row = {"policy": policy, "metric": metric, "value": value, "low": low, "high": high}
            rows.append({"warning": warnings, **row} if warnings else row)
    return rows


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if name.endswith("ci95") and not isinstance(value, Mapping):
            figure = name.removesuffix("ci95")  # such as difference_
            flat[f"{figure}low"], flat[f"{figure}high"] = value or (None, None)
        elif name.endswith("ci95"):
            for figure, ends in value.items():
                flat[f"{figure}_low"], flat[f"{figure}_high"] = ends or (None, None)
        elif isinstance(value, list):
            if all(isinstance(item, str) for item in value):
                flat[name] = "|".join(value)
        elif isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": item for inner, item in value.items() if not isinstance(item, list | Mapping)}
        else:
            flat[name] = value
    return flat


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    lines = list(rows)
    columns = list(dict.fromkeys(name for row in lines for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    write_file(path, text.getvalue())
    return path
