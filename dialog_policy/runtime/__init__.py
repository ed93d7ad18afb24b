"""A trained policy inside somebody's program: the core install, no TensorFlow."""

from dialog_policy.runtime.policy import Policy
from dialog_policy.runtime.session import Request, Session
from dialog_policy.runtime.turns import PREDICTED, SessionTurn, Step

__all__ = ["PREDICTED", "Policy", "Request", "Session", "SessionTurn", "Step"]
