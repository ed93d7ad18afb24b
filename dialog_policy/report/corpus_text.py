"""A corpus' summary as text for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["binned", "describe"]

_BAR = 40
_BINS = 16
_LONGEST = 80
_SHOWN_ACTIONS, _SHOWN_PAIRS, _SHOWN_CONFLICTS = 20, 5, 3


def binned(lengths: Mapping[str, int]) -> list[tuple[str, int]]:
    """Gather ``lengths`` of a summary into at most sixteen bins of equal width: label and number of dialogues."""
    counts = {int(n): count for n, count in lengths.items()}
    width = max(1, -(-(max(counts, default=1) + 1) // _BINS))
    bins: Counter[int] = Counter()
    for n, count in counts.items():
        bins[n // width] += count
    return [
        (str(b * width) if width == 1 else f"{b * width}-{(b + 1) * width - 1}", bins[b])
        for b in range(min(bins, default=0), max(bins, default=-1) + 1)
    ]


def describe(summary: Mapping[str, Any], problems: Sequence[str]) -> str:
    """Return a summary as text of about a hundred columns."""
    lines = [
        f"{summary['corpus']} ({summary['format']}): {summary['dialogues']} dialogues, {summary['turns']} turns, "
        f"{summary['target_turns']} of them to predict",
        "",
        *_parts(summary),
        "",
        *_lengths(summary),
        "",
        *_actions(summary),
        "",
        *_contradictions(summary["contradictions"]),
        "",
        *([f"Problem: {problem}" for problem in problems] or ["No problems found."]),
    ]
    return "\n".join(lines)


def _parts(summary: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, part in summary["splits"].items():
        line = (
            f"  {name:9} {part['dialogues']:7} dialogues {part['target_turns']:8} turns to predict "
            f"{part['actions']:5} actions"
        )
        words = summary["vocabulary"][name]
        if "known_tokens" in words:
            line += (
                f"; train knows {words['known_tokens']:.1%} of the users' words ({words['known_words']:.1%} distinct)"
            )
        lines.append(line)
    return lines


def _lengths(summary: Mapping[str, Any]) -> list[str]:
    if summary["length"] is None:
        return ["No dialogues."]
    length, bins = summary["length"], binned(summary["lengths"])
    most = max(count for _, count in bins)
    return [
        f"Dialogues by number of turns (median {length['median']}, 90 % have at most {length['p90']}):",
        *(f"  {label:>9} {count:7} {'█' * round(_BAR * count / most)}".rstrip() for label, count in bins),
    ]


def _actions(summary: Mapping[str, Any]) -> list[str]:
    rows, pairs = summary["actions"], summary["co_occurrence"]
    lines = [
        f"{len(rows)} actions in {summary['action_sets']} different sets; "
        f"{summary['several_actions']:.1%} of the turns have several actions, {summary['empty_sets']} turns have none.",
        f"{summary['empty_utterances']} turns without a user utterance.",
        "",
        "Actions by number of turns:",
        *(f"  {row['turns']:8} {row['action']}" for row in rows[:_SHOWN_ACTIONS]),
    ]
    if len(rows) > _SHOWN_ACTIONS:
        lines.append(f"           … and {len(rows) - _SHOWN_ACTIONS} more (--json has all)")
    if pairs:
        lines += ["", "Most often together in a turn:"]
        lines += [f"  {pair['turns']:8} {' + '.join(pair['actions'])}" for pair in pairs[:_SHOWN_PAIRS]]
    return lines


def _contradictions(found: Mapping[str, Any]) -> list[str]:
    lines = ["Contradictions, the same history followed by different actions:"]
    for kind in ("recent", "whole"):
        one = found[kind]
        if one["max_accuracy"] is not None:
            again = one["max_accuracy_repeated"]
            lines += [
                f"  {one['contradictory_turns']} turns, if the history is {one['history']}.",
                f"    Whoever sees no more is right in at most {one['max_accuracy']:.1%} of the turns"
                + (f"; in {again:.1%} of those whose history occurs again." if again is not None else "."),
            ]
    for example in found["recent"]["examples"][:_SHOWN_CONFLICTS]:
        said = repr(example["user"]) if example["user"] else "nothing"
        before = example["previous_actions"]
        after = f" after {_set(before)}" if before is not None else ""
        given = f", given {_shortened(example['context'])}" if example["context"] else ""
        lines.append(f"  The user says {said}{after}{given}:")
        lines += [
            f"    {outcome['turns']:6} {_set(outcome['actions'])} (first in {outcome['dialogue']!r}, turn {outcome['turn']})"
            for outcome in example["outcomes"][:_SHOWN_CONFLICTS]
        ]
    return lines


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _set(actions: Sequence[str]) -> str:
    return " + ".join(actions) or "no action"
