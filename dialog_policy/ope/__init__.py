"""Off-policy evaluation: what a policy would have been worth on the dialogues of a log."""

from dialog_policy.ope.estimate import estimate_value
from dialog_policy.ope.estimators import ESTIMATORS
from dialog_policy.ope.result import OffPolicyValue

__all__ = ["ESTIMATORS", "OffPolicyValue", "estimate_value"]
