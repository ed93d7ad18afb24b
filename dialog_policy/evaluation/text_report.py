"""The report for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["BASELINE_NAMES", "COLUMNS", "text_report"]

BASELINE_NAMES = {
    "majority": "most frequent action set",
    "bigram": "most frequent after the previous set",
    "logreg_utterance": "logistic regression, last utterance",
    "logreg_history": "… and the previous system turn",
}
COLUMNS = {
    "turn_accuracy": "turns right",
    "dialogue_accuracy": "dialogues right",
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
}


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *others = (
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join([first, *others])

    return [line(header), "  ".join("─" * width for width in widths), *(line(row) for row in rows)]


def text_report(result: dict[str, Any]) -> str:
    """Return the headline figures next to the baselines', and turn accuracy by dialogue length, as text of ≤ 100 columns."""
    mode = f", {result['mode']}" if "mode" in result else ""
    lines = [
        f"{result['corpus']}, split {result['split']}: {result['dialogues']} dialogues, {result['turns']} turns{mode}",
        "",
    ]
    rows = [["this policy", *(f"{result[name]:.3f}" for name in COLUMNS)]]
    for name, scores in result["baselines"].items():
        rows.append([BASELINE_NAMES.get(name, name), *(f"{scores[column]:.3f}" for column in COLUMNS)])
    lines += _table(["", *COLUMNS.values()], rows)
    if "turn_accuracy" in result["ci95"]:
        low, high = result["ci95"]["turn_accuracy"]
        lines += ["", f"95 % interval of the turn accuracy, over dialogues: {low:.3f} to {high:.3f}"]
    if "response_accuracy" in result:
        lines.append(f"response accuracy (the reply's text, values filled in): {result['response_accuracy']:.4f}")
    if result["unseen_action_turns"]:
        lines.append(f"turns with an action that training never showed: {result['unseen_action_turns']}")
    lines += ["", "By length of the dialogue, in turns to predict:"]
    lines += _table(
        ["length", "dialogues", "turns", "turns right", "dialogues right"],
        [
            [
                row["length"],
                str(row["dialogues"]),
                str(row["turns"]),
                f"{row['turn_accuracy']:.3f}",
                f"{row['dialogue_accuracy']:.3f}",
            ]
            for row in result["by_length"]
        ],
    )
    return "\n".join(lines)
