"""What reports say of a corpus: its tables and sentences, chosen and put into words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from dialog_policy.corpus.summary import Contradiction, ContradictionSummary, CorpusSummary, PartSize
from dialog_policy.errors import counted
from dialog_policy.report.document import Document, Paragraph, Section, Table
from dialog_policy.report.words import action_set

__all__ = [
    "actions_table",
    "advice",
    "binned",
    "bounds",
    "bounds_table",
    "copies_table",
    "document",
    "outcomes_table",
    "pairs_table",
    "parts_table",
    "percent",
    "situation",
    "title",
]

_BAR, _BINS, _LONGEST_CONTEXT = 20, 16, 80
_SHOWN_ACTIONS, _SHOWN_PAIRS, _SHOWN_CONFLICTS, _SHOWN_OUTCOMES = 20, 5, 3, 10
# Below these, accuracy on a test part and learning an action are matters of chance.
_ENOUGH_TEST_TURNS, _ENOUGH_TURNS_OF_ACTION = 300, 10


def document(summary: CorpusSummary) -> Document:
    """Return what is in a corpus, and what is wrong with it.

    Parameters
    ----------
    summary
        The summary of the corpus.
    """
    problems = summary.problems or ["No problems were found."]
    sections = [
        Section(title="Parts", parts=[parts_table(summary)]),
        Section(title="Length of the dialogues", parts=_lengths(summary)),
        Section(title="Actions", parts=_actions(summary)),
        Section(title="Contradictions", parts=_contradictions(summary.contradictions)),
        Section(title="Advice", parts=[Paragraph(sentence) for sentence in advice(summary)]),
        Section(title="Problems", parts=[Paragraph(problem) for problem in problems]),
    ]
    return Document(title=title(summary), sections=[section for section in sections if section.parts])


def title(summary: CorpusSummary) -> str:
    """Return the corpus' name, format and size."""
    dialogues, turns = counted(summary.dialogues, "dialogue"), counted(summary.turns, "turn")
    targets = counted(summary.target_turns, "turn to predict", "turns to predict")
    return f"{summary.corpus} (format {summary.format}): {dialogues}, {turns}, {targets}"


def percent(share: float | None) -> str:
    """Return a share in per cent, or nothing."""
    return "" if share is None else f"{100 * share:.1f} %"


def advice(summary: CorpusSummary) -> list[str]:
    """Return what the owner of a small corpus should know: how to evaluate it, and which actions it teaches badly."""
    if not summary.target_turns:
        return []
    sentences = []
    test = summary.splits.get("test") or PartSize(dialogues=0, turns=0, target_turns=0, actions=0)
    if test.target_turns < _ENOUGH_TEST_TURNS:
        size = counted(test.dialogues, "dialogue")
        turns = counted(test.target_turns, "turn to predict", "turns to predict")
        sentences.append(
            f"The test part is small: {size} with {turns}, so that an accuracy measured on it is uncertain. Cross-validation "
            "tests on every dialogue: dialog-policy evaluate CORPUS --folds 5."
        )
    rare = [row.action for row in summary.actions if row.turns < _ENOUGH_TURNS_OF_ACTION]
    if rare:
        verb = "occurs" if len(rare) == 1 else "occur"
        sentences.append(
            f"{len(rare)} of {counted(len(summary.actions), 'action')} {verb} in fewer than {_ENOUGH_TURNS_OF_ACTION} turns, "
            "from which little can be learnt. Add dialogues with them, or merge them with other actions."
        )
    return sentences


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


def parts_table(summary: CorpusSummary) -> Table:
    """Return the size of every part, and how many of its words and dialogues the training part has, too."""
    header = ["part", "dialogues", "turns", "turns to predict", "actions", "copies of train", "words", "in train"]
    header += ["distinct words", "in train"]
    rows = []
    for name, part in summary.splits.items():
        words = summary.vocabulary[name]
        copies = "" if name == "train" else summary.duplicates.also_in_train.get(name, 0)
        rows.append(
            [
                name,
                part.dialogues,
                part.turns,
                part.target_turns,
                part.actions,
                copies,
                words.tokens,
                percent(words.known_tokens),
                words.words,
                percent(words.known_words),
            ]
        )
    return Table(title="Parts", header=header, rows=rows)


def _lengths(summary: CorpusSummary) -> list[Paragraph | Table]:
    if summary.length is None:
        return [Paragraph("There are no dialogues.")]
    length, bins = summary.length, binned(summary.lengths)
    most = max(count for _, count in bins)
    shortest, median, longest = (counted(n, "turn") for n in (length.min, length.median, length.max))
    sentence = (
        f"The shortest dialogue has {shortest}, the longest {longest}; half have at most {median} and 90 % at most "
        f"{length.p90}."
    )
    rows = [[label, count, "█" * round(_BAR * count / most)] for label, count in bins]
    return [
        Paragraph(sentence),
        Table(title="Dialogues by number of turns", header=["turns", "dialogues", ""], rows=rows, left=(0, 2)),
    ]


