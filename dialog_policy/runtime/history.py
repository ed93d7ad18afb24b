"""What a training noted after each epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["kept_accuracy"]


def kept_accuracy(history: Sequence[Mapping[str, float]]) -> float | None:
    """Return the turn accuracy on the validation part of the weights that were kept; None where there was no such part.

    Parameters
    ----------
    history
        One entry an epoch. The kept weights are those of the last epoch with the greatest ``dev_log_likelihood``, of earlier
        versions' trainings those with the greatest ``dev_turn_accuracy``.
    """
    judged = [row for row in history if "dev_turn_accuracy" in row]
    followed = "dev_log_likelihood" if judged and "dev_log_likelihood" in judged[0] else "dev_turn_accuracy"
    kept = max(reversed(judged), key=lambda row: row[followed], default=None)
    return None if kept is None else kept["dev_turn_accuracy"]
