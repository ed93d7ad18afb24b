"""Several policies on the same dialogues: which is better, by how much, how sure that is."""

from dialog_policy.comparison.compare import METRICS, compare_policies
from dialog_policy.comparison.significance import holm, mcnemar_p

__all__ = ["METRICS", "compare_policies", "holm", "mcnemar_p"]