def _actions(summary: CorpusSummary) -> list[Paragraph | Table]:
    rows, pairs = summary.actions, summary.co_occurrence
    sets = counted(summary.action_sets, "distinct set")
    sentences = (
        f"There are {counted(len(rows), 'action')} in {sets}. {percent(summary.several_actions)} of the turns have several "
        f"actions; {counted(summary.empty_sets, 'turn')} have none. {counted(summary.empty_utterances, 'turn')} have no "
        "user utterance."
    ).replace("1 turn have", "1 turn has")
    parts: list[Paragraph | Table] = [Paragraph(sentences)]
    if rows:
        shown = [[row.action, row.turns] for row in rows[:_SHOWN_ACTIONS]]
        parts.append(Table(title="Most frequent actions", header=["action", "turns"], rows=shown))
    if len(rows) > _SHOWN_ACTIONS:
        parts.append(Paragraph(f"{counted(len(rows) - _SHOWN_ACTIONS, 'rarer action')} are not shown; --json has all."))
    if pairs:
        together = [[action_set(pair.actions), pair.turns] for pair in pairs[:_SHOWN_PAIRS]]
        parts.append(Table(title="Actions in the same turn", header=["most often together", "turns"], rows=together))
    return parts


def actions_table(summary: CorpusSummary) -> Table:
    """Return how often every action occurs, in all and in each part."""
    parts = list(summary.splits)
    rows = [
        [row.action, row.turns, percent(row.turns / summary.target_turns)] + [row.splits[name] for name in parts]
        for row in summary.actions
    ]
    return Table(title="Actions", header=["action", "turns", "share of turns", *parts], rows=rows)


def pairs_table(summary: CorpusSummary, shown: int) -> Table:
    """Return the pairs of actions that occur together most often."""
    turns = {row.action: row.turns for row in summary.actions}
    rows = [
        [
            action_set(pair.actions),
            pair.turns,
            *(percent(pair.turns / turns[name]) for name in pair.actions),
        ]
        for pair in summary.co_occurrence[:shown]
    ]
    header = ["actions", "turns", "share of the first's turns", "share of the second's turns"]
    return Table(title="Actions in the same turn", header=header, rows=rows)


def copies_table(summary: CorpusSummary) -> Table:
    """Return dialogues with the same content."""
    rows = []
    for group in summary.duplicates.examples:
        names = [one.dialogue + (f" ({one.split})" if one.split else "") for one in group.dialogues]
        rows.append([", ".join(names), group.copies, ", ".join(group.splits)])
    return Table(title="Copies", header=["dialogues with the same content", "copies", "parts"], rows=rows, left=(0, 2))


def bounds(contradictions: ContradictionSummary) -> list[str]:
    """Return sentences on the highest accuracy that contradictions leave to a policy."""
    sentences = []
    for one in (contradictions.recent, contradictions.whole):
        if one.max_accuracy is not None:
            turns = counted(one.contradictory_turns, "turn")
            follow = "follows" if one.contradictory_turns == 1 else "follow"
            again = one.max_accuracy_repeated
            repeated = "" if again is None else f" ({percent(again)} of the turns whose history occurs again)"
            sentences.append(
                f"Where the history is {one.history}, {turns} {follow} a history that is elsewhere followed by other actions. "
                f"A policy that sees no more is right in at most {percent(one.max_accuracy)} of the turns{repeated}."
                + (f" Estimated from one in {one.one_in} histories." if one.one_in > 1 else "")
            )
    return sentences


def bounds_table(contradictions: ContradictionSummary) -> Table:
    """Return how many histories contradict each other, and what that leaves to a policy."""
    rows = [
        [
            one.history,
            one.histories,
            one.contradictory_histories,
            one.contradictory_turns,
            percent(one.max_accuracy),
            percent(one.max_accuracy_repeated),
        ]
        for one in (contradictions.recent, contradictions.whole)
    ]
    header = ["history", "histories", "contradictory histories", "turns after them", "highest possible turn accuracy"]
    return Table(title="Contradictions", header=[*header, "where the history occurs again"], rows=rows)


def situation(example: Contradiction) -> str:
    """Return a history in words: what the user says, after which actions."""
    utterance = f"The user says “{example.user}”" if example.user else "The user says nothing"
    before = example.previous_actions
    return utterance + (f" after {action_set(before)}" if before is not None else "")


def outcomes_table(example: Contradiction, shown: int = _SHOWN_OUTCOMES) -> Table:
    """Return the action sets that followed the same history."""
    rows = [
        [action_set(outcome.actions), outcome.turns, outcome.dialogue, outcome.turn]
        for outcome in example.outcomes[:shown]
    ]
    header = ["actions that followed", "turns", "first in dialogue", "turn"]
    return Table(title="Actions that followed", header=header, rows=rows)


def _contradictions(contradictions: ContradictionSummary) -> list[Paragraph | Table]:
    parts: list[Paragraph | Table] = [Paragraph(sentence) for sentence in bounds(contradictions)]
    for example in contradictions.recent.examples[:_SHOWN_CONFLICTS]:
        context = f", given {_shortened(example.context)}" if example.context else ""
        parts += [Paragraph(f"{situation(example)}{context}:"), outcomes_table(example, _SHOWN_CONFLICTS)]
    return parts


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_CONTEXT else text[: _LONGEST_CONTEXT - 1] + "…"
