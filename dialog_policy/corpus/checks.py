"""What is wrong with a corpus: errors, which spoil a training or a test, and warnings, which a person should look at."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from dialog_policy.corpus.dialogue import Dialogue, Turn
from dialog_policy.corpus.problems import LEVELS, SHOWN_PLACES, Level, Place, Problem, of_reading
from dialog_policy.corpus.statistics import Statistics
from dialog_policy.errors import CorpusError, counted

__all__ = ["examine"]

# Control characters other than tab and line ends, and what decoders write for bytes that they could not read.
_DAMAGED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]")
_encode = msgspec.json.Encoder(order="deterministic").encode


# check -> level, what it counts, what is wrong with them, remedy
_EACH: dict[str, tuple[Level, str, str, str]] = {
    "duplicate-id": ("error", "dialogue", "with the id of an earlier one", "Give every dialogue an id of its own."),
    "empty-id": ("error", "dialogue", "with an empty id", "Give every dialogue an id of its own."),
    "not-storable": (
        "error",
        "dialogue",
        "with text that is not Unicode, or a context that is not JSON",
        "Save the source as UTF-8; put only JSON values into the context.",
    ),
    "unnamed-action": ("error", "turn", "with an action that has no name", "Name it, or leave it out."),
    "reward": ("error", "turn", "with a reward that is no finite number", "Leave it out where it is unknown."),
    "propensity": (
        "error",
        "turn",
        "with a propensity outside (0, 1]",
        "It is the probability with which the logging policy chose these actions; leave it out where it is unknown.",
    ),
    "no-turns": ("warning", "dialogue", "without turns", "Leave it out."),
    "nothing-to-predict": (
        "warning",
        "dialogue",
        "without an annotated turn: nothing is learnt from it",
        "Annotate it, or leave it out.",
    ),
    "silent-user": (
        "warning",
        "dialogue",
        "of several turns with neither a user's word nor a context",
        "See whether the reader found the user's column or field (--reader).",
    ),
    "damaged-text": (
        "warning",
        "turn",
        "with control characters or the mark of unreadable bytes in a text",
        "Save the source as UTF-8.",
    ),
}


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
        found = [
            Problem(level, check, f"{counted(self._counts[check], noun)} {what}", remedy, self._counts[check], places)
            for check, (level, noun, what, remedy) in _EACH.items()
            if (places := self._places[check])
        ]
        # Now and then a value is called like an action; in most turns it is no coincidence.
        if self._leak is not None and self._leaking > self._annotated / 2:
            found.append(
                Problem(
                    "warning",
                    "leak",
                    f"{self._leaking} of {self._annotated} contexts name an action that the turn then takes",
                    "A context holds what the system knew before it chose; take out what was logged after.",
                    self._leaking,
                    [self._leak],
                )
            )
        return found


def _wrong(turn: Turn) -> Iterable[str]:
    if turn.actions is not None and not all(action.strip() for action in turn.actions):
        yield "unnamed-action"
    if turn.reward is not None and not math.isfinite(turn.reward):
        yield "reward"
    if turn.propensity is not None and not 0 < turn.propensity <= 1:
        yield "propensity"
    if _DAMAGED.search(turn.user) or _DAMAGED.search(turn.system):
        yield "damaged-text"


def _of_the_whole(summary: dict[str, Any]) -> list[Problem]:
    """Problems that only the counts show."""
    found: list[Problem] = []

    def add(level: Level, check: str, message: str, remedy: str, count: int = 1) -> Problem:
        found.append(Problem(level, check, message, remedy, count))
        return found[-1]

    if not summary["dialogues"]:
        add("error", "empty", "There are no dialogues", "See whether the path and the format (--format) are right.")
    elif not summary["target_turns"]:
        message = f"None of the {summary['turns']} turns has system actions: there is nothing to predict"
        add(
            "error", "no-actions", message, "Choose a corpus that is annotated with them, or another --reader labels=…."
        )
    elif summary["action_sets"] == 1:
        add("warning", "one-set", "All turns have the same actions: there is nothing to learn", "Look at the labels.")
    copies = summary["duplicates"]
    if copies["groups"]:
        leaked = ", ".join(f"{n} of {part}" for part, n in copies["also_in_train"].items())
        message = f"{counted(copies['dialogues'], 'dialogue')} with the same content as another"
        message += f"; {leaked} in train as well, which flatters a test" if leaked else ""
        remedy = "Keep one of each; `dialog-policy split` keeps copies in one part."
        problem = add("warning", "duplicates", message, remedy, copies["dialogues"])
        # One pair, of two parts if there is one.
        pair = copies["examples"][0]["dialogues"]
        other = next((d for d in pair[1:] if d["split"] != pair[0]["split"]), pair[1])
        problem.places = [Place(d["dialogue"]) for d in (pair[0], other)]
    for part in summary["splits"] if summary["splits"].get("train", {}).get("target_turns") else ():
        new = [r["action"] for r in summary["actions"] if r["splits"][part] and not r["splits"]["train"]]
        if new:
            message = f"{counted(len(new), 'action')} of {part} that train never has: {_listed(new)}"
            remedy = "No policy can predict what it never saw; it counts as wrong."
            add("warning", "unseen-actions", message, remedy, len(new))
    once = [row["action"] for row in summary["actions"] if row["turns"] == 1]
    if once:
        message = f"{counted(len(once), 'action')} in a single turn only: {_listed(once)}"
        add("warning", "rare-actions", message, "Merge rare actions with others, or annotate more.", len(once))
    spellings: dict[str, list[str]] = defaultdict(list)
    for row in summary["actions"]:
        spellings[re.sub(r"[\s_-]+", " ", row["action"].casefold()).strip()].append(row["action"])
    for same in spellings.values():
        if len(same) > 1:
            message = f"Actions that differ only in case, spaces, hyphens or underscores: {_listed(sorted(same))}"
            add("warning", "spelling", message, "Write one action in one way.", len(same))
    return found


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (", …" if len(names) > 5 else "")


def examine(
    dialogues: Iterable[Dialogue],
    words: Callable[[str], list[str]],
    *,
    go_on: bool = True,
    of_source: Callable[[], Iterable[Problem]] = tuple,
) -> tuple[dict[str, Any], list[Problem]]:
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
        The summary, and the problems: errors first, notes last.
    """
    statistics, checker = Statistics(words), _Checker()
    unreadable: list[Problem] = []
    try:
        for dialogue in dialogues:
            try:
                statistics.add(dialogue)
            except (UnicodeEncodeError, TypeError, RecursionError):
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
