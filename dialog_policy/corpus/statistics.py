"""What is in a corpus: counts, lengths, actions, problems."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from dialog_policy.corpus.dialogue import Corpus, Dialogue
from dialog_policy.errors import CorpusError

__all__ = ["describe", "summarise"]

_BAR = 40
_SHOWN_ACTIONS = 20


def _counts(dialogues: list[Dialogue]) -> dict[str, int]:
    return {
        "dialogues": len(dialogues),
        "turns": sum(len(dialogue) for dialogue in dialogues),
        "target_turns": sum(dialogue.n_targets for dialogue in dialogues),
    }


def summarise(corpus: Corpus) -> dict[str, Any]:
    """Summarise a corpus.

    Returns
    -------
    dict
        A JSON object: ``corpus, format, dialogues, turns, target_turns, splits`` (name → counts), ``lengths`` (number of
        turns → dialogues), ``actions`` (list of ``action, turns``), ``action_sets, several_actions`` (share of target turns),
        ``empty_sets, empty_utterances, duplicate_dialogues, problems`` (sentences).
    """
    dialogues = list(corpus)
    targets = [turn for dialogue in dialogues for turn in dialogue.turns if turn.actions is not None]
    actions = Counter(action for turn in targets for action in turn.actions or ())
    sets = Counter(turn.actions for turn in targets)
    parts: dict[str, list[Dialogue]] = {}
    for name in corpus.splits:
        try:
            parts[name] = list(corpus.split(name))
        except CorpusError:  # a part may be empty where a small corpus is cut by hash
            parts[name] = []
    seen_in: dict[str, set[str]] = defaultdict(set)
    copies: dict[str, list[str]] = defaultdict(list)
    part_of = {dialogue.id: name for name, part in parts.items() for dialogue in part}
    for dialogue in dialogues:
        copies[dialogue.fingerprint()].append(dialogue.id)
        for turn in dialogue.turns:
            for action in turn.actions or ():
                seen_in[action].add(part_of.get(dialogue.id, ""))
    duplicates = [ids for ids in copies.values() if len(ids) > 1]
    across = sum(len({part_of.get(i, "") for i in ids}) > 1 for ids in duplicates)
    return {
        "corpus": corpus.name,
        "format": corpus.format,
        **_counts(dialogues),
        "splits": {name: _counts(part) for name, part in parts.items()},
        "lengths": {str(n): count for n, count in sorted(Counter(len(d) for d in dialogues).items())},
        "actions": [{"action": name, "turns": n} for name, n in sorted(actions.items(), key=lambda i: (-i[1], i[0]))],
        "action_sets": len(sets),
        "several_actions": sum(n for s, n in sets.items() if s and len(s) > 1) / max(1, len(targets)),
        "empty_sets": sets[frozenset()],
        "empty_utterances": sum(not turn.user.strip() for d in dialogues for turn in d.turns),
        "duplicate_dialogues": sum(len(ids) - 1 for ids in duplicates),
        "problems": _problems(dialogues, parts, seen_in, duplicates, across),
    }


def _problems(
    dialogues: list[Dialogue],
    parts: dict[str, list[Dialogue]],
    seen_in: dict[str, set[str]],
    duplicates: list[list[str]],
    across: int,
) -> list[str]:
    problems = []
    empty = [dialogue.id for dialogue in dialogues if not dialogue.turns]
    if empty:
        problems.append(f"{len(empty)} dialogues have no turns ({empty[0]!r}, …).")
    if duplicates:
        example = " and ".join(map(repr, duplicates[0][:2]))
        problems.append(
            f"{sum(len(ids) - 1 for ids in duplicates)} dialogues repeat another one word for word ({example}); "
            f"{across} of these groups lie in several parts, which flatters a test."
        )
    if parts.get("train"):
        for name in parts:
            new = sorted(action for action, where in seen_in.items() if name in where and "train" not in where)
            if name != "train" and new:
                problems.append(f"{len(new)} actions of {name} never occur in train ({', '.join(new[:5])}…).")
    rare = sum(1 for turns in _support(dialogues).values() if turns == 1)
    if rare:
        problems.append(f"{rare} actions occur in a single turn: no policy can learn them.")
    return problems


def _support(dialogues: list[Dialogue]) -> Counter[str]:
    return Counter(action for d in dialogues for turn in d.turns for action in turn.actions or ())


def describe(summary: dict[str, Any]) -> str:
    """Return a summary as text for the terminal."""
    lines = [
        f"{summary['corpus']} ({summary['format']}): {summary['dialogues']} dialogues, {summary['turns']} turns, "
        f"{summary['target_turns']} of them to predict",
        "",
    ]
    lines += [
        f"  {name:9} {part['dialogues']:7} dialogues {part['target_turns']:8} turns to predict"
        for name, part in summary["splits"].items()
    ]
    lines += ["", "Dialogues by number of turns:"]
    lengths = {int(n): count for n, count in summary["lengths"].items()}
    width = max(1, -(-(max(lengths, default=1) + 1) // 16))
    bins: Counter[int] = Counter()
    for n, count in lengths.items():
        bins[n // width] += count
    most = max(bins.values(), default=1)
    for b in range(min(bins, default=0), max(bins, default=-1) + 1):
        label = str(b * width) if width == 1 else f"{b * width}-{(b + 1) * width - 1}"
        lines.append(f"  {label:>9} {bins[b]:7} {'█' * round(_BAR * bins[b] / most)}")
    lines += [
        "",
        f"{len(summary['actions'])} actions in {summary['action_sets']} different sets; "
        f"{summary['several_actions']:.1%} of the turns have several actions, {summary['empty_sets']} turns have none.",
        f"{summary['empty_utterances']} turns without a user utterance.",
        "",
        "Actions by number of turns:",
    ]
    lines += [f"  {row['turns']:8} {row['action']}" for row in summary["actions"][:_SHOWN_ACTIONS]]
    if len(summary["actions"]) > _SHOWN_ACTIONS:
        lines.append(f"           … and {len(summary['actions']) - _SHOWN_ACTIONS} more (--json has all)")
    lines += (
        ["", *(f"Problem: {problem}" for problem in summary["problems"])]
        if summary["problems"]
        else ["", "No problems found."]
    )
    return "\n".join(lines)
