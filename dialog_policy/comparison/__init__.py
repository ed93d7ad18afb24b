"""Several policies on the same dialogues: which is better, by how much, how sure that is."""

from dialog_policy.comparison.compare import METRICS, compare
from dialog_policy.comparison.result import Comparison

__all__ = ["METRICS", "Comparison", "compare"]
