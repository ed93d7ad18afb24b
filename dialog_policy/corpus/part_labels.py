"""Names of a corpus' parts that somebody probably meant to be other names."""

from __future__ import annotations

from collections.abc import Mapping

from dialog_policy.corpus.problems import Problem
from dialog_policy.corpus.spelling import same_but_for_marks
from dialog_policy.errors import counted

__all__ = ["misnamed_parts"]

_MEANT = {
    "train": ("train", "training"),
    "dev": ("dev", "devel", "development", "val", "valid", "validate", "validation"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_USUAL = {other: name for name, others in _MEANT.items() for other in others}


def misnamed_parts(dialogues: Mapping[str, int]) -> list[Problem]:
    """Return a warning for each part that resembles train, dev or test, and for parts that differ in their spelling only.

    Parameters
    ----------
    dialogues
        Name of a part to its number of dialogues.
    """
    problems = []
    others = []
    for part, count in sorted(dialogues.items()):
        meant = _USUAL.get(part.strip().casefold())
        if meant is None:
            others.append(part)
        elif part != meant:
            message = f"The part {part!r} ({counted(count, 'dialogue')}) is another part than {meant}"
            remedy = f"Call it {meant} if that is meant: nothing is trained or tested on {part!r} unless it is named."
            problems.append(Problem("warning", "part-name", message, remedy, count))
    for same in same_but_for_marks(others):
        message = f"Names of parts differ only in case, spaces, hyphens or underscores: {', '.join(map(repr, same))}"
        problems.append(Problem("warning", "part-name", message, "Write one part in one way.", len(same)))
    return problems
