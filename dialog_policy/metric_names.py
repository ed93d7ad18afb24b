"""What metrics are called, by their keys: the same in reports, model cards and the server's description of a run."""

from __future__ import annotations

__all__ = ["MAIN_METRICS", "METRIC_NAMES"]

# The metrics of a table of policies.
MAIN_METRICS = ("turn_accuracy", "dialogue_accuracy", "micro_f1", "macro_f1", "weighted_f1")
METRIC_NAMES = {
    "turn_accuracy": "turn accuracy",
    "dialogue_accuracy": "dialogue accuracy",
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "macro_f1_gold": "macro F1 over the actions that occur",
    "samples_f1": "F1 averaged over turns",
    "precision": "precision",
    "recall": "recall",
    "hamming_loss": "Hamming loss",
    "log_loss": "binary cross-entropy summed over actions",
    "set_negative_log_likelihood": "negative log-likelihood of the action set",
    "brier": "Brier score",
    "ece": "expected calibration error",
    "response_accuracy": "response accuracy",
}
