"""The numbers of a report as CSV files, one a list."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dialog_policy.files import atomic_write

__all__ = ["numbers", "write_tables"]

_POLICY = "this policy"
_LISTS = ("by_length", "by_turn", "by_action", "slices")


def numbers(result: Mapping[str, Any]) -> dict[str, float]:
    """Return every single figure of a report by its name; one in another object as ``object.name``.

    Not those of lists, intervals and mistakes.
    """
    found: dict[str, float] = {}
    for name, value in result.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = value
        elif isinstance(value, Mapping) and name not in ("ci95", "mistakes"):
            found.update({f"{name}.{inner}": number for inner, number in numbers(value).items()})
    return found


def write_tables(
    result: Mapping[str, Any],
    folder: str | os.PathLike[str],
    *,
    history: Sequence[Mapping[str, float]] | None = None,
) -> list[Path]:
    """Write ``metrics.csv`` and one file for each list of a report; return the files.

    An interval becomes the columns ``low`` and ``high``, or ``<figure>_low`` and ``<figure>_high`` where a row has several.

    Parameters
    ----------
    result
        What :func:`~dialog_policy.evaluation.metrics.score_predictions` returned.
    folder
        Made if it is missing.
    history
        The training's epochs, if they are to be written.
    """
    tables: dict[str, list[dict[str, Any]]] = {"metrics": _metrics(result)}
    tables.update({name: [_flat(row) for row in result[name]] for name in _LISTS if name in result})
    for name in ("calibration", "calibration_bits"):
        if name in result:
            tables[name] = [_flat(row) for row in result[name]["bins"]]
    curves = [
        {"action": row["action"], "recall": recall, "precision": precision}
        for row in result.get("by_action", ())
        for recall, precision in row.get("precision_recall", ())
    ]
    if curves:
        tables["precision_recall"] = curves
    if history:
        tables["history"] = [dict(epoch) for epoch in history]
    return [_write(Path(folder) / f"{name}.csv", rows) for name, rows in tables.items()]


def _metrics(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    baselines: Mapping[str, Any] = result.get("baselines", {})
    for policy, scores in {_POLICY: result, **baselines}.items():
        own = {name: value for name, value in scores.items() if name != "baselines"}
        for metric, value in numbers(own).items():
            low, high = scores.get("ci95", {}).get(metric, (None, None))
            rows.append({"policy": policy, "metric": metric, "value": value, "low": low, "high": high})
    return rows


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    flat = {name: value for name, value in row.items() if name not in ("ci95", "precision_recall")}
    interval = row.get("ci95")
    if isinstance(interval, Mapping):
        for name, (low, high) in interval.items():
            flat |= {f"{name}_low": low, f"{name}_high": high}
    elif interval is not None:
        flat["low"], flat["high"] = interval
    return flat


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    found = list(rows)
    columns = list(dict.fromkeys(name for row in found for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())
    return path
