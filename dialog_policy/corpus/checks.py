"""What is wrong with a corpus: errors, which spoil a training or a test, and warnings, which a person should look at."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

import msgspec

from dialog_policy.corpus.bits import HOW_TO_NAME, look_like_bits
from dialog_policy.corpus.dialogue import Dialogue, Turn
from dialog_policy.corpus.part_labels import part_problems
from dialog_policy.corpus.problems import LEVELS, SHOWN_PLACES, Level, Place, Problem, of_reading
from dialog_policy.corpus.spelling import joined_names, missing_values, same_but_for_marks, similar
from dialog_policy.corpus.statistics import Statistics
from dialog_policy.corpus.summary import CorpusCounts
from dialog_policy.errors import CorpusError, counted

__all__ = ["examine"]

# Control characters other than tab and line ends, and what decoders write for bytes that they could not read.
_DAMAGED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]")
_encode = msgspec.json.Encoder(order="deterministic").encode


# check -> level, what it counts, what is wrong with them, remedy
_EACH: dict[str, tuple[Level, str, str, str]] = {
    "duplicate-id": ("error", "dialogue", "has the id of an earlier one", "Give every dialogue an id of its own."),
    "empty-id": ("error", "dialogue", "has an empty id", "Give every dialogue an id of its own."),
    "not-storable": (
        "error",
        "dialogue",
        "has text that is not Unicode, or a context that is not JSON",
        "Save the source as UTF-8; put only JSON values into the context.",
    ),
    "unnamed-action": ("error", "turn", "has an action without a name", "Name it, or leave it out."),
    "reward": ("error", "turn", "has a reward that is not a finite number", "Leave it out where it is unknown."),
    "propensity": (
        "error",
        "turn",
        "has a propensity outside (0, 1]",
        "It is the probability with which the logging policy chose these actions; leave it out where it is unknown.",
    ),
    "no-turns": ("warning", "dialogue", "has no turns", "Leave it out."),
    "nothing-to-predict": (
        "warning",
        "dialogue",
        "has no annotated turn, so nothing is learnt from it",
        "Annotate it, or leave it out.",
    ),
    "silent-user": (
        "warning",
        "dialogue",
        "has several turns, and neither a word of the user nor a context",
        "See whether the reader found the user's column or field (--reader).",
    ),
    "damaged-text": (
        "warning",
        "turn",
        "has control characters or replacement characters (U+FFFD) in a text",
        "Save the source as UTF-8.",
    ),
}


def _sentence(count: int, noun: str, predicate: str) -> str:
    """Return ``"1 dialogue has no turns"`` or ``"2 dialogues have no turns"``."""
    verb, rest = predicate.split(" ", 1)
    if count != 1:
        verb = {"has": "have", "is": "are"}.get(verb, verb.removesuffix("s"))
    return f"{counted(count, noun)} {verb} {rest}"


class _Checker:
    """Looks at dialogues one by one; keeps their ids and the first places of each problem."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._places: dict[str, list[Place]] = defaultdict(list)
        self._annotated = self._leaking = 0
        self._leak: Place | None = None

    def note(self, check: str, dialogue: Dialogue, turn: int | None = None) -> None:
        self._counts[check] += 1
        if len(self._places[check]) < SHOWN_PLACES:
            # An id that cannot be written down is shown with its unwritable characters spelt out.
            shown = dialogue.id.encode("utf-8", "backslashreplace").decode()
            self._places[check].append(Place(shown, turn))

    def add(self, dialogue: Dialogue) -> None:
        if dialogue.id in self._ids:
            self.note("duplicate-id", dialogue)
        self._ids.add(dialogue.id)
        if not dialogue.id:
            self.note("empty-id", dialogue)
        if not dialogue.turns:
            self.note("no-turns", dialogue)
        elif not dialogue.n_targets:
            self.note("nothing-to-predict", dialogue)
        if len(dialogue) > 1 and not any(turn.user.strip() or turn.context for turn in dialogue.turns):
            self.note("silent-user", dialogue)
        for number, turn in enumerate(dialogue.turns):
            for check in _wrong(turn):
                self.note(check, dialogue, number)
            if turn.actions and turn.context:
                self._look_for_leak(dialogue, number, turn)

    def _look_for_leak(self, dialogue: Dialogue, number: int, turn: Turn) -> None:
        self._annotated += 1
        context = _encode(turn.context)
        if any(_encode(action) in context for action in turn.actions or ()):
            self._leaking += 1
            self._leak = self._leak or Place(dialogue.id, number)

    def problems(self) -> list[Problem]:
        problems = [
            Problem(level, check, _sentence(self._counts[check], noun, what), remedy, self._counts[check], places)
            for check, (level, noun, what, remedy) in _EACH.items()
            if (places := self._places[check])
        ]
        # Now and then a value is called like an action; in most turns it is no coincidence.
        if self._leak is not None and self._leaking > self._annotated / 2:
            problems.append(
                Problem(
                    "warning",
                    "leak",
                    f"{self._leaking} of {self._annotated} contexts name an action that the turn then takes",
                    "A context should have only what the system knew before it chose its actions. Remove what was logged afterwards.",
                    self._leaking,
                    [self._leak],
                )
            )
        return problems


def _wrong(turn: Turn) -> Iterable[str]:
    if turn.actions is not None and not all(action.strip() for action in turn.actions):
        yield "unnamed-action"
    if turn.reward is not None and not math.isfinite(turn.reward):
        yield "reward"
    if turn.propensity is not None and not 0 < turn.propensity <= 1:
        yield "propensity"
    if _DAMAGED.search(turn.user) or _DAMAGED.search(turn.system):
        yield "damaged-text"


