"""Off-policy value: what a policy would have been worth on the dialogues of a log."""

from dialog_policy.ope.estimate import estimate_value
from dialog_policy.ope.estimators import ESTIMATORS

__all__ = ["ESTIMATORS", "estimate_value"]
