"""What things are called in reports, and how figures are written."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["COLUMNS", "FIELDS", "METRICS", "action_set", "between", "interval", "p_value", "policy_name"]

_POLICIES = {
    "majority": "most frequent action set",
    "bigram": "most frequent after the previous set",
    "nearest_neighbour": "nearest neighbour",
    "logreg_utterance": "logistic regression, last utterance",
    "logreg_history": "logistic regression, last utterance and system turn",
}
# The figures of a table of policies.
COLUMNS = {
    "turn_accuracy": "turns right",
    "dialogue_accuracy": "dialogues right",
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
}
METRICS = {
    **COLUMNS,
    "macro_f1_gold": "macro F1 of the actions that occur",
    "samples_f1": "F1 averaged over turns",
    "precision": "precision",
    "recall": "recall",
    "hamming_loss": "Hamming loss",
    "log_loss": "log loss",
    "brier": "Brier score",
    "ece": "expected calibration error",
}
FIELDS = {
    "dialogue_length": "length of the dialogue, in turns to predict",
    "turn_index": "the turn's number, from 0",
    "number_of_actions": "number of actions",
    "utterance_length": "words of the user's turn",
    "unknown_words": "share of words that training lacks",
    "action_support": "turns of training with the rarest action",
}


def policy_name(name: str) -> str:
    """Return what a baseline is called; other policies keep their names."""
    return _POLICIES.get(name, name)


def action_set(actions: Sequence[str]) -> str:
    """Return a set of actions in one line."""
    return " + ".join(actions) or "(none)"


def interval(ends: Sequence[float] | None) -> str:
    """Return a 95 % interval in brackets, or nothing."""
    return "" if not ends else f"[{ends[0]:.3f}, {ends[1]:.3f}]"


def p_value(p: float) -> str:
    """Return a p value in few characters."""
    return f"{p:.4f}" if p >= 0.0001 else "< 0.0001"


def between(ends: Sequence[float] | None) -> str:
    """Return a 95 % interval for a table's cell, or nothing."""
    return "" if not ends else f"{ends[0]:.3f} – {ends[1]:.3f}"
