"""A trained policy inside somebody's program: the core install, no TensorFlow."""

from dialog_policy.runtime.policy import Policy
from dialog_policy.runtime.session import PREDICTED, Request, Session, SessionTurn, Step

__all__ = ["PREDICTED", "Policy", "Request", "Session", "SessionTurn", "Step"]
