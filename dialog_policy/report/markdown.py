"""Results in a few lines of Markdown, for a pull request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dialog_policy.report.names import COLUMNS, FIELDS, METRICS, action_set, p_value, policy_name

__all__ = ["markdown_report"]

_SHOWN = 5
_ENOUGH = 30
_SPECIAL = str.maketrans({character: "\\" + character for character in "\\`*_[]<>|~#$"})


def markdown_report(result: Mapping[str, Any]) -> str:
    """Return the headline figures of a result of ``score``, ``evaluate``, ``compare`` or ``value`` as GitHub's Markdown."""
    if "pairs" in result:
        return _comparison(result)
    if "estimates" in result:
        return _value(result)
    return _score(result)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], *, names: int = 1) -> list[str]:
    """Return a table whose first columns are names and whose others are figures."""
    aligned = ["---" if number < names else "---:" for number in range(len(header))]
    return [f"| {' | '.join(cells)} |" for cells in (header, aligned, *rows)]


def _escaped(text: str) -> str:
    """Return a name so that it is shown as it is, on one line."""
    return " ".join(text.translate(_SPECIAL).split())


def _with_interval(value: float, ends: Sequence[float] | None) -> str:
    return f"{value:.3f}" if not ends else f"{value:.3f} ({ends[0]:.3f} – {ends[1]:.3f})"


def _head(result: Mapping[str, Any], *more: str) -> list[str]:
    size = f"{result['dialogues']} dialogues, {result['turns']} turns"
    return [", ".join([f"**{_escaped(result['corpus'])}**, split {_escaped(result['split'])}: {size}", *more]), ""]


def _score(result: Mapping[str, Any]) -> str:
    lines = _head(result, *([result["mode"]] if "mode" in result else []))
    scores = {"**this policy**": result, **{_escaped(policy_name(n)): s for n, s in result["baselines"].items()}}
    lines += _table(
        ["policy", *COLUMNS.values()],
        [
            [name, *(_with_interval(s[metric], s.get("ci95", {}).get(metric)) for metric in COLUMNS)]
            for name, s in scores.items()
        ],
    )
    more = [f"{METRICS[key]} {result[key]:.3f}" for key in ("log_loss", "brier") if key in result]
    if "calibration" in result:
        more.append(f"{METRICS['ece']} {result['calibration']['ece']:.3f}")
    if result["unseen_action_turns"]:
        more.append(f"{result['unseen_action_turns']} turns with an action that training never showed")
    if more:
        lines += ["", ", ".join(more)]
    lines += _weakest(result)
    confusions = result.get("mistakes", {}).get("confusions", ())[:_SHOWN]
    if confusions:
        lines += ["", "<details><summary>Most frequent mistakes</summary>", ""]
        rows = [
            [
                _escaped(action_set(r["gold"])),
                _escaped(action_set(r["predicted"])),
                f"{r['turns']} of {r['gold_turns']}",
            ]
            for r in confusions
        ]
        lines += [*_table(["true", "predicted", "turns"], rows, names=2), "", "</details>"]
    return "\n".join(lines) + "\n"


def _weakest(result: Mapping[str, Any]) -> list[str]:
    usual = [row for row in result.get("slices", ()) if row["turns"] >= _ENOUGH]
    if not usual:
        return []
    weakest = sorted(usual, key=lambda row: float(row["turn_accuracy"]))[:_SHOWN]
    rows = [
        [
            f"{FIELDS.get(row['field'], _escaped(row['field']))}: {_escaped(str(row['value']))}",
            str(row["turns"]),
            _with_interval(row["turn_accuracy"], (row.get("ci95") or {}).get("turn_accuracy")),
        ]
        for row in weakest
    ]
    head = ["", "<details><summary>Weakest slices</summary>", ""]
    return [*head, *_table(["slice", "turns", "turns right"], rows), "", "</details>"]


def _comparison(result: Mapping[str, Any]) -> str:
    lines = _head(result)
    lines += _table(
        ["policy", *(METRICS.get(metric, metric) for metric in result["metrics"])],
        [
            [_escaped(row["name"]), *(_with_interval(row[m], row["ci95"][m]) for m in result["metrics"])]
            for row in result["policies"]
        ],
    )
    lines += ["", "Differences; p by randomisation over dialogues, with Holm's correction:", ""]
    lines += _table(
        ["", "figure", "difference", "95 % interval", "p", "effect size d"],
        [
            [
                f"{_escaped(row['a'])} − {_escaped(row['b'])}",
                METRICS.get(row["metric"], row["metric"]),
                f"{row['difference']:+.3f}",
                f"{row['ci95'][0]:+.3f} to {row['ci95'][1]:+.3f}",
                p_value(row["p_holm"]),
                "" if row["effect_size"] is None else f"{row['effect_size']:+.2f}",
            ]
            for row in result["pairs"]
        ],
        names=2,
    )
    return "\n".join(lines) + "\n"


def _value(result: Mapping[str, Any]) -> str:
    lines = _head(result)
    lines += [f"**{_escaped(result['conclusion'])}**", ""]
    logged = result["logged"]
    rows = [["the logging policy", f"{logged['value']:.4g}", _ends(logged["ci95"]), ""]]
    for row in result["estimates"]:
        if row["refused"] is None:
            rows.append([row["name"], f"{row['value']:.4g}", _ends(row["ci95"]), f"{row['difference']:+.4g}"])
        else:
            rows.append([row["name"], "refused", "", ""])
    lines += _table(["estimator", "value", "95 % interval", "against the log"], rows)
    size = result["overlap"]["effective_sample_size"]
    lines += ["", f"Effective sample size {size:.1f} of {result['dialogues']} dialogues.", *result["warnings"]]
    return "\n".join(lines) + "\n"


def _ends(ends: Sequence[float]) -> str:
    return f"{ends[0]:.4g} to {ends[1]:.4g}"