def _of_the_whole(summary: CorpusCounts) -> list[Problem]:
    """Problems that only the counts show."""
    problems: list[Problem] = []

    def add(level: Level, check: str, message: str, remedy: str, count: int = 1) -> Problem:
        problems.append(Problem(level, check, message, remedy, count))
        return problems[-1]

    if not summary.dialogues:
        add("error", "empty", "There are no dialogues", "Check the path and the format (--format).")
    elif not summary.target_turns:
        message = f"None of {counted(summary.turns, 'turn')} has system actions: there is nothing to predict"
        add(
            "error", "no-actions", message, "Choose a corpus that is annotated with them, or another --reader labels=…."
        )
    elif summary.empty_sets == summary.target_turns:
        message = "No turn has an action: there is nothing to learn"
        add("error", "empty-actions", message, "Write into `actions` what the system did.")
    elif summary.action_sets == 1:
        add("warning", "one-set", "All turns have the same actions: there is nothing to learn", "Look at the labels.")
    copies = summary.duplicates
    if copies.groups:
        leaked = ", ".join(f"{n} of {part}" for part, n in copies.also_in_train.items())
        message = _sentence(copies.dialogues, "dialogue", "has the same content as another")
        message += f"; train has {leaked}, too, which flatters results there" if leaked else ""
        remedy = "Keep one of each; `dialog-policy split` keeps copies in one part."
        problem = add("warning", "duplicates", message, remedy, copies.dialogues)
        # One pair, of two parts if there is one.
        pair = copies.examples[0].dialogues
        other = next((d for d in pair[1:] if d.split != pair[0].split), pair[1])
        problem.places = [Place(d.dialogue) for d in (pair[0], other)]
    parts: dict[str | None, int] = {part: size.dialogues for part, size in summary.splits.items()}
    problems += part_problems(parts | {None: summary.dialogues - sum(parts.values())})
    for part in summary.splits if "train" in summary.splits and summary.splits["train"].target_turns else ():
        new = [r.action for r in summary.actions if r.splits[part] and not r.splits["train"]]
        if new:
            verb = "does" if len(new) == 1 else "do"
            message = f"{counted(len(new), 'action')} of {part} {verb} not occur in train: {_listed(new)}"
            remedy = "No policy can predict what it never saw; it counts as wrong."
            add("warning", "unseen-actions", message, remedy, len(new))
    once = [row.action for row in summary.actions if row.turns == 1]
    if once:
        message = f"{_sentence(len(once), 'action', 'occurs in a single turn only')}: {_listed(once)}"
        add("warning", "rare-actions", message, "Merge rare actions with others, or annotate more.", len(once))
    turns = {row.action: row.turns for row in summary.actions}
    if bits := look_like_bits(turns):
        message = f"The names of all {counted(len(turns), 'action')} look like bit vectors: {_listed(list(turns))}"
        add("warning", "bit-vectors", message, HOW_TO_NAME.format(count=bits), len(turns))
    for same in same_but_for_marks(turns):
        message = f"Action names differ only in case, spaces, hyphens or underscores: {_listed(same)}"
        add("warning", "spelling", message, "Write one action in one way.", len(same))
    for common, rare in similar(turns):
        message = (
            f"The action names {common!r} ({counted(turns[common], 'turn')}) and {rare!r} "
            f"({counted(turns[rare], 'turn')}) differ in one letter"
        )
        add("warning", "similar-names", message, "If they are one action, write it in one way.", 2)
    if missing := missing_values(turns):
        message = f"{_sentence(len(missing), 'action', 'is called like a missing value')}: {_listed(missing)}"
        remedy = "Write null where the actions are not known; leave the cell empty, or the list, where there was none."
        add("warning", "missing-values", message, remedy, len(missing))
    if several := joined_names(turns):
        message = f"{_sentence(len(several), 'action', 'looks like several')}: {_listed(several)}"
        remedy = "Put | between the actions of a cell, or write them as a JSON list."
        add("warning", "joined-names", message, remedy, len(several))
    return problems


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (", …" if len(names) > 5 else "")


def examine(
    dialogues: Iterable[Dialogue],
    words: Callable[[str], list[str]],
    *,
    go_on: bool = True,
    of_source: Callable[[], Iterable[Problem]] = tuple,
) -> tuple[CorpusCounts, list[Problem]]:
    """Summarise dialogues and look for problems, in one pass; nothing is kept but what is distinct.

    Parameters
    ----------
    dialogues
        Any iterable; it is read once and not kept.
    words
        Splits an utterance into words.
    go_on
        Whether dialogues that cannot be read are one more problem; else the error is raised.
    of_source
        Returns the problems that the source has beyond its dialogues; called when all of them could be read.

    Returns
    -------
    tuple
        What was counted, and the problems: errors first, notes last.
    """
    statistics, checker = Statistics(words), _Checker()
    unreadable: list[Problem] = []
    try:
        for dialogue in dialogues:
            try:
                statistics.add(dialogue)
            except (CorpusError, UnicodeEncodeError, TypeError, RecursionError):
                checker.note("not-storable", dialogue)
            else:
                checker.add(dialogue)
    except CorpusError as error:
        if not go_on:
            raise
        unreadable.append(of_reading(error))
    summary = statistics.summary()
    # With a half-read corpus the counts of the whole would mislead.
    whole = [] if unreadable else [*of_source(), *_of_the_whole(summary)]
    problems = [*unreadable, *checker.problems(), *whole]
    return summary, sorted(problems, key=lambda problem: LEVELS.index(problem.level))
