"""The words of every report: what metrics, baselines and groups are called, and how figures are written."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from rich.cells import cell_len, chop_cells

from dialog_policy.comparison.result import Comparison
from dialog_policy.errors import counted
from dialog_policy.evaluation.evaluation import Evaluation
from dialog_policy.evaluation.provenance import RunDescription
from dialog_policy.metric_names import METRIC_NAMES
from dialog_policy.ope.result import OffPolicyValue

__all__ = [
    "FIELDS",
    "LOWER_IS_BETTER",
    "MODES",
    "Estimate",
    "Judged",
    "action_set",
    "cell",
    "interval",
    "lines_of",
    "metric_name",
    "number",
    "p_value",
    "policy_name",
    "printable",
    "rate",
    "run_sentence",
    "signed",
    "signed_number",
    "size_of",
]

_BASELINES = {
    "majority": "majority baseline",
    "bigram": "bigram baseline",
    "nearest_neighbour": "nearest-neighbour baseline",
    "logreg_utterance": "logistic-regression baseline (last utterance)",
    "logreg_history": "logistic-regression baseline (last utterance, previous system turn)",
    "logreg_context": "logistic-regression baseline (last utterance, previous system turn, context)",
    "logreg_dialogue": "logistic-regression baseline (dialogue so far, with context)",
}
LOWER_IS_BETTER = frozenset({"hamming_loss", "log_loss", "set_negative_log_likelihood", "brier", "ece"})
MODES = {"teacher-forced": "teacher forcing", "free-running": "free running"}
_ID = 12  # characters of a run's id that are shown
# What groups of turns are made by, as a noun phrase.
FIELDS = {
    "dialogue_length": "length of the dialogue (turns to predict)",
    "turn_index": "position of the turn (from 0)",
    "number_of_actions": "number of actions in the turn",
    "utterance_length": "number of words in the utterance",
    "unknown_words": "share of words that training lacks",
    "action_support": "training turns with the turn's rarest action",
}
_SPACES = str.maketrans(dict.fromkeys("\t\n\r\x0b\x0c", " "))
# Control characters, characters that reorder the text around them, and what neither XML nor UTF-8 can hold.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_PIECES = re.compile(r"[^ _+/.,;:|)=-]*[ _+/.,;:|)=-]*")


Judged: TypeAlias = Evaluation | Comparison | OffPolicyValue


class Estimate(NamedTuple):
    """A figure of a table with its 95 % confidence interval, if there is one."""

    value: float
    ci: Sequence[float] | None = None


def metric_name(key: str, *, exclusive: bool | None = False) -> str:
    """Return what a metric is called; `exclusive` where exactly one action is taken in every turn."""
    if key == "log_loss" and exclusive:
        return "negative log-likelihood of the action"
    if key.startswith("top_k."):
        return f"top-{key.removeprefix('top_k.')} accuracy"
    if key.startswith("set_top_k."):
        return f"top-{key.removeprefix('set_top_k.')} accuracy of action sets"
    return METRIC_NAMES.get(key, key)


def policy_name(name: str) -> str:
    """Return what a baseline is called; other policies keep their names."""
    return _BASELINES.get(name, name)


def action_set(actions: Sequence[str]) -> str:
    """Return a set of actions in one line."""
    return " + ".join(actions) or "(no action)"


def size_of(result: Judged, turns: str = "turn to predict", plural: str = "turns to predict") -> str:
    """Return which dialogues a result is about and how many they are."""
    dialogues, decisions = counted(result.dialogues, "dialogue"), counted(result.turns, turns, plural)
    return f"{result.corpus}, split {result.split}: {dialogues}, {decisions}"


def run_sentence(run: RunDescription | None) -> str | None:
    """Return the name, date and version of a run as a sentence; None if the result does not name one."""
    if run is None:
        return None
    version = f" with dialog-policy {run.package_version}" if run.package_version else ""
    identity = f" (id {run.id[:_ID]})" if run.id else ""
    return f"Run {run.name}{identity}" + (f", trained on {run.created[:10]}{version}." if run.created else ".")


def rate(value: float | None) -> str:
    """Return a share, an F1 or another figure of about one."""
    return "" if value is None else f"{value:.3f}"


def number(value: float | None) -> str:
    """Return a figure of any size."""
    return "" if value is None else f"{value:.4g}"


def signed(value: float | None) -> str:
    """Return a difference of shares with its sign."""
    return "" if value is None else f"{value:+.3f}"


def signed_number(value: float | None) -> str:
    """Return a difference of any size with its sign."""
    return "" if value is None else f"{value:+.4g}"


def interval(ends: Sequence[float] | None, write: Callable[[float], str] = rate) -> str:
    """Return the lower and the upper end of a 95 % confidence interval, or nothing where there is none."""
    return "" if not ends else f"[{write(ends[0])}, {write(ends[1])}]"


def interval_or_dash(ends: Sequence[float] | None, write: Callable[[float], str] = rate) -> str:
    """Return the same where intervals were computed: a dash where nothing can be said."""
    return interval(ends, write) or "–"


def p_value(p: float) -> str:
    """Return a p-value."""
    return f"{p:.4f}" if p >= 0.0001 else "< 0.0001"


def cell(value: object) -> str:
    """Return what stands in the cell of a table."""
    if isinstance(value, Estimate):
        return f"{rate(value.value)} {interval(value.ci)}".rstrip()
    if isinstance(value, float):
        return rate(value)
    return "" if value is None else str(value)


def printable(text: str) -> str:
    """Return a text on one line, with a mark for each character that would command a terminal or cannot be written."""
    return _UNPRINTABLE.sub("\ufffd", text.translate(_SPACES))


def lines_of(text: str, columns: int) -> list[str]:
    """Break a name into lines of at most this width: after a space, an underscore or the like where there is one.

    Parameters
    ----------
    text
        What is to be broken.
    columns
        Greatest width of a line in columns of a terminal, at least 2: East Asian characters fill two, marks none.
    """
    lines = [""]
    for piece in _PIECES.findall(printable(text)):
        for part in chop_cells(piece, columns) if cell_len(piece.rstrip()) > columns else [piece]:
            if cell_len(lines[-1] + part.rstrip()) > columns and lines[-1]:
                lines.append("")
            lines[-1] += part
    return [line.rstrip() for line in lines]
