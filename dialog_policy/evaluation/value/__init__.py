"""Off-policy value: what a policy would have been worth on the dialogues of a log."""

from dialog_policy.evaluation.value.estimate import estimate_value
from dialog_policy.evaluation.value.estimators import ESTIMATORS
from dialog_policy.evaluation.value.table import value_table

__all__ = ["ESTIMATORS", "estimate_value", "value_table"]
