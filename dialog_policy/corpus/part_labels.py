"""Names of a corpus' parts that somebody probably meant to be other names."""

from __future__ import annotations

from collections.abc import Mapping

from dialog_policy.corpus.problems import Problem
from dialog_policy.corpus.spelling import same_but_for_marks
from dialog_policy.errors import counted

__all__ = ["USUAL_PARTS", "part_problems"]

_MEANT = {
    "train": ("train", "training"),
    "dev": ("dev", "devel", "development", "val", "valid", "validate", "validation"),
    "test": ("test", "testing", "eval", "evaluation"),
}
# Other names of the parts, too.
USUAL_PARTS = {other: name for name, others in _MEANT.items() for other in others}


def part_problems(dialogues: Mapping[str | None, int]) -> list[Problem]:
    """Return warnings of parts that resemble train, dev or test, or differ in their spelling only, and of dialogues without a part.

    Parameters
    ----------
    dialogues
        Name of a part to its number of dialogues; None to that of the dialogues that name none.
    """
    left = dialogues.get(None, 0)
    named = {part: own for part, own in dialogues.items() if part is not None}
    problems = []
    others = []
    for part, own in sorted(named.items()):
        meant = USUAL_PARTS.get(part.strip().casefold())
        if meant is None:
            others.append(part)
        elif part != meant:
            message = f"The part {part!r} ({counted(own, 'dialogue')}) is another part than {meant}"
            remedy = f"Call it {meant} if that is meant: nothing is trained or tested on {part!r} unless it is named."
            problems.append(Problem("warning", "part-name", message, remedy, own))
    for same in same_but_for_marks(others):
        message = f"Names of parts differ only in case, spaces, hyphens or underscores: {', '.join(map(repr, same))}"
        problems.append(Problem("warning", "part-name", message, "Write one part in one way.", len(same)))
    if left and named:
        message = (
            f"{counted(left, 'dialogue')} {'belongs' if left == 1 else 'belong'} to no part, while others name theirs"
        )
        problems.append(
            Problem("warning", "no-part", message, "Name their part, or use them with --split all only.", left)
        )
    return problems
