"""Several policies on the same dialogues: which is better, by how much, how sure that is."""

from dialog_policy.evaluation.comparison.compare import METRICS, compare_policies
from dialog_policy.evaluation.comparison.significance import holm, mcnemar_p
from dialog_policy.evaluation.comparison.table import comparison_table

__all__ = ["METRICS", "compare_policies", "comparison_table", "holm", "mcnemar_p"]
