"""The report for the terminal."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from dialog_policy.report.names import COLUMNS, FIELDS, METRICS, action_set, policy_name
from dialog_policy.report.width import left, right, width, wrap

__all__ = ["table", "terminal", "text_report"]

_BOLD, _DIM, _PLAIN = "\033[1m", "\033[2m", "\033[0m"
_COMMANDS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SHOWN = 5
# A slice of fewer turns is an extreme by chance.
_SLICE_TURNS = 30
_NARROWEST = 16


def terminal() -> dict[str, Any]:
    """Return what :func:`text_report` should know of stdout: its columns, and whether it takes colours.

    Colours are for a terminal only, and not where NO_COLOR is set (https://no-color.org).
    """
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return {"columns": shutil.get_terminal_size((100, 24)).columns, "colour": colour}


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, columns: int = 100, colour: bool = False
) -> list[str]:
    """Return the lines of a table: the first column to the left and, where there is no room, on several lines."""
    header, rows = [*map(_plain, header)], [[*map(_plain, row)] for row in rows]
    widths = [max(map(width, cells)) for cells in zip(header, *rows, strict=True)]
    widths[0] = min(widths[0], max(_NARROWEST, columns - sum(w + 2 for w in widths[1:])))
    lines = []
    for number, row in enumerate([header, *rows]):
        first, *more = wrap(row[0], widths[0])
        cells = [right(cell, w) for cell, w in zip(row[1:], widths[1:], strict=True)]
        shown = [left(first, widths[0]) + "".join("  " + cell for cell in cells), *more]
        lines += [_styled(line.rstrip(), _DIM, colour and not number) for line in shown]
        if not number:
            lines.append(_styled("  ".join("─" * w for w in widths), _DIM, colour))
    return lines


def _plain(text: str) -> str:
    """Mark what a terminal would obey instead of showing it."""
    return _COMMANDS.sub("\ufffd", text)


def _styled(text: str, style: str, on: bool) -> str:
    return f"{style}{text}{_PLAIN}" if on else text


def text_report(result: Mapping[str, Any], *, columns: int = 100, colour: bool = False) -> str:
    """Return what matters most: the figures next to the baselines', accuracy by length, the weakest slices, mistakes.

    Parameters
    ----------
    result
        The JSON object of ``score`` or ``evaluate``.
    columns
        Width of the terminal.
    colour
        Whether headings stand out by terminal codes.
    """
    size: dict[str, Any] = {"columns": columns, "colour": colour}
    mode = f", {result['mode']}" if "mode" in result else ""
    head = (
        f"{result['corpus']}, split {result['split']}: {result['dialogues']} dialogues, {result['turns']} turns{mode}"
    )
    lines = [_styled(head, _BOLD, colour), ""]
    lines += table(["", *COLUMNS.values()], _policies(result), **size)
    if measures := _measures(result):
        lines += ["", *_wrapped(measures, columns)]

    def section(title: str, found: Sequence[str]) -> None:
        if found:
            lines.extend(["", _styled(title, _BOLD, colour), *found])

    section("By length of the dialogue, in turns to predict", _by_length(result, size))
    section("Weakest slices", _slices(result, size))
    section("Most frequent mistakes", _mistakes(result, size))
    return "\n".join(lines)


def _wrapped(sentences: Sequence[str], columns: int) -> list[str]:
    return [line for sentence in sentences for line in wrap(sentence, columns)]


def _figures(scores: Mapping[str, Any]) -> list[str]:
    return [f"{scores[name]:.3f}" for name in COLUMNS]


def _interval(ends: Sequence[float] | None) -> str:
    return "" if not ends else f"{ends[0]:.3f}–{ends[1]:.3f}"


def _policies(result: Mapping[str, Any]) -> list[list[str]]:
    rows = [["this policy", *_figures(result)]]
    if result["ci95"]:
        for end, label in enumerate(("  at 95 %, from", "  to")):
            rows.append([label, *(f"{result['ci95'][name][end]:.3f}" for name in COLUMNS)])
    return rows + [[policy_name(name), *_figures(scores)] for name, scores in result["baselines"].items()]


def _measures(result: Mapping[str, Any]) -> list[str]:
    found = []
    if "top_k" in result:
        shares = ", ".join(f"{share:.3f} of {k}" for k, share in result["top_k"].items())
        found.append(f"all true actions among the likeliest: {shares}")
    sure = [f"{METRICS[key]} {result[key]:.3f}" for key in ("log_loss", "brier") if key in result]
    if "calibration" in result:
        sure.append(f"{METRICS['ece']} {result['calibration']['ece']:.3f}")
    if sure:
        found.append(", ".join(sure))
    if "response_accuracy" in result:
        found.append(f"response accuracy (the reply's text, values filled in): {result['response_accuracy']:.4f}")
    if result["unseen_action_turns"]:
        found.append(f"turns with an action that training never showed: {result['unseen_action_turns']}")
    return found


def _by_length(result: Mapping[str, Any], size: Mapping[str, Any]) -> list[str]:
    rows = [
        [
            row["length"],
            str(row["dialogues"]),
            str(row["turns"]),
            f"{row['turn_accuracy']:.3f}",
            _interval(row.get("ci95")),
            f"{row['dialogue_accuracy']:.3f}",
        ]
        for row in result["by_length"]
    ]
    header = ["length", "dialogues", "turns", "turns right", "95 % interval", "dialogues right"]
    if not any(row[4] for row in rows):
        header, rows = header[:4] + header[5:], [row[:4] + row[5:] for row in rows]
    return table(header, rows, **size)


def _slices(result: Mapping[str, Any], size: Mapping[str, Any]) -> list[str]:
    usual = [row for row in result.get("slices", ()) if row["turns"] >= _SLICE_TURNS]
    weakest = sorted(usual, key=lambda row: row["turn_accuracy"])[:_SHOWN]
    rows = [
        [
            f"{FIELDS.get(row['field'], row['field'])}: {row['value']}",
            str(row["turns"]),
            f"{row['turn_accuracy']:.3f}",
            _interval((row.get("ci95") or {}).get("turn_accuracy")),
        ]
        for row in weakest
    ]
    return table(["slice", "turns", "turns right", "95 % interval"], rows, **size) if rows else []


def _mistakes(result: Mapping[str, Any], size: Mapping[str, Any]) -> list[str]:
    found = result.get("mistakes")
    if not found or not found["confusions"]:
        return []
    rows = [
        [f"{action_set(row['gold'])} → {action_set(row['predicted'])}", f"{row['turns']} of {row['gold_turns']}"]
        for row in found["confusions"][:_SHOWN]
    ]
    said = []
    if found["never_predicted"]:
        said.append(f"actions that occur and are never predicted: {len(found['never_predicted'])}")
    bound = found["contradictions"]["recent"]
    if bound["max_accuracy"] is not None:
        said.append(f"turn accuracy at most {bound['max_accuracy']:.3f}, seeing only {bound['history']}")
    return [*table(["true → predicted", "turns"], rows, **size), *_wrapped(said, size["columns"])]
