"""A comparison for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dialog_policy.report.names import METRICS
from dialog_policy.report.text_report import table

__all__ = ["comparison_table"]

# Turns shown of those that one policy gets right and the other wrong; the JSON has all.
_SHOWN = 3


def comparison_table(result: Mapping[str, Any], *, columns: int = 100, colour: bool = False) -> str:
    """Return what :func:`~dialog_policy.comparison.compare.compare_policies` found as text."""
    metrics = result["metrics"]
    lines = [
        f"{result['corpus']}, split {result['split']}: {result['dialogues']} dialogues, {result['turns']} turns",
        "",
    ]
    rows = [[row["name"], *(_with_interval(row[m], row["ci95"][m]) for m in metrics)] for row in result["policies"]]
    lines += table(["", *(METRICS.get(m, m) for m in metrics)], rows, columns=columns, colour=colour)
    lines += [
        "",
        "Differences, with 95 % intervals over dialogues; p by randomisation, Holm's correction over the pairs",
    ]
    lines += table(
        ["", "", "difference", "95 % interval", "p", "p (Holm)", "effect d"],
        [
            [
                f"{row['a']} − {row['b']}",
                METRICS.get(row["metric"], row["metric"]),
                f"{row['difference']:+.3f}",
                f"{row['ci95'][0]:+.3f} to {row['ci95'][1]:+.3f}",
                _p(row["p_randomisation"]),
                _p(row["p_holm"]),
                "–" if row["effect_size"] is None else f"{row['effect_size']:+.2f}",
            ]
            for row in result["pairs"]
        ],
        columns=columns,
        colour=colour,
    )
    for row in result["mcnemar"]:
        lines += ["", *_pair(row, [d for d in result["disagreements"] if (d["a"], d["b"]) == (row["a"], row["b"])])]
    if "curve" in result:
        lines += ["", *curve_table(result["curve"], columns=columns, colour=colour)]
    return "\n".join(lines)


def _with_interval(value: float, bounds: Sequence[float]) -> str:
    return f"{value:.3f} [{bounds[0]:.3f}, {bounds[1]:.3f}]"


def _p(p: float) -> str:
    return f"{p:.4f}" if p >= 0.0001 else "<0.0001"


def _pair(row: Mapping[str, Any], turns: Sequence[Mapping[str, Any]]) -> list[str]:
    a, b = row["a"], row["b"]
    lines = [
        f"Dialogues all right: {a} alone {len(row['a_only'])}, {b} alone {len(row['b_only'])}, both {row['both']}, neither "
        f"{row['neither']}; exact McNemar p {_p(row['p'])}, with Holm's correction {_p(row['p_holm'])}"
    ]
    for right, wrong, key in ((a, b, "b_actions"), (b, a, "a_actions")):
        mine = [turn for turn in turns if turn["right"] == right]
        lines.append(f"Turns that {right} gets right and {wrong} wrong: {len(mine)}")
        for turn in mine[:_SHOWN]:
            lines.append(f"  {turn['dialogue']}, turn {turn['turn']}: {turn['user'] or '(nothing said)'}")
            lines.append(
                f"    right: {', '.join(turn['gold']) or '(none)'}; {wrong}: {', '.join(turn[key]) or '(none)'}"
            )
    return lines


def curve_table(rows: Sequence[Mapping[str, Any]], *, columns: int = 100, colour: bool = False) -> list[str]:
    """Return the lines of a learning curve: mean turn accuracy and its range over seeds for each share of training."""
    grouped: dict[tuple[str, float], list[Mapping[str, Any]]] = {}
    for row in rows:
        grouped.setdefault((row["policy"], row["share"]), []).append(row)
    body = []
    for (policy, share), same in grouped.items():
        values = [row["turn_accuracy"] for row in same]
        mean = sum(values) / len(values)
        cells = [f"{share:.0%}", str(same[0]["dialogues"]), f"{mean:.3f}", f"{min(values):.3f} to {max(values):.3f}"]
        body.append([policy, *cells, str(len(values))])
    header = ["Learning curve", "of training", "dialogues", "turns right", "range", "seeds"]
    return table(header, body, columns=columns, colour=colour)
